using FastShare.Transport.Identity;

namespace FastShare.Transport;

/// <summary>
/// Learns of connections and addresses as they come and go. Calls to one observer come one at a time and in order, never under a
/// lock of the swarm; they must be quick and not throw.
/// </summary>
internal interface IConnectionObserver
{
    /// <summary>The connection is listed, and may be used from now on. Not called for private lanes.</summary>
    void ConnectionUp(PeerConnection connection);

    /// <summary>A connection that was reported up is over; <paramref name="reason"/> is null for an orderly close.</summary>
    void ConnectionDown(PeerConnection connection, TransportException? reason);

    /// <summary>Discovery, or somebody else, gave addresses of the peer.</summary>
    void PeerFound(PeerId peer);
}
