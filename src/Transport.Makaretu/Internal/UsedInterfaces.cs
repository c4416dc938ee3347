using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using FastShare.Transport.Identity;
using Makaretu.Dns;

namespace FastShare.Transport.Makaretu.Internal;

/// <summary>The interfaces that the package uses under the given options, and this host's addresses on them. Immutable.</summary>
internal sealed class UsedInterfaces
{
    private readonly List<(string Name, IPAddress Address)> _addresses = [];

    /// <summary>Looks around.</summary>
    /// <exception cref="NetworkInformationException">The system does not tell.</exception>
    public UsedInterfaces(MakaretuOptions options)
    {
        foreach (NetworkInterface candidate in Filter(MulticastService.GetNetworkInterfaces(), options))
        {
            foreach (UnicastIPAddressInformation own in candidate.GetIPProperties().UnicastAddresses)
            {
                if (own.Address.AddressFamily is AddressFamily.InterNetwork or AddressFamily.InterNetworkV6)
                    _addresses.Add((candidate.Name, own.Address));
            }
        }
    }

    public bool Any => _addresses.Count > 0;

    /// <summary>Those of the package's candidates that the options name.</summary>
    public static IEnumerable<NetworkInterface> Filter(IEnumerable<NetworkInterface> candidates, MakaretuOptions options) =>
        options.Interfaces is null ? candidates : candidates.Where(candidate => options.Interfaces.Contains(candidate.Name));

    /// <summary>Whether the interfaces and their addresses are the same.</summary>
    public bool SameAs(UsedInterfaces other) => _addresses.SequenceEqual(other._addresses);

    /// <summary>Whether an address is this host's.</summary>
    public bool IsOwn(IPAddress address) => IPAddress.IsLoopback(address) || _addresses.Any(own => own.Address.Equals(address));

    /// <summary>Where the node listens by way of these interfaces; IPv4 first, as every implementation speaks it.</summary>
    public List<IPEndPoint> Reachable(IReadOnlyList<Multiaddr> listenAddresses)
    {
        var endpoints = new List<IPEndPoint>();
        foreach (Multiaddr listen in listenAddresses)
        {
            if (!listen.TryGetTcpEndPoint(out IPEndPoint? endpoint) || endpoint.Port == 0) continue;
            bool wildcard = endpoint.Address.Equals(IPAddress.Any) || endpoint.Address.Equals(IPAddress.IPv6Any);
            foreach ((_, IPAddress own) in _addresses)
            {
                if (wildcard ? own.AddressFamily != endpoint.AddressFamily : !own.Equals(endpoint.Address)) continue;
                // A scope means something on this host only.
                IPAddress told = own.IsIPv6LinkLocal ? new IPAddress(own.GetAddressBytes()) : own;
                var concrete = new IPEndPoint(told, endpoint.Port);
                if (!endpoints.Contains(concrete)) endpoints.Add(concrete);
            }
        }

        return [.. endpoints.OrderBy(e => e.Address.IsIPv6LinkLocal ? 2 : e.AddressFamily == AddressFamily.InterNetworkV6 ? 1 : 0)];
    }
}
