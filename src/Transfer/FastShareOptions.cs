using System.Diagnostics.Metrics;
using FastShare.Transport;
using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace FastShare.Transfer;

/// <summary>Settings of a <see cref="FastShareNode"/>.</summary>
public sealed class FastShareOptions
{
    /// <summary>Longest <see cref="Name"/>, in UTF-8 bytes: a DNS label's length.</summary>
    public const int MaxNameLength = 63;

    internal const long DefaultMaxBufferedBytes = 64 << 20;

    /// <summary>This node's identity; the node does not dispose it. Default: a fresh one, disposed with the node.</summary>
    public PeerIdentity? Identity { get; init; }

    /// <summary>Where to listen. Default: every address, IPv4 and IPv6, a port chosen by the system. Empty: do not listen.</summary>
    public IReadOnlyList<Multiaddr> Listen { get; init; } = [Multiaddr.Parse("/ip4/0.0.0.0/tcp/0"), Multiaddr.Parse("/ip6/::/tcp/0")];

    /// <summary>Discoveries to run. Default: none. The node disposes them.</summary>
    public IReadOnlyList<IPeerDiscovery> Discovery { get; init; } = [];

    /// <summary>
    /// A name people know this node by, 1 to 63 UTF-8 bytes without control characters; told to peers. Default: the machine's name.
    /// </summary>
    public string? Name { get; init; }

    /// <summary>How connections are secured.</summary>
    public SecurityMode Security { get; init; } = SecurityMode.Noise;

    /// <summary>Transports to dial and listen with. Default: TCP.</summary>
    public IReadOnlyList<ITransport>? Transports { get; init; }

    /// <summary>Asked before anything of an offer is written. Default: every offer is refused.</summary>
    public ConsentPolicy? Consent { get; init; }

    /// <summary>Limits on what peers may start here.</summary>
    public IncomingLimits Limits { get; init; } = new();

    /// <summary>Bytes a second that all outgoing transfers together send at most; null: no limit. Changed by the node's property.</summary>
    public long? RateLimit
    {
        get;
        init
        {
            if (value is { } rate) ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rate);
            field = value;
        }
    }

    /// <summary>
    /// Memory that the chunks of all transfers being sent may take between disk and connections, in bytes, in equal parts: at least 1 MiB.
    /// Each may hold one chunk, whatever its part. Default: 64 MiB. <see cref="SendOptions.MaxBufferedBytes"/> limits each further.
    /// </summary>
    public long MaxBufferedBytes
    {
        get;
        init
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1 << 20);
            field = value;
        }
    } = DefaultMaxBufferedBytes;

    /// <summary>The clock.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Where logs go.</summary>
    public ILoggerFactory LoggerFactory { get; init; } = NullLoggerFactory.Instance;

    /// <summary>Makes the meters; null: all nodes of the process share one per library. See docs/telemetry.md.</summary>
    public IMeterFactory? MeterFactory { get; init; }
}

/// <summary>Limits on incoming transfers. What exceeds one is refused with a text that names it.</summary>
public sealed record IncomingLimits
{
    /// <summary>Transfers under way at once from one peer. Default: 16.</summary>
    public int TransfersPerPeer { get; init; } = 16;

    /// <summary>Transfers under way at once from all peers. Default: 64.</summary>
    public int Transfers { get; init; } = 64;

    /// <summary>
    /// Entries of one manifest, at most 10 million (the default). A manifest is given 200 bytes of memory for each, at least 16 MiB; neighbours in
    /// a tree take a fifth of that. Of one that is not decided about, no more is read than 8 MiB of memory hold.
    /// </summary>
    public long Entries { get; init; } = Framing.TransferProtocol.MaxEntries;

    /// <summary>How long an accepted transfer whose connection was lost waits for its sender to come back. Default: 2 minutes.</summary>
    public TimeSpan ReconnectWindow { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>For tests: the file system to receive into; null: this machine's.</summary>
    internal Storage.Internal.IStorageSystem? Storage { get; init; }
}
