using System.Net;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Discovery;

/// <summary>
/// A local network that exists in memory: every <see cref="InMemoryDiscovery"/> made with the same hub finds every other, at once and
/// without a packet. For tests, and for programs that run several nodes in one process. Nothing expires by itself: whoever holds the hub
/// says when a peer announces itself and when it is gone. Thread-safe.
/// </summary>
public sealed class InMemoryDiscoveryHub
{
    private readonly Lock _gate = new();
    private readonly Dictionary<PeerId, Multiaddr[]> _announced = []; // guarded by _gate
    private readonly List<InMemoryDiscovery> _members = [];           // guarded by _gate

    /// <summary>
    /// Announces a peer with all the addresses it has now: new ones are reported found, those it had and has no more expired, and those
    /// it still has are not reported again. For peers that run no discovery here, and to announce one anew after <see cref="Expire"/>.
    /// </summary>
    /// <param name="peer">The peer.</param>
    /// <param name="addresses">Its addresses, with or without <c>/p2p/…</c>; a wildcard stands for the loopback address.</param>
    public void Announce(PeerId peer, params IReadOnlyList<Multiaddr> addresses)
    {
        ArgumentNullException.ThrowIfNull(peer);
        ArgumentNullException.ThrowIfNull(addresses);
        Multiaddr[] now = [.. addresses.Select(address => Concrete(address).WithPeerId(peer)).Distinct()];
        lock (_gate)
        {
            Multiaddr[] before = _announced.GetValueOrDefault(peer, []);
            if (now.Length > 0) _announced[peer] = now;
            else _announced.Remove(peer);
            Tell(DiscoveryEventKind.Found, peer, [.. now.Except(before)]);
            Tell(DiscoveryEventKind.Expired, peer, [.. before.Except(now)]);
        }
    }

    /// <summary>Lets everything that a peer announced expire, as if it had fallen silent; it may be announced again.</summary>
    public void Expire(PeerId peer) => Announce(peer);

    internal void Join(InMemoryDiscovery member, PeerId self, IReadOnlyList<Multiaddr> listenAddresses)
    {
        lock (_gate)
        {
            foreach ((PeerId peer, Multiaddr[] addresses) in _announced)
                member.Tell(new DiscoveryEvent(DiscoveryEventKind.Found, peer, addresses, InMemoryDiscovery.Source));
            _members.Add(member);
            if (listenAddresses.Count > 0) Announce(self, listenAddresses);
        }
    }

    internal void Leave(InMemoryDiscovery member, PeerId self)
    {
        lock (_gate)
        {
            if (_members.Remove(member)) Expire(self);
        }
    }

    private static Multiaddr Concrete(Multiaddr address)
    {
        if (!address.TryGetTcpEndPoint(out IPEndPoint? endpoint)) return address;
        if (endpoint.Address.Equals(IPAddress.Any)) return Multiaddr.FromTcp(new IPEndPoint(IPAddress.Loopback, endpoint.Port));
        if (endpoint.Address.Equals(IPAddress.IPv6Any)) return Multiaddr.FromTcp(new IPEndPoint(IPAddress.IPv6Loopback, endpoint.Port));
        return address;
    }

    // Under _gate, so that all members are told the same in the same order; they only queue it.
    private void Tell(DiscoveryEventKind kind, PeerId peer, Multiaddr[] addresses)
    {
        if (addresses.Length == 0) return;
        foreach (InMemoryDiscovery member in _members)
            member.Tell(new DiscoveryEvent(kind, peer, addresses, InMemoryDiscovery.Source));
    }
}
