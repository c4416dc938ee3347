using System.Net;
using System.Net.Sockets;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Discovery.Internal;

/// <summary>Which of the node's listen addresses to announce on a link. Pure.</summary>
internal static class AdvertisedAddresses
{
    /// <summary>Addresses in one announcement: an Ed25519 TCP address takes about 97 bytes, and all must fit one MTU.</summary>
    public const int MaxCount = 12;

    /// <summary>
    /// The endpoints at which the node listens by way of this link, best first; wildcards are replaced by this host's addresses on it.
    /// Only TCP: what every libp2p node can dial.
    /// </summary>
    public static List<IPEndPoint> On(MdnsLink link, IReadOnlyList<Multiaddr> listenAddresses)
    {
        var endpoints = new List<IPEndPoint>();
        foreach (Multiaddr listen in listenAddresses)
        {
            if (!listen.TryGetTcpEndPoint(out IPEndPoint? endpoint) || endpoint.Port == 0) continue;
            IPAddress ip = endpoint.Address;
            bool wildcard = ip.Equals(IPAddress.Any) || ip.Equals(IPAddress.IPv6Any);
            bool elsewhere = ip.AddressFamily == AddressFamily.InterNetworkV6 && ip.ScopeId != 0 && ip.ScopeId != link.Index;
            if (elsewhere) continue;
            IPAddress bare = MdnsLink.WithoutScope(ip);
            foreach (LinkAddress own in link.Addresses)
            {
                if (wildcard ? own.Address.AddressFamily != ip.AddressFamily : !own.Address.Equals(bare)) continue;
                var concrete = new IPEndPoint(own.Address, endpoint.Port);
                if (!endpoints.Contains(concrete)) endpoints.Add(concrete);
            }
        }

        return [.. endpoints.OrderBy(e => Rank(e.Address)).Take(MaxCount)];
    }

    // IPv4 first: every implementation's mDNS speaks it. Link-local last: it needs a scope, which many dialers do not add.
    private static int Rank(IPAddress address)
    {
        if (address.IsIPv6LinkLocal) return 4;
        if (MdnsLink.IsLinkLocal(address)) return 3;
        if (address.AddressFamily == AddressFamily.InterNetworkV6) return 2;
        return IPAddress.IsLoopback(address) ? 0 : 1;
    }
}
