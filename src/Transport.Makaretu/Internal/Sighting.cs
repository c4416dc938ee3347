using FastShare.Transport.Identity;

namespace FastShare.Transport.Makaretu.Internal;

/// <summary>What one instance of the service says of its peer in one response.</summary>
/// <param name="Instance">Name of the instance in lower case; only a handle.</param>
/// <param name="Peer">The peer it claims to be.</param>
/// <param name="Addresses">Addresses that can be used from here, each ending in the peer's id.</param>
/// <param name="TimeToLive">How long they hold; zero: withdrawn.</param>
/// <param name="ReplacesEarlier">Whether addresses told earlier and missing now are void (cache-flush, RFC 6762, 10.2).</param>
internal sealed record Sighting(
    string Instance, PeerId Peer, IReadOnlyList<Multiaddr> Addresses, TimeSpan TimeToLive, bool ReplacesEarlier);
