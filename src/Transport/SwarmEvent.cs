using FastShare.Transport.Identity;

namespace FastShare.Transport;

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
    public sealed record Disconnected(
        PeerId Peer, PeerConnection Connection, TransportException? Reason, int ConnectionsToPeer) : SwarmEvent(Peer);

    /// <summary>The peer told about itself (identify).</summary>
    public sealed record Identified(PeerId Peer, PeerConnection Connection, PeerDescription Description) : SwarmEvent(Peer);
}
