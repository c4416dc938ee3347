using FastShare.Transport.Identity;

namespace FastShare.Transport.Sockets.Internal;

/// <summary>One end of a connection inside this process.</summary>
internal sealed class MemoryConnection : IDuplexConnection
{
    private readonly MemoryLink _incoming;
    private readonly MemoryLink _outgoing;

    private MemoryConnection(Multiaddr local, Multiaddr remote, MemoryLink incoming, MemoryLink outgoing)
    {
        LocalAddress = local;
        RemoteAddress = remote;
        _incoming = incoming;
        _outgoing = outgoing;
    }

    public Multiaddr LocalAddress { get; }

    public Multiaddr RemoteAddress { get; }

    /// <summary>Two connected ends; <paramref name="window"/> is how many bytes a direction holds.</summary>
    public static (MemoryConnection Dialer, MemoryConnection Listener) CreatePair(Multiaddr dialer, Multiaddr listener, int window)
    {
        var there = new MemoryLink(window);
        var back = new MemoryLink(window);
        return (new MemoryConnection(dialer, listener, back, there), new MemoryConnection(listener, dialer, there, back));
    }

    public ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (buffer.IsEmpty) throw new ArgumentException("receiving needs a buffer", nameof(buffer));
        return _incoming.ReceiveAsync(buffer, cancellationToken);
    }

    public ValueTask SendAsync(ReadOnlyMemory<byte> data, CancellationToken cancellationToken) =>
        _outgoing.SendAsync(data, cancellationToken);

    public async ValueTask SendAsync(IReadOnlyList<ReadOnlyMemory<byte>> segments, CancellationToken cancellationToken)
    {
        for (int i = 0; i < segments.Count; i++) await _outgoing.SendAsync(segments[i], cancellationToken).ConfigureAwait(false);
    }

    public void CloseWrite() => _outgoing.End();

    public void Abort()
    {
        // Like a socket that is closed: what was sent can still be read there; what the other end sends from now on is refused.
        _outgoing.CloseSender(SocketErrors.Closed($"send to {RemoteAddress}"));
        _incoming.CloseReceiver(
            SocketErrors.Closed($"receive from {RemoteAddress}"),
            new TransportException(
                TransportError.ConnectionReset, $"could not send to {LocalAddress}: the remote side closed the connection"));
    }

    public ValueTask DisposeAsync()
    {
        Abort();
        return default;
    }
}
