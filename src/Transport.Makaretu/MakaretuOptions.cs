using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace FastShare.Transport.Makaretu;

/// <summary>Settings of <see cref="MakaretuDiscovery"/>.</summary>
public sealed class MakaretuOptions
{
    private readonly int _maxPeers = 1024;
    private readonly int _maxAddressesPerPeer = 16;

    /// <summary>The DNS-SD service to announce and look for. Default: <c>_p2p._udp.local</c> (libp2p mDNS specification).</summary>
    public string ServiceName { get; init; } = "_p2p._udp.local";

    /// <summary>
    /// Names of the interfaces to use. Default, null: all that Makaretu.Dns.Multicast uses, which are those that are up without the
    /// loopback interface, and that one only where nothing else is up.
    /// </summary>
    public IReadOnlyList<string>? Interfaces { get; init; }

    /// <summary>Whether to use 224.0.0.251. Default: yes.</summary>
    public bool UseIPv4 { get; init; } = true;

    /// <summary>Whether to use ff02::fb. Default: yes, where the system supports IPv6.</summary>
    public bool UseIPv6 { get; init; } = true;

    /// <summary>Peers remembered; beyond it the longest unseen is forgotten. Default: 1024.</summary>
    public int MaxPeers
    {
        get => _maxPeers;
        init => _maxPeers = Positive(value);
    }

    /// <summary>Addresses remembered of one peer; further ones are ignored. Default: 16.</summary>
    public int MaxAddressesPerPeer
    {
        get => _maxAddressesPerPeer;
        init => _maxAddressesPerPeer = Positive(value);
    }

    /// <summary>The clock. Default: the system's.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Where logs go. Default: nowhere.</summary>
    public ILoggerFactory LoggerFactory { get; init; } = NullLoggerFactory.Instance;

    private static int Positive(int value)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(value);
        return value;
    }
}
