using FastShare.Transport;
using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;

namespace FastShare.Testing.Dialing;

/// <summary>One address of a <see cref="ScriptedDials"/> network. Connects and upgrades at once unless told otherwise.</summary>
internal sealed class ScriptedAddress(Multiaddr address) : IDuplexConnection
{
    private readonly Stage _connect = new();
    private readonly Stage _upgrade = new();
    private readonly TaskCompletionSource _connected = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _aborted = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private sealed class Stage
    {
        private volatile TaskCompletionSource? _hold;
        private int _calls;

        public int Calls => Volatile.Read(ref _calls);

        public TransportException? Failure { get; set; }

        public TaskCompletionSource Begun { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public TaskCompletionSource Cancelled { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Hold() => _hold = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Release() => _hold!.TrySetResult();

        public async Task RunAsync(CancellationToken cancellationToken)
        {
            Interlocked.Increment(ref _calls);
            Begun.TrySetResult();
            try
            {
                if (_hold is { } hold) await hold.Task.WaitAsync(cancellationToken);
            }
            catch (OperationCanceledException)
            {
                Cancelled.TrySetResult();
                throw;
            }

            if (Failure is not null) throw Failure;
        }
    }

    public Multiaddr LocalAddress => RemoteAddress;

    public Multiaddr RemoteAddress { get; } = address;

    public int Connects => _connect.Calls;

    public int Upgrades => _upgrade.Calls;

    public Task Connecting => _connect.Begun.Task;

    public Task Connected => _connected.Task;

    public Task ConnectCancelled => _connect.Cancelled.Task;

    public Task Upgrading => _upgrade.Begun.Task;

    public Task UpgradeCancelled => _upgrade.Cancelled.Task;

    public Task Aborted => _aborted.Task;

    public void HoldsConnect() => _connect.Hold();

    public void LetConnect() => _connect.Release();

    public void HoldsUpgrade() => _upgrade.Hold();

    public void LetUpgrade() => _upgrade.Release();

    public void Fails(TransportError error, string message) => _connect.Failure = new TransportException(error, message);

    public void Works() => _connect.Failure = null;

    public void FailsUpgrade(TransportError error, string message) => _upgrade.Failure = new TransportException(error, message);

    public async Task ConnectAsync(CancellationToken cancellationToken)
    {
        await _connect.RunAsync(cancellationToken);
        _connected.TrySetResult();
    }

    public Task UpgradeAsync(CancellationToken cancellationToken) => _upgrade.RunAsync(cancellationToken);

    public void Abort() => _aborted.TrySetResult();

    public void CloseWrite()
    {
    }

    public ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken) => throw new NotSupportedException();

    public ValueTask SendAsync(ReadOnlyMemory<byte> data, CancellationToken cancellationToken) => throw new NotSupportedException();

    public ValueTask SendAsync(IReadOnlyList<ReadOnlyMemory<byte>> segments, CancellationToken cancellationToken) =>
        throw new NotSupportedException();

    public ValueTask DisposeAsync() => default;
}
