using System.Globalization;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;

namespace FastShare.Transport.Discovery.Internal;

/// <summary>The interfaces and sockets of this host. Thread-safe.</summary>
internal sealed class SystemMdnsNetwork(MdnsOptions options) : IMdnsNetwork
{
    private const string WayOut = "give the peer's address instead (…/ip4/ADDRESS/tcp/PORT/p2p/ID)";
    private const int PointToPointFlag = 0x10; // IFF_POINTOPOINT, linux/if.h

    public IReadOnlyList<MdnsLink> GetLinks(out TransportException? problem)
    {
        problem = null;
        NetworkInterface[] interfaces;
        try
        {
            interfaces = NetworkInterface.GetAllNetworkInterfaces();
        }
        catch (NetworkInformationException e)
        {
            problem = new TransportException(TransportError.Io,
                $"mDNS cannot list this machine's network interfaces: {e.Message}; {WayOut}", e);
            return [];
        }

        if (options.Interfaces?.FirstOrDefault(name => !interfaces.Any(i => IsNamed(i, name))) is { } missing)
        {
            string all = string.Join(", ", interfaces.Select(i => i.Name));
            problem = new TransportException(TransportError.InvalidAddress,
                $"there is no network interface '{missing}' on this machine; it has {all}");
        }

        var links = new List<MdnsLink>();
        foreach (NetworkInterface candidate in interfaces)
        {
            bool chosen = options.Interfaces is null ? IsSuitable(candidate) : options.Interfaces.Any(name => IsNamed(candidate, name));
            if (chosen && IsUp(candidate) && TryDescribe(candidate) is { } link) links.Add(link);
        }

        if (links.Count == 0)
        {
            string which = options.Interfaces is null
                ? "no network interface of this machine is up, has an address and can multicast"
                : $"the interface {string.Join(", ", options.Interfaces)} is not up or has no address";
            problem ??= new TransportException(TransportError.Unreachable,
                $"mDNS cannot look for peers: {which}; connect to a network, or {WayOut}");
        }

        return links;
    }

    public IMdnsPort Open(MdnsLink link, AddressFamily family, IPAddress localAddress, IMdnsListener listener) =>
        MdnsSocket.Open(link, family, localAddress, listener);

    public IDisposable Watch(Action changed) => new Subscription(changed);

    private static bool IsNamed(NetworkInterface candidate, string name) =>
        string.Equals(candidate.Name, name, OperatingSystem.IsWindows() ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal)
        || (name == "lo" && candidate.NetworkInterfaceType == NetworkInterfaceType.Loopback);

    // Loopback and tunnel interfaces report "unknown" on Linux.
    private static bool IsUp(NetworkInterface candidate) =>
        candidate.OperationalStatus is OperationalStatus.Up or OperationalStatus.Unknown;

    private static bool IsSuitable(NetworkInterface candidate)
    {
        bool isOther = candidate.NetworkInterfaceType
            is NetworkInterfaceType.Loopback or NetworkInterfaceType.Ppp or NetworkInterfaceType.Tunnel;
        return !isOther && candidate.SupportsMulticast && !IsPointToPoint(candidate.Name);
    }

    // The framework does not tell the flags; tun and WireGuard interfaces have a type it calls unknown.
    private static bool IsPointToPoint(string name)
    {
        if (!OperatingSystem.IsLinux()) return false;
        try
        {
            ReadOnlySpan<char> text = File.ReadAllText($"/sys/class/net/{name}/flags").AsSpan().Trim();
            return text.StartsWith("0x") && int.TryParse(text[2..], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out int flags)
                && (flags & PointToPointFlag) != 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false; // gone meanwhile, or no sysfs here: then it is taken for an ordinary one
        }
    }

    private static MdnsLink? TryDescribe(NetworkInterface candidate)
    {
        try
        {
            IPInterfaceProperties properties = candidate.GetIPProperties();
            var addresses = new List<LinkAddress>();
            foreach (UnicastIPAddressInformation unicast in properties.UnicastAddresses)
                addresses.Add(new LinkAddress(MdnsLink.WithoutScope(unicast.Address), unicast.PrefixLength));

            if (addresses.Count == 0) return null;
            int index = candidate.Supports(NetworkInterfaceComponent.IPv4)
                ? properties.GetIPv4Properties().Index
                : properties.GetIPv6Properties().Index;
            return new MdnsLink(index, candidate.Name, candidate.NetworkInterfaceType == NetworkInterfaceType.Loopback, addresses);
        }
        catch (NetworkInformationException)
        {
            return null; // went away meanwhile
        }
    }

    // Cables and carriers show as availability, addresses as addresses.
    private sealed class Subscription : IDisposable
    {
        private readonly NetworkAddressChangedEventHandler _addresses;
        private readonly NetworkAvailabilityChangedEventHandler _availability;

        public Subscription(Action changed)
        {
            _addresses = (_, _) => changed();
            _availability = (_, _) => changed();
            NetworkChange.NetworkAddressChanged += _addresses;
            NetworkChange.NetworkAvailabilityChanged += _availability;
        }

        public void Dispose()
        {
            NetworkChange.NetworkAddressChanged -= _addresses;
            NetworkChange.NetworkAvailabilityChanged -= _availability;
        }
    }
}
