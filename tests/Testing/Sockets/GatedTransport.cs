using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;

namespace FastShare.Testing.Sockets;

/// <summary>A transport whose dials wait until the gate opens, and tells when one has begun or was cancelled.</summary>
public sealed class GatedTransport(ITransport inner) : ITransport
{
    private readonly TaskCompletionSource _gate = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _cancelled = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _dials; // interlocked

    /// <summary>Completes when the first dial has begun.</summary>
    public Task Begun => _begun.Task;

    /// <summary>Completes when a dial that waited was cancelled.</summary>
    public Task Cancelled => _cancelled.Task;

    /// <summary>Dials begun.</summary>
    public int Dials => Volatile.Read(ref _dials);

    /// <summary>Lets every dial go on.</summary>
    public void Open() => _gate.TrySetResult();

    /// <inheritdoc/>
    public bool Supports(Multiaddr address) => inner.Supports(address);

    /// <inheritdoc/>
    public async ValueTask<IDuplexConnection> DialAsync(Multiaddr address, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _dials);
        _begun.TrySetResult();
        try
        {
            await _gate.Task.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            _cancelled.TrySetResult();
            throw;
        }

        return await inner.DialAsync(address, cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask<IListener> ListenAsync(Multiaddr address, CancellationToken cancellationToken) =>
        inner.ListenAsync(address, cancellationToken);
}
