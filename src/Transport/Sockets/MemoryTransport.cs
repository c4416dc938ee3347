using System.Collections.Concurrent;
using FastShare.Transport.Identity;
using FastShare.Transport.Sockets.Internal;

namespace FastShare.Transport.Sockets;

/// <summary>
/// Connections inside one process, at addresses such as <c>/memory/alice</c>: for tests, of embedding applications too. One
/// instance is one network; nodes that shall reach each other share it. Thread-safe.
/// </summary>
public sealed class MemoryTransport : ITransport
{
    /// <summary>Bytes in flight in each direction before a sender waits.</summary>
    internal const int Window = 256 << 10;

    private readonly ConcurrentDictionary<string, MemoryListener> _listeners = new(StringComparer.Ordinal);
    private int _dials; // interlocked; names the dialing ends

    /// <inheritdoc/>
    public bool Supports(Multiaddr address)
    {
        ArgumentNullException.ThrowIfNull(address);
        return address.TryGetMemoryName(out _);
    }

    /// <inheritdoc/>
    public ValueTask<IDuplexConnection> DialAsync(Multiaddr address, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(address);
        cancellationToken.ThrowIfCancellationRequested();
        string name = Name(address);
        var source = Multiaddr.Parse($"/memory/{name}-dial-{Interlocked.Increment(ref _dials)}");
        (MemoryConnection near, MemoryConnection far) = MemoryConnection.CreatePair(source, Multiaddr.Parse($"/memory/{name}"), Window);
        if (_listeners.TryGetValue(name, out MemoryListener? listener) && listener.TryOffer(far))
            return new ValueTask<IDuplexConnection>(near);
        throw new TransportException(TransportError.ConnectionRefused, $"could not connect to {address}: nothing listens there");
    }

    /// <inheritdoc/>
    public ValueTask<IListener> ListenAsync(Multiaddr address, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(address);
        cancellationToken.ThrowIfCancellationRequested();
        string name = Name(address);
        var listener = new MemoryListener(Multiaddr.Parse($"/memory/{name}"), gone => _listeners.TryRemove(new(name, gone)));
        if (!_listeners.TryAdd(name, listener))
            throw new TransportException(TransportError.AddressInUse, $"could not listen on {address}: the address is in use");
        return new ValueTask<IListener>(listener);
    }

    private static string Name(Multiaddr address) => address.TryGetMemoryName(out string? name)
        ? name
        : throw new TransportException(
            TransportError.InvalidAddress, $"{address} is not a memory address (expected for example /memory/alice)");
}
