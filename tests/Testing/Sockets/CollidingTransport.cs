using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;

namespace FastShare.Testing.Sockets;

/// <summary>
/// Makes dials collide, whatever the timing: what a dialing side sends is held back until as many dials as there are parties have begun
/// their handshakes. After that everything passes.
/// </summary>
/// <param name="inner">The real transport.</param>
/// <param name="parties">How many dials have to collide.</param>
public sealed class CollidingTransport(ITransport inner, int parties) : ITransport
{
    private readonly TaskCompletionSource _all = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _begun; // interlocked

    /// <inheritdoc/>
    public bool Supports(Multiaddr address) => inner.Supports(address);

    /// <inheritdoc/>
    public async ValueTask<IDuplexConnection> DialAsync(Multiaddr address, CancellationToken cancellationToken) =>
        new Held(await inner.DialAsync(address, cancellationToken), this);

    /// <inheritdoc/>
    public ValueTask<IListener> ListenAsync(Multiaddr address, CancellationToken cancellationToken) =>
        inner.ListenAsync(address, cancellationToken);

    private Task ArriveAsync()
    {
        if (Interlocked.Increment(ref _begun) == parties) _all.TrySetResult();
        return _all.Task;
    }

    private sealed class Held(IDuplexConnection inner, CollidingTransport gate) : IDuplexConnection
    {
        private bool _arrived; // by the one sender at a time

        public Multiaddr LocalAddress => inner.LocalAddress;

        public Multiaddr RemoteAddress => inner.RemoteAddress;

        public ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken) =>
            inner.ReceiveAsync(buffer, cancellationToken);

        public async ValueTask SendAsync(ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
        {
            await PassAsync(cancellationToken);
            await inner.SendAsync(data, cancellationToken);
        }

        public async ValueTask SendAsync(IReadOnlyList<ReadOnlyMemory<byte>> segments, CancellationToken cancellationToken)
        {
            await PassAsync(cancellationToken);
            await inner.SendAsync(segments, cancellationToken);
        }

        public void CloseWrite() => inner.CloseWrite();

        public void Abort() => inner.Abort();

        public ValueTask DisposeAsync() => inner.DisposeAsync();

        private async Task PassAsync(CancellationToken cancellationToken)
        {
            if (_arrived) return;
            _arrived = true;
            await gate.ArriveAsync().WaitAsync(cancellationToken);
        }
    }
}
