using System.IO.Pipelines;
using FastShare.Transport;
using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;
using FastShare.Transport.Telemetry;

namespace FastShare.Transfer.Sessions;

/// <summary>
/// What transfers need of the network: streams to and from authenticated peers. The seam between this library and
/// <see cref="Swarm"/>; tests put memory in its place. Thread-safe.
/// </summary>
internal interface ITransferNetwork
{
    PeerId LocalPeer { get; }

    /// <summary>Whether it makes sense to try: a connection is open, or an address is known.</summary>
    bool MayReach(PeerId peer);

    /// <summary>Opens a stream, connecting first if needed; all callers share one dial.</summary>
    /// <exception cref="TransportException">The peer cannot be reached, or does not speak the protocol.</exception>
    ValueTask<ITransferStream> OpenStreamAsync(PeerId peer, string protocol, CancellationToken cancellationToken);

    /// <summary>A further connection to the peer, for the caller alone, who disposes it.</summary>
    /// <exception cref="TransportException">None can be made.</exception>
    ValueTask<ITransferConnection> ConnectAsync(PeerId peer, CancellationToken cancellationToken);
}

/// <summary>A connection of one owner. Disposing it closes it, with everything on it. Thread-safe.</summary>
internal interface ITransferConnection : IAsyncDisposable
{
    /// <exception cref="TransportException">The connection is lost, or the peer does not speak the protocol.</exception>
    ValueTask<ITransferStream> OpenStreamAsync(string protocol, CancellationToken cancellationToken);
}

/// <summary>The connection beneath a stream, as far as the kernel and the multiplexer tell about it. Never throws. Thread-safe.</summary>
internal interface ITransferPath
{
    /// <summary>Smoothed round-trip time; null before the first measurement.</summary>
    TimeSpan? RoundTripTime { get; }

    /// <summary>Options and measurements of its socket; null where it has none.</summary>
    ISocketTuning? Socket { get; }

    /// <summary>What it counts; the same object for all streams of a connection. Null where nothing is counted.</summary>
    ConnectionCounters? Counters { get; }
}

/// <summary>
/// One stream. Its directions keep <see cref="Transport.Multiplexing.IMuxedStream"/>'s contract: a reset or lost connection shows
/// as <see cref="TransportException"/> in both.
/// </summary>
internal interface ITransferStream : IDuplexPipe, IAsyncDisposable
{
    /// <summary>The authenticated other side.</summary>
    PeerId Peer { get; }

    /// <summary>The connection that carries it.</summary>
    ITransferPath Path { get; }

    /// <inheritdoc cref="Transport.Multiplexing.IMuxedStream.WidenWindow"/>
    void WidenWindow(int bytes);

    /// <summary>An answer to a ping over the connection beneath; the ping may have been under way already, and is then shared.</summary>
    /// <exception cref="TransportException">The connection is lost.</exception>
    ValueTask PingAsync(CancellationToken cancellationToken);

    /// <summary>Ends both directions at once. Idempotent, never throws.</summary>
    void Reset();

    /// <summary>
    /// Gives up the connection beneath, with everything on it: the other side does not answer any more, and the next stream is to
    /// go over a new connection. Takes at most a second; never throws.
    /// </summary>
    ValueTask AbandonConnectionAsync();
}

/// <summary>The real network.</summary>
internal sealed class SwarmNetwork(Swarm swarm) : ITransferNetwork
{
    public PeerId LocalPeer => swarm.LocalPeer;

    public bool MayReach(PeerId peer)
    {
        if (swarm.GetAddresses(peer).Count > 0) return true;
        foreach (PeerConnection connection in swarm.Connections)
        {
            if (connection.Peer == peer) return true;
        }

        return false;
    }

    public async ValueTask<ITransferStream> OpenStreamAsync(PeerId peer, string protocol, CancellationToken cancellationToken) =>
        new SwarmStream(await swarm.OpenStreamAsync(peer, protocol, cancellationToken).ConfigureAwait(false));

    public async ValueTask<ITransferConnection> ConnectAsync(PeerId peer, CancellationToken cancellationToken) =>
        new SwarmConnection(await swarm.ConnectLaneAsync(peer, cancellationToken).ConfigureAwait(false));

    /// <summary>Serves inbound streams of a protocol.</summary>
    public void Handle(string protocol, Func<ITransferStream, CancellationToken, Task> handler) =>
        swarm.Handle(protocol, (stream, cancellationToken) => handler(new SwarmStream(stream), cancellationToken));

    /// <summary>Closes a connection; a goodbye that does not get through is cut short.</summary>
    private static async ValueTask CloseAsync(PeerConnection connection)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        try
        {
            await connection.CloseAsync(patience.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is OperationCanceledException or TransportException)
        {
        }
    }

    private sealed class SwarmConnection(PeerConnection connection) : ITransferConnection
    {
        public async ValueTask<ITransferStream> OpenStreamAsync(string protocol, CancellationToken cancellationToken) =>
            new SwarmStream(await connection.OpenStreamAsync(protocol, cancellationToken).ConfigureAwait(false));

        public ValueTask DisposeAsync() => CloseAsync(connection);
    }

    private sealed class SwarmStream(PeerStream stream) : ITransferStream, ITransferPath
    {
        public ITransferPath Path => this;

        public TimeSpan? RoundTripTime => stream.Connection.RoundTripTime;

        public ISocketTuning? Socket => stream.Connection.Socket;

        public ConnectionCounters? Counters => stream.Connection.Counters;

        public PeerId Peer => stream.Connection.Peer;

        public PipeReader Input => stream.Input;

        public PipeWriter Output => stream.Output;

        public void WidenWindow(int bytes) => stream.WidenWindow(bytes);

        public ValueTask PingAsync(CancellationToken cancellationToken) => stream.Connection.BeatAsync(cancellationToken);

        public void Reset() => stream.Reset();

        public ValueTask AbandonConnectionAsync() => CloseAsync(stream.Connection);

        public ValueTask DisposeAsync() => stream.DisposeAsync();
    }
}
