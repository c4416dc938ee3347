using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Dialing.Internal;

/// <summary>What this machine's interfaces say about addresses. Thread-safe.</summary>
internal sealed class LocalNetwork
{
    /// <summary>Listing interfaces costs a millisecond or more; they rarely change.</summary>
    private static readonly TimeSpan Freshness = TimeSpan.FromSeconds(5);

    private static readonly IPNetwork[] PrivateNetworks =
    [
        IPNetwork.Parse("10.0.0.0/8"), IPNetwork.Parse("172.16.0.0/12"), IPNetwork.Parse("192.168.0.0/16"), // RFC 1918
        IPNetwork.Parse("169.254.0.0/16"), IPNetwork.Parse("fe80::/10"), // link-local, RFC 3927 and RFC 4291
        IPNetwork.Parse("100.64.0.0/10"), // shared address space, RFC 6598; overlay networks use it
        IPNetwork.Parse("fc00::/7"), // unique local, RFC 4193
    ];

    private readonly TimeProvider _time;
    private readonly Func<IReadOnlyList<InterfaceAddress>> _list;
    private readonly Lock _lock = new();
    private IReadOnlyList<InterfaceAddress>? _addresses; // _lock
    private long _listedAt; // _lock

    public LocalNetwork(TimeProvider time, Func<IReadOnlyList<InterfaceAddress>>? list = null)
    {
        _time = time;
        _list = list ?? List;
    }

    /// <summary>An address of an interface that is up.</summary>
    internal readonly record struct InterfaceAddress(IPAddress Address, int PrefixLength);

    /// <summary>Addresses of all interfaces that are up, loopback last.</summary>
    public IReadOnlyList<InterfaceAddress> Addresses
    {
        get
        {
            lock (_lock)
            {
                if (_addresses is null || _time.GetElapsedTime(_listedAt) > Freshness)
                {
                    _addresses = [.. _list().OrderBy(a => IPAddress.IsLoopback(a.Address))];
                    _listedAt = _time.GetTimestamp();
                }

                return _addresses;
            }
        }
    }

    public DialCandidate Classify(Multiaddr address) => new(address, ScopeOf(address));

    private AddressScope ScopeOf(Multiaddr address)
    {
        if (address.TryGetMemoryName(out _)) return AddressScope.Host;
        if (address.TryGetTcpEndPoint(out IPEndPoint? endpoint)) return ScopeOf(endpoint.Address);
        if (address.TryGetDnsTcp(out string? name, out _, out _))
        {
            if (name.Equals("localhost", StringComparison.OrdinalIgnoreCase)) return AddressScope.Host;
            if (name.EndsWith(".local", StringComparison.OrdinalIgnoreCase)) return AddressScope.Private; // mDNS names
        }

        return AddressScope.Public;
    }

    private AddressScope ScopeOf(IPAddress ip)
    {
        if (IPAddress.IsLoopback(ip)) return AddressScope.Host;
        AddressScope scope = Array.Exists(PrivateNetworks, network => network.Contains(ip)) ? AddressScope.Private : AddressScope.Public;
        foreach (InterfaceAddress local in Addresses)
        {
            if (local.Address.AddressFamily != ip.AddressFamily) continue;
            ReadOnlySpan<byte> ours = local.Address.GetAddressBytes(), theirs = ip.GetAddressBytes();
            if (ours.SequenceEqual(theirs)) return AddressScope.Host;
            // A /0 or /32 (point-to-point links) says nothing about neighbours.
            int prefix = local.PrefixLength;
            if (prefix > 0 && prefix < 8 * ours.Length && SamePrefix(ours, theirs, prefix)) scope = AddressScope.Subnet;
        }

        return scope;
    }

    private static bool SamePrefix(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b, int bits)
    {
        int whole = bits / 8, rest = bits % 8;
        if (!a[..whole].SequenceEqual(b[..whole])) return false;
        return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
    }

    private static List<InterfaceAddress> List()
    {
        var addresses = new List<InterfaceAddress>();
        try
        {
            foreach (NetworkInterface nic in NetworkInterface.GetAllNetworkInterfaces())
            {
                if (nic.OperationalStatus is not (OperationalStatus.Up or OperationalStatus.Unknown)) continue;
                foreach (UnicastIPAddressInformation address in nic.GetIPProperties().UnicastAddresses)
                {
                    if (address.Address.AddressFamily is AddressFamily.InterNetwork or AddressFamily.InterNetworkV6)
                        addresses.Add(new InterfaceAddress(address.Address, address.PrefixLength));
                }
            }
        }
        catch (NetworkInformationException)
        {
            // No right to list interfaces (some sandboxes): nothing is known to be near.
        }

        return addresses;
    }
}
