using System.Runtime.CompilerServices;

namespace FastShare.Transfer.Scheduling;

/// <summary>
/// Shares the way to one peer among the transfers to it, by their weights: one chunk more is being written at once than the transfer with
/// the most connections has connections, and whose account is smallest writes next. With one transfer nobody ever waits. Thread-safe.
/// </summary>
/// <remarks>
/// Nothing is left unused: a write that has not ended after <see cref="Overdue"/> is held up by something that is not shared (its file's
/// storage, its stream's window), and does not count any more.
/// </remarks>
internal sealed class FairShare : IDisposable
{
    /// <summary>How long a chunk's write may take and still count as one of those under way.</summary>
    private static readonly TimeSpan Overdue = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// Transfers to one peer that are under way at once; the others wait for a place, in the order of coming. Half of what a receiver
    /// takes from one peer by default (<see cref="IncomingLimits.TransfersPerPeer"/>), so that it refuses none of them.
    /// </summary>
    public const int MaxTransfers = 8;

    private readonly TimeProvider _time;
    private readonly Lock _gate = new();
    private readonly Dictionary<WeightedFlow, List<int>> _lanes = []; // guarded by _gate: the connection of each lane
    private readonly List<Turn> _active = []; // guarded by _gate
    private readonly List<Turn> _waiting = []; // guarded by _gate
    private readonly ITimer _timer;
    private double _now; // guarded by _gate: the account last served

    public FairShare(TimeProvider time)
    {
        _time = time;
        _timer = time.CreateTimer(static share => ((FairShare)share!).Serve(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>The places of <see cref="MaxTransfers"/> that are free.</summary>
    public SemaphoreSlim TransferPlaces { get; } = new(MaxTransfers);

    /// <summary>A lane of a transfer takes part. To be disposed when the lane ends.</summary>
    /// <param name="flow">The transfer's account.</param>
    /// <param name="connection">Which of the transfer's connections carries the lane.</param>
    public Turn AddLane(WeightedFlow flow, int connection)
    {
        lock (_gate)
        {
            if (!_lanes.TryGetValue(flow, out List<int>? lanes)) _lanes.Add(flow, lanes = []);
            lanes.Add(connection);
        }

        return new Turn(this, flow, connection);
    }

    public void Dispose()
    {
        _timer.Dispose();
        TransferPlaces.Dispose();
    }

    private ValueTask EnterAsync(Turn turn, int bytes, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested) return ValueTask.FromCanceled(cancellationToken);
        TaskCompletionSource granted;
        lock (_gate)
        {
            // Who comes back from a chunk gives its place away and asks for the next in one step: others get it if it is their turn.
            if (!_active.Remove(turn)) turn.Flow.Begin(_now);
            turn.Bytes = bytes;
            if (_waiting.Count == 0 && UnderWay() < Places())
            {
                Grant(turn);
                return default;
            }

            turn.Granted = granted = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiting.Add(turn);
            Serve();
        }

        return granted.Task.IsCompletedSuccessfully ? default : WaitAsync(turn, granted, cancellationToken);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask WaitAsync(Turn turn, TaskCompletionSource granted, CancellationToken cancellationToken)
    {
        try
        {
            await granted.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            Exit(turn);
            throw;
        }
    }

    private void Exit(Turn turn)
    {
        lock (_gate)
        {
            if (_active.Remove(turn) | _waiting.Remove(turn)) turn.Flow.Turns--;
            turn.Granted = null;
        }

        Serve();
    }

    private void RemoveLane(Turn turn)
    {
        Exit(turn);
        lock (_gate)
        {
            List<int> lanes = _lanes[turn.Flow];
            lanes.Remove(turn.Connection);
            if (lanes.Count == 0) _lanes.Remove(turn.Flow);
        }

        Serve();
    }

    private void Serve()
    {
        lock (_gate)
        {
            while (_waiting.Count > 0 && UnderWay() < Places())
            {
                int next = 0;
                for (int i = 1; i < _waiting.Count; i++)
                {
                    if (_waiting[i].Flow.Spent < _waiting[next].Flow.Spent) next = i;
                }

                Turn turn = _waiting[next];
                _waiting.RemoveAt(next);
                Grant(turn);
                turn.Granted!.SetResult();
            }

            Arm();
        }
    }

    // Under the gate.
    private void Grant(Turn turn)
    {
        turn.Since = _time.GetTimestamp();
        _active.Add(turn);
        _now = Math.Max(_now, turn.Flow.Spent);
        turn.Flow.Charge(turn.Bytes);
    }

    // Under the gate.
    private int UnderWay()
    {
        int count = 0;
        foreach (Turn turn in _active)
        {
            if (_time.GetElapsedTime(turn.Since) < Overdue) count++;
        }

        return count;
    }

    // Under the gate.
    private int Places()
    {
        if (_lanes.Count <= 1) return int.MaxValue;
        int most = 1;
        foreach (List<int> lanes in _lanes.Values)
        {
            int connections = 0;
            for (int i = 0; i < lanes.Count; i++)
            {
                if (lanes.IndexOf(lanes[i]) == i) connections++;
            }

            most = Math.Max(most, connections);
        }

        return most + 1;
    }

    // Under the gate: somebody's time under way will be over.
    private void Arm()
    {
        if (_waiting.Count > 0) _timer.Change(Overdue / 4, Timeout.InfiniteTimeSpan);
    }

    /// <summary>One lane's place in the queue. Used by one loop.</summary>
    public sealed class Turn : IDisposable
    {
        private readonly FairShare _share;
        private bool _disposed;

        internal Turn(FairShare share, WeightedFlow flow, int connection)
        {
            Connection = connection;
            _share = share;
            Flow = flow;
        }

        internal WeightedFlow Flow { get; }

        internal int Connection { get; }

        internal int Bytes { get; set; }

        internal long Since { get; set; }

        internal TaskCompletionSource? Granted { get; set; }

        /// <summary>Waits until this lane may write a chunk; the next call, or <see cref="Exit"/>, says that it was written.</summary>
        public ValueTask EnterAsync(int bytes, CancellationToken cancellationToken) => _share.EnterAsync(this, bytes, cancellationToken);

        /// <summary>The chunk was written, and there is none to follow for now.</summary>
        public void Exit() => _share.Exit(this);

        public void Dispose()
        {
            if (_disposed) return;
            _disposed = true;
            _share.RemoveLane(this);
        }
    }
}
