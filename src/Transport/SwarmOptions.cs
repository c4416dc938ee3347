using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace FastShare.Transport;

/// <summary>How connections are secured.</summary>
public enum SecurityMode
{
    /// <summary>Noise, with AES-256-GCM between FastShare nodes whose processors have AES instructions. The default.</summary>
    Noise,

    /// <summary>No encryption and no authentication, for benchmarks. Both sides must ask for it.</summary>
    InsecurePlaintext,
}

/// <summary>Settings of a <see cref="Swarm"/>.</summary>
public sealed class SwarmOptions
{
    /// <summary>This node's identity. The swarm does not dispose it.</summary>
    public required PeerIdentity Identity { get; init; }

    /// <summary>Transports to dial and listen with. Default: TCP.</summary>
    public IReadOnlyList<ITransport>? Transports { get; init; }

    /// <summary>How connections are secured. Default: <see cref="SecurityMode.Noise"/>.</summary>
    public SecurityMode Security { get; init; } = SecurityMode.Noise;

    /// <summary>What identify calls this program. Default: <c>fastshare/VERSION</c>.</summary>
    public string? AgentVersion { get; init; }

    /// <summary>The clock. Default: the system's.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Where logs go. Default: nowhere.</summary>
    public ILoggerFactory LoggerFactory { get; init; } = NullLoggerFactory.Instance;

    /// <summary>The whole of one dial: all addresses, their upgrades included. Default: 15 s (libp2p implementations use 10 to 60 s).</summary>
    public TimeSpan DialTimeout { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Security and multiplexer negotiation of one connection. Default: 10 s, as rust-libp2p.</summary>
    public TimeSpan UpgradeTimeout { get; init; } = TimeSpan.FromSeconds(10);
}
