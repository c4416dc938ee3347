using FastShare.Transport.Identity;

namespace FastShare.Transport;

/// <summary>
/// A node's connections: listens, dials (one pending connection task per peer, shared by all callers), keeps the table of
/// connections, and dispatches inbound streams to protocol handlers. Thread-safe.
/// </summary>
public sealed class Swarm : IAsyncDisposable
{
    /// <summary>Creates a swarm that neither listens nor dials yet.</summary>
    public Swarm(SwarmOptions options) => throw new NotImplementedException();

    /// <summary>This node.</summary>
    public PeerId LocalPeer => throw new NotImplementedException();

    /// <summary>Bound addresses with real ports; wildcards stand as they are.</summary>
    public IReadOnlyList<Multiaddr> ListenAddresses => throw new NotImplementedException();

    /// <summary>Bound addresses, wildcards replaced by the addresses of this machine's interfaces (loopback last), each ending in this node's peer id.</summary>
    public IReadOnlyList<Multiaddr> GetReachableAddresses() => throw new NotImplementedException();

    /// <summary>Every connection open now.</summary>
    public IReadOnlyList<PeerConnection> Connections => throw new NotImplementedException();

    /// <summary>Dials started so far to a peer: pending connection tasks made, whatever the number of addresses or callers.</summary>
    public int DialCount(PeerId peer) => throw new NotImplementedException();

    /// <summary>Starts to listen; returns the bound address.</summary>
    public ValueTask<Multiaddr> ListenAsync(Multiaddr address, CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Serves a protocol from now on. Replaces an earlier handler of the same id.</summary>
    public void Handle(string protocol, StreamHandler handler) => throw new NotImplementedException();

    /// <summary>Remembers addresses of a peer (bounded; oldest forgotten first). They join a dial under way.</summary>
    public void AddAddresses(PeerId peer, IEnumerable<Multiaddr> addresses) => throw new NotImplementedException();

    /// <summary>Forgets addresses of a peer.</summary>
    public void RemoveAddresses(PeerId peer, IEnumerable<Multiaddr> addresses) => throw new NotImplementedException();

    /// <summary>Addresses known for a peer.</summary>
    public IReadOnlyList<Multiaddr> GetAddresses(PeerId peer) => throw new NotImplementedException();

    /// <summary>
    /// A connection to the peer: an open one, or the result of the one pending dial that all callers share. The token ends this
    /// caller's wait only; the dial ends when its last waiter leaves.
    /// </summary>
    /// <param name="peer">The peer; its identity is proved by the handshake.</param>
    /// <param name="addresses">Addresses to try besides those known.</param>
    /// <param name="cancellationToken">Ends this caller's wait.</param>
    public ValueTask<PeerConnection> ConnectAsync(PeerId peer, IEnumerable<Multiaddr>? addresses = null, CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Opens a further connection to a peer beside those open, as a lane for bulk data; never shared with <see cref="ConnectAsync"/> callers.</summary>
    public ValueTask<PeerConnection> ConnectLaneAsync(PeerId peer, CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Opens a stream for a protocol, connecting first if needed.</summary>
    public ValueTask<PeerStream> OpenStreamAsync(PeerId peer, string protocol, CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Changes of connections and dials from now on. A slow reader loses the oldest events, never blocks the swarm.</summary>
    public IAsyncEnumerable<SwarmEvent> WatchAsync(CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Closes everything and waits for every handler to end.</summary>
    public ValueTask DisposeAsync() => throw new NotImplementedException();
}
