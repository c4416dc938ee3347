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
/// Finds peers and announces this one: the seam for mDNS (<see cref="MdnsDiscovery"/>), a fixed list (<see cref="StaticDiscovery"/>),
/// nodes of one process (<see cref="InMemoryDiscovery"/>) and whatever else knows of peers. An instance serves one node: it is started
/// once with the node's identity and listen addresses, and ended by disposal. Implementations are thread-safe and keep to these rules:
/// <list type="bullet">
/// <item>An address of a peer is reported found once; hearing of it again before it expires is no news.</item>
/// <item>It is reported expired once, when the peer takes it back or has fallen silent, and may then be found anew.</item>
/// <item>The node itself is never reported, whatever is announced in its name.</item>
/// <item>Events come one at a time, in order, and none after disposal has ended.</item>
/// <item>What others send never makes it fail: it is ignored where it cannot be used.</item>
/// </list>
/// </summary>
public interface IPeerDiscovery : IAsyncDisposable
{
    /// <summary>Starts to announce and to look.</summary>
    /// <param name="self">This node.</param>
    /// <param name="listenAddresses">Where it listens; wildcard addresses stand for every address of the interfaces in use. Where it is
    /// empty the node looks for others without announcing itself.</param>
    /// <param name="sink">Called for every observation, from any thread, perhaps before this method returned. It must return quickly, must
    /// not throw, and must not wait for the disposal of the discovery.</param>
    /// <param name="cancellationToken">Ends the start-up only.</param>
    /// <exception cref="TransportException">Discovery cannot work here; the message says why and what to do. What may change while the
    /// node runs, such as an interface that is down, is no reason to fail.</exception>
    /// <exception cref="InvalidOperationException">It was started before.</exception>
    /// <exception cref="ObjectDisposedException">It was disposed.</exception>
    ValueTask StartAsync(
        PeerId self, IReadOnlyList<Multiaddr> listenAddresses, Action<DiscoveryEvent> sink, CancellationToken cancellationToken);
}
