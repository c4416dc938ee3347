using FastShare.Transport.Discovery.Internal;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace FastShare.Transport.Discovery;

/// <summary>Settings of <see cref="MdnsDiscovery"/>. The defaults find every rust, go and js libp2p node on the local networks.</summary>
public sealed class MdnsOptions
{
    private readonly string _serviceName = "_p2p._udp.local";
    private readonly TimeSpan _timeToLive = TimeSpan.FromSeconds(120);
    private readonly int _maxPeers = 1024;
    private readonly int _maxAddressesPerPeer = 16;
    private readonly int _maxPacketsPerSecond = 1000;
    private readonly int _maxPacketsPerSecondPerSource = 100;

    /// <summary>
    /// The DNS-SD service to announce and look for. Default: <c>_p2p._udp.local</c>, libp2p's; a private network uses
    /// <c>_p2p-FINGERPRINT._udp.local</c> (libp2p mDNS specification).
    /// </summary>
    /// <exception cref="ArgumentException">Not a DNS name, or too long.</exception>
    public string ServiceName
    {
        get => _serviceName;
        init
        {
            try
            {
                MdnsServiceNames.Create(value);
            }
            catch (FormatException e)
            {
                throw new ArgumentException($"'{value}' cannot be an mDNS service name: {e.Message}", nameof(value), e);
            }

            _serviceName = value;
        }
    }

    /// <summary>
    /// Names of the interfaces to use; <c>lo</c> is the loopback interface on every system. Default, null: every interface that is up and
    /// capable of multicast, but neither loopback nor point-to-point.
    /// </summary>
    public IReadOnlyList<string>? Interfaces { get; init; }

    /// <summary>Whether to use 224.0.0.251. Default: yes.</summary>
    public bool UseIPv4 { get; init; } = true;

    /// <summary>Whether to use ff02::fb. Default: yes.</summary>
    public bool UseIPv6 { get; init; } = true;

    /// <summary>
    /// How long others keep an announcement. Default: 120 s, RFC 6762's for records with addresses. From 10 s to 75 minutes.
    /// </summary>
    public TimeSpan TimeToLive
    {
        get => _timeToLive;
        init
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, TimeSpan.FromSeconds(10));
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value, TimeSpan.FromSeconds(MdnsSightings.MaxTtl));
            _timeToLive = value;
        }
    }

    /// <summary>Peers remembered; beyond it the longest unseen is forgotten. Default: 1024, more than one network segment holds.</summary>
    public int MaxPeers
    {
        get => _maxPeers;
        init => _maxPeers = Positive(value);
    }

    /// <summary>
    /// Addresses remembered of one peer; beyond it the longest unseen is forgotten. Default: 16; one announcement holds 12.
    /// </summary>
    public int MaxAddressesPerPeer
    {
        get => _maxAddressesPerPeer;
        init => _maxAddressesPerPeer = Positive(value);
    }

    /// <summary>Datagrams looked at each second, in total; three seconds' worth may come at once. Default: 1000.</summary>
    public int MaxPacketsPerSecond
    {
        get => _maxPacketsPerSecond;
        init => _maxPacketsPerSecond = Positive(value);
    }

    /// <summary>
    /// Datagrams looked at each second from one address; three seconds' worth may come at once. Default: 100, about ten times
    /// what a host with several libp2p processes sends while they start.
    /// </summary>
    public int MaxPacketsPerSecondPerSource
    {
        get => _maxPacketsPerSecondPerSource;
        init => _maxPacketsPerSecondPerSource = Positive(value);
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
