using System.IO.Pipelines;
using FastShare.Transport;
using FastShare.Transport.Identity;

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
}

/// <summary>
/// One stream. Its directions keep <see cref="Transport.Multiplexing.IMuxedStream"/>'s contract: a reset or lost connection shows
/// as <see cref="TransportException"/> in both.
/// </summary>
internal interface ITransferStream : IDuplexPipe, IAsyncDisposable
{
    /// <summary>The authenticated other side.</summary>
    PeerId Peer { get; }

    /// <inheritdoc cref="Transport.Multiplexing.IMuxedStream.WidenWindow"/>
    void WidenWindow(int bytes);

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

    /// <summary>Serves inbound streams of a protocol.</summary>
    public void Handle(string protocol, Func<ITransferStream, CancellationToken, Task> handler) =>
        swarm.Handle(protocol, (stream, cancellationToken) => handler(new SwarmStream(stream), cancellationToken));

    private sealed class SwarmStream(PeerStream stream) : ITransferStream
    {
        public PeerId Peer => stream.Connection.Peer;

        public PipeReader Input => stream.Input;

        public PipeWriter Output => stream.Output;

        public void WidenWindow(int bytes) => stream.WidenWindow(bytes);

        public void Reset() => stream.Reset();

        public async ValueTask AbandonConnectionAsync()
        {
            // The goodbye will hardly get through; cancelling cuts it short.
            using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(1));
            try
            {
                await stream.Connection.CloseAsync(patience.Token).ConfigureAwait(false);
            }
            catch (Exception e) when (e is OperationCanceledException or TransportException)
            {
            }
        }

        public ValueTask DisposeAsync() => stream.DisposeAsync();
    }
}
