using FastShare.Transport.Identity;

namespace FastShare.Transfer;

/// <summary>A peer that discovery found.</summary>
/// <param name="Peer">Its id.</param>
/// <param name="Addresses">Where it is said to listen.</param>
public sealed record DiscoveredPeer(PeerId Peer, IReadOnlyList<Multiaddr> Addresses);
