using System.Runtime.CompilerServices;

namespace FastShare.Transfer.Scheduling;

/// <summary>
/// Everything by which chunks of one outgoing transfer wait although the path is free: a pause, the share of other transfers to the same
/// peer, the transfer's and the node's rate limits. Thread-safe.
/// </summary>
internal sealed class SendThrottle(PauseGate gate, FairShare share, TokenBucket own, TokenBucket node, Func<int> weight)
{
    private readonly WeightedFlow _shareFlow = new(weight), _ownFlow = new(weight), _nodeFlow = new(weight);
    private int _heldBack; // interlocked: 0 or 1

    /// <summary>Whether a limit or a pause held anything back since the last call.</summary>
    public bool TakeHeldBack() => Interlocked.Exchange(ref _heldBack, 0) != 0 || gate.IsClosed;

    /// <summary>A lane on the transfer's connection of this number takes part. To be disposed when it ends.</summary>
    public Lane AddLane(int connection) => new(this, share.AddLane(_shareFlow, connection));

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask TakeAsync(int bytes, CancellationToken cancellationToken)
    {
        await NoteAsync(gate.PassAsync(cancellationToken)).ConfigureAwait(false);
        await NoteAsync(own.TakeAsync(bytes, _ownFlow, cancellationToken)).ConfigureAwait(false);
        await NoteAsync(node.TakeAsync(bytes, _nodeFlow, cancellationToken)).ConfigureAwait(false);
    }

    private ValueTask NoteAsync(ValueTask step)
    {
        if (!step.IsCompletedSuccessfully) Volatile.Write(ref _heldBack, 1);
        return step;
    }

    /// <summary>One lane's way through. Used by one loop.</summary>
    public sealed class Lane(SendThrottle throttle, FairShare.Turn turn) : IDisposable
    {
        /// <summary>Waits until a chunk may be begun; the next call, or <see cref="Exit"/>, says that it was written.</summary>
        [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
        public async ValueTask EnterAsync(int bytes, CancellationToken cancellationToken)
        {
            await throttle.NoteAsync(throttle.Gate.PassAsync(cancellationToken)).ConfigureAwait(false);
            await turn.EnterAsync(bytes, cancellationToken).ConfigureAwait(false);
        }

        /// <summary>Bytes to take at once.</summary>
        public int Slice => Math.Min(throttle.Own.Slice, throttle.Node.Slice);

        /// <summary>Waits until so many bytes of the chunk may go out.</summary>
        public ValueTask TakeAsync(int bytes, CancellationToken cancellationToken) => throttle.TakeAsync(bytes, cancellationToken);

        /// <summary>There is no chunk to follow for now.</summary>
        public void Exit() => turn.Exit();

        public void Dispose() => turn.Dispose();
    }

    private PauseGate Gate => gate;

    private TokenBucket Own => own;

    private TokenBucket Node => node;
}
