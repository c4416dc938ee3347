using System.Net;
using System.Net.Sockets;

namespace FastShare.Transport.Discovery.Internal;

/// <summary>One of this host's addresses on a link.</summary>
/// <param name="Address">The address, without a scope id.</param>
/// <param name="PrefixLength">Bits that neighbours on the link share with it.</param>
internal readonly record struct LinkAddress(IPAddress Address, int PrefixLength)
{
    /// <summary>Whether <paramref name="other"/> is in this address's network.</summary>
    public bool Covers(IPAddress other) =>
        other.AddressFamily == Address.AddressFamily && new IPNetwork(Masked(Address, PrefixLength), PrefixLength).Contains(other);

    private static IPAddress Masked(IPAddress address, int prefixLength)
    {
        byte[] bytes = address.GetAddressBytes();
        for (int i = 0; i < bytes.Length; i++)
        {
            int bits = Math.Clamp(prefixLength - (i * 8), 0, 8);
            bytes[i] &= (byte)(0xff << (8 - bits));
        }

        return new IPAddress(bytes);
    }
}

/// <summary>A network interface as discovery sees it at one moment. Immutable.</summary>
/// <param name="Index">The operating system's index of it; names the link in the core.</param>
/// <param name="Name">Its name.</param>
/// <param name="IsLoopback">Whether it is the loopback interface.</param>
/// <param name="Addresses">This host's addresses on it.</param>
internal sealed record MdnsLink(int Index, string Name, bool IsLoopback, IReadOnlyList<LinkAddress> Addresses)
{
    /// <summary>Whether this host has addresses of a family on the link.</summary>
    public bool Has(AddressFamily family) => Addresses.Any(a => a.Address.AddressFamily == family);

    /// <summary>Whether the address is one of this host's on the link.</summary>
    public bool IsOwn(IPAddress address) => Addresses.Any(a => a.Address.Equals(address));

    /// <summary>
    /// Whether a packet from <paramref name="source"/> can have come from the link itself rather than through a router
    /// (RFC 6762, 11): link-local by its form, or inside the network of one of this host's addresses.
    /// </summary>
    public bool IsOnLink(IPAddress source)
    {
        if (IPAddress.IsLoopback(source)) return IsLoopback;
        return IsLinkLocal(source) || Addresses.Any(a => a.Covers(source));
    }

    /// <summary>fe80::/10 or 169.254.0.0/16: never forwarded by a router.</summary>
    public static bool IsLinkLocal(IPAddress address) =>
        address.IsIPv6LinkLocal || (address.AddressFamily == AddressFamily.InterNetwork && address.GetAddressBytes() is [169, 254, ..]);

    /// <summary>The address without its scope, which is how links hold addresses.</summary>
    public static IPAddress WithoutScope(IPAddress address) =>
        address.AddressFamily == AddressFamily.InterNetworkV6 && address.ScopeId != 0 ? new IPAddress(address.GetAddressBytes()) : address;

    /// <summary>Same interface with the same addresses in the same order.</summary>
    public bool Equals(MdnsLink? other) =>
        other is not null && Index == other.Index && Name == other.Name && IsLoopback == other.IsLoopback
        && Addresses.SequenceEqual(other.Addresses);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Index, Name, Addresses.Count);
}
