using System.IO.Pipelines;
using FastShare.Transport.Identity;

namespace FastShare.Transport;

/// <summary>Serves one inbound stream of a protocol. The swarm disposes the stream when the task ends; an exception resets it.</summary>
public delegate Task StreamHandler(PeerStream stream, CancellationToken cancellationToken);

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

/// <summary>A change that <see cref="Swarm.WatchAsync"/> reports.</summary>
public abstract record SwarmEvent(PeerId Peer)
{
    /// <summary>A dial to the peer began.</summary>
    public sealed record Dialing(PeerId Peer, IReadOnlyList<Multiaddr> Addresses) : SwarmEvent(Peer);

    /// <summary>A dial failed.</summary>
    public sealed record DialFailed(PeerId Peer, TransportException Error) : SwarmEvent(Peer);

    /// <summary>A connection is ready for streams.</summary>
    public sealed record Connected(PeerId Peer, PeerConnection Connection, int ConnectionsToPeer) : SwarmEvent(Peer);

    /// <summary>A connection is over; <paramref name="Reason"/> is null for an orderly close.</summary>
    public sealed record Disconnected(PeerId Peer, PeerConnection Connection, TransportException? Reason, int ConnectionsToPeer) : SwarmEvent(Peer);

    /// <summary>The peer told about itself (identify).</summary>
    public sealed record Identified(PeerId Peer, PeerConnection Connection, PeerDescription Description) : SwarmEvent(Peer);
}

/// <summary>What a peer says of itself through identify. Nothing but the key behind the peer id is proved.</summary>
/// <param name="AgentVersion">Its program; text from the peer: escape before showing.</param>
/// <param name="ProtocolVersion">Its network's protocol family.</param>
/// <param name="ListenAddresses">Where it says it listens.</param>
/// <param name="Protocols">Protocols it accepts.</param>
/// <param name="ObservedAddress">This node's address as the peer sees it.</param>
public sealed record PeerDescription(
    string AgentVersion, string ProtocolVersion, IReadOnlyList<Multiaddr> ListenAddresses, IReadOnlyList<string> Protocols, Multiaddr? ObservedAddress);

/// <summary>One secured, multiplexed connection to a peer. Thread-safe.</summary>
public sealed class PeerConnection
{
    internal PeerConnection()
    {
    }

    /// <summary>The authenticated remote peer (with <see cref="SecurityMode.InsecurePlaintext"/>: the claimed one).</summary>
    public PeerId Peer => throw new NotImplementedException();

    /// <summary>Whether the remote side dialed.</summary>
    public bool IsInbound => throw new NotImplementedException();

    /// <summary>The remote address.</summary>
    public Multiaddr RemoteAddress => throw new NotImplementedException();

    /// <summary>The local address.</summary>
    public Multiaddr LocalAddress => throw new NotImplementedException();

    /// <summary>The security protocol's id, such as <c>/noise</c>.</summary>
    public string Security => throw new NotImplementedException();

    /// <summary>Smoothed round-trip time; null before the first measurement.</summary>
    public TimeSpan? RoundTripTime => throw new NotImplementedException();

    /// <summary>What the peer told through identify; null until it did.</summary>
    public PeerDescription? Description => throw new NotImplementedException();

    /// <summary>Completes when the connection is over; never faults. Null: an orderly close.</summary>
    public Task<TransportException?> Closed => throw new NotImplementedException();

    /// <summary>Waits until the peer has told about itself; fails with what identify failed with.</summary>
    public Task<PeerDescription> IdentifyAsync(CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Opens a stream for one protocol.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.UnsupportedProtocol"/>, <see cref="TransportError.ConnectionClosed"/>, …</exception>
    public ValueTask<PeerStream> OpenStreamAsync(string protocol, CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>One libp2p ping; the time from write to echo.</summary>
    public ValueTask<TimeSpan> PingAsync(CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Says goodbye and closes.</summary>
    public ValueTask CloseAsync(CancellationToken cancellationToken = default) => throw new NotImplementedException();
}

/// <summary>A stream with its negotiated protocol. See <see cref="Multiplexing.IMuxedStream"/> for the directions' contract.</summary>
public sealed class PeerStream : IDuplexPipe, IAsyncDisposable
{
    internal PeerStream()
    {
    }

    /// <summary>The negotiated protocol.</summary>
    public string Protocol => throw new NotImplementedException();

    /// <summary>The connection that carries it.</summary>
    public PeerConnection Connection => throw new NotImplementedException();

    /// <inheritdoc/>
    public PipeReader Input => throw new NotImplementedException();

    /// <inheritdoc/>
    public PipeWriter Output => throw new NotImplementedException();

    /// <summary>Ends both directions at once. Idempotent, never throws.</summary>
    public void Reset() => throw new NotImplementedException();

    /// <summary>Completes both directions; resets the stream where that is no orderly end.</summary>
    public ValueTask DisposeAsync() => throw new NotImplementedException();
}
