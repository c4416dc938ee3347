using System.Security.Cryptography;

namespace FastShare.Transport.Discovery.Internal;

/// <summary>The names this node uses: the service, and its own random ones. Immutable.</summary>
/// <param name="Service">Such as <c>_p2p._udp.local</c>.</param>
/// <param name="Instance">This node's instance of the service.</param>
/// <param name="Host">This node's host name, target of its SRV record.</param>
internal sealed record MdnsServiceNames(DnsName Service, DnsName Instance, DnsName Host)
{
    // libp2p mDNS specification: 32 to 63 characters, new per process, not the peer id. So many random characters need no probing.
    private const int LabelLength = 40;

    /// <summary>Asked by tools that list the kinds of services on a network (RFC 6763, 9).</summary>
    public static readonly DnsName Enumeration = DnsName.Parse("_services._dns-sd._udp.local");

    private static readonly DnsName Local = DnsName.Parse("local");

    /// <summary>Names with a new random label.</summary>
    /// <exception cref="FormatException">The service name is not a DNS name, or too long.</exception>
    public static MdnsServiceNames Create(string service)
    {
        DnsName name = DnsName.Parse(service);
        string label = RandomNumberGenerator.GetString("abcdefghijklmnopqrstuvwxyz0123456789", LabelLength);
        return new MdnsServiceNames(name, name.Prepend(label), Local.Prepend(label));
    }
}
