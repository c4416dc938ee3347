using System.Threading.Channels;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Sockets.Internal;

/// <summary>A listening end of a <see cref="MemoryTransport"/>, with a backlog as a socket has one.</summary>
internal sealed class MemoryListener(Multiaddr address, Action<MemoryListener> unregister) : IListener
{
    /// <summary>Connections that wait to be accepted; further dials are refused.</summary>
    private const int Backlog = 1024;

    private readonly Channel<MemoryConnection> _backlog = Channel.CreateBounded<MemoryConnection>(Backlog);

    public Multiaddr Address { get; } = address;

    /// <summary>Queues the listening end of a new connection; false if it is refused.</summary>
    public bool TryOffer(MemoryConnection connection) => _backlog.Writer.TryWrite(connection);

    public async ValueTask<IDuplexConnection> AcceptAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await _backlog.Reader.ReadAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (ChannelClosedException e)
        {
            throw new TransportException(TransportError.Aborted, $"stopped listening on {Address}", e);
        }
    }

    public ValueTask DisposeAsync()
    {
        unregister(this);
        _backlog.Writer.TryComplete();
        while (_backlog.Reader.TryRead(out MemoryConnection? waiting)) waiting.Abort();
        return default;
    }
}
