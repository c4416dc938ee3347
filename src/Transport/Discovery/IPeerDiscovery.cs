using FastShare.Transport.Identity;

namespace FastShare.Transport.Discovery;

/// <summary>What a discovery saw.</summary>
public enum DiscoveryEventKind
{
    /// <summary>A peer, or new addresses of a known one.</summary>
    Found,

    /// <summary>Addresses that are no longer announced; when none is left the peer is gone.</summary>
    Expired,
}

/// <summary>One observation. Discovery is a hint: nothing in it is authenticated.</summary>
/// <param name="Kind">Found or expired.</param>
/// <param name="Peer">The peer it claims to be.</param>
/// <param name="Addresses">The addresses that came or went by this event, each ending in <c>/p2p/…</c>.</param>
/// <param name="Source">Name of the discovery, such as <c>mdns</c>.</param>
public sealed record DiscoveryEvent(DiscoveryEventKind Kind, PeerId Peer, IReadOnlyList<Multiaddr> Addresses, string Source);

/// <summary>
/// Finds peers and announces this one. Started once with the node's identity and listen addresses, ended by disposal.
/// Thread-safe.
/// </summary>
public interface IPeerDiscovery : IAsyncDisposable
{
    /// <summary>
    /// Starts to announce and to look. Each (peer, address) is reported found once until it expires; this node itself never.
    /// </summary>
    /// <param name="self">This node.</param>
    /// <param name="listenAddresses">Where it listens; wildcard addresses stand for every address of the chosen interfaces.</param>
    /// <param name="sink">Called for every observation, one at a time, never after disposal ended; must return quickly
    /// and not throw.</param>
    /// <param name="cancellationToken">Ends the start-up only.</param>
    /// <exception cref="TransportException">Discovery cannot work here; the message says why and what to do.</exception>
    ValueTask StartAsync(
        PeerId self, IReadOnlyList<Multiaddr> listenAddresses, Action<DiscoveryEvent> sink, CancellationToken cancellationToken);
}
