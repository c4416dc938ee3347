using System.Diagnostics.Metrics;
using FastShare.Transport.Dialing;
using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace FastShare.Transport;

/// <summary>How connections are secured.</summary>
public enum SecurityMode
{
    /// <summary>
    /// Noise. Between FastShare nodes whose processors have AES instructions its cipher is AEGIS-128L, with every other libp2p peer
    /// ChaCha20-Poly1305. The default.
    /// </summary>
    Noise,

    /// <summary>No encryption and no authentication, for benchmarks. Both sides must ask for it.</summary>
    InsecurePlaintext,

    /// <summary>
    /// Noise with AES-256-GCM (NIST SP 800-38D) instead of AEGIS-128L. A listener in the mode <see cref="Noise"/> accepts it; if the
    /// dialer is in that mode and this side listens, ChaCha20-Poly1305 remains.
    /// </summary>
    NoiseAesGcm,
}

/// <summary>Settings of a <see cref="Swarm"/>. Every value is checked when it is set.</summary>
public sealed class SwarmOptions
{
    /// <summary>This node's identity. The swarm does not dispose it.</summary>
    public required PeerIdentity Identity { get; init; }

    /// <summary>Transports to dial and listen with; the first that supports an address is used. Default: TCP.</summary>
    public IReadOnlyList<ITransport>? Transports { get; init; }

    /// <summary>How connections are secured. Default: <see cref="SecurityMode.Noise"/>.</summary>
    public SecurityMode Security { get; init; } = SecurityMode.Noise;

    /// <summary>What identify calls this program, at most 256 characters. Default: <c>fastshare/VERSION</c>.</summary>
    public string? AgentVersion
    {
        get;
        init => field = value is null or { Length: <= 256 }
            ? value
            : throw new ArgumentOutOfRangeException(nameof(value), "the agent version has at most 256 characters");
    }

    /// <summary>The clock. Default: the system's.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Where logs go. Default: nowhere.</summary>
    public ILoggerFactory LoggerFactory { get; init; } = NullLoggerFactory.Instance;

    /// <summary>
    /// Makes the meter <c>FastShare.Transport</c> of this node; it has to live as long. Default: one meter that all nodes of the
    /// process share.
    /// </summary>
    public IMeterFactory? MeterFactory { get; init; }

    /// <summary>The application's say in who is connected with. Default: nobody objects.</summary>
    public IConnectionPolicy? ConnectionPolicy { get; init; }

    /// <summary>The whole of one dial: all addresses, their upgrades included. Default: 15 s (others use 10 to 60 s).</summary>
    public TimeSpan DialTimeout { get; init => field = Positive(value); } = TimeSpan.FromSeconds(15);

    /// <summary>Connecting to one address, before security: TCP's handshake. Default: 5 s, as go-libp2p.</summary>
    public TimeSpan ConnectTimeout { get; init => field = Positive(value); } = TimeSpan.FromSeconds(5);

    /// <summary>Security and multiplexer negotiation of one connection. Default: 10 s, as rust-libp2p.</summary>
    public TimeSpan UpgradeTimeout { get; init => field = Positive(value); } = TimeSpan.FromSeconds(10);

    /// <summary>Protocol negotiation of one stream, on either side. Default: 10 s, as go-libp2p and rust-libp2p.</summary>
    public TimeSpan StreamNegotiationTimeout { get; init => field = Positive(value); } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// A connection that nothing has used for this long is closed in good order. Open streams use it, their handlers, and
    /// <see cref="PeerConnection.KeepAlive"/>; ping and identify do not. Default: 10 s, as rust-libp2p.
    /// <see cref="Timeout.InfiniteTimeSpan"/>: never.
    /// </summary>
    public TimeSpan IdleTimeout
    {
        get;
        init => field = value == Timeout.InfiniteTimeSpan ? value : Positive(value);
    } = TimeSpan.FromSeconds(10);

    /// <summary>Connections that came in and are open; further ones are closed at once. Default: 2048.</summary>
    public int MaxInboundConnections { get; init => field = Positive(value); } = 2048;

    /// <summary>Connections that this node dialed and that are open. Default: null, no limit: the application chooses whom to dial.</summary>
    public int? MaxOutboundConnections { get; init => field = Positive(value); }

    /// <summary>Connections with one peer, whoever dialed, lanes included. Default: null, no limit.</summary>
    public int? MaxConnectionsPerPeer { get; init => field = Positive(value); }

    /// <summary>Connections in all. Default: null, no limit beyond the others.</summary>
    public int? MaxConnections { get; init => field = Positive(value); }

    /// <summary>
    /// Dials under way at a time. Further ones wait in line, first come, first served, and their time-out runs from when it is their
    /// turn: asking for many peers at once is no reason to fail any of them. Null: no limit. Default: 128 (go-libp2p: 160 sockets; a
    /// dial may have 8).
    /// </summary>
    public int? MaxPendingOutbound { get; init => field = Positive(value); } = 128;

    /// <summary>
    /// Peers for which no limit on open connections or dials holds; see <see cref="Swarm.ExemptFromLimits"/>. While there are any,
    /// connections beyond <see cref="MaxInboundConnections"/> are secured before they are refused, to see whose they are.
    /// </summary>
    public IReadOnlyCollection<PeerId> ExemptPeers
    {
        get;
        init => field = value ?? throw new ArgumentNullException(nameof(value));
    } = [];

    /// <summary>Peers whose addresses are remembered because the application or discovery gave them. Default: 1000.</summary>
    public int MaxKnownPeers { get; init => field = Positive(value); } = AddressBook.MaxPeers;

    /// <summary>Peers whose addresses are remembered although only they themselves told them. Default: 100, as rust-libp2p.</summary>
    public int MaxClaimingPeers { get; init => field = Positive(value); } = AddressBook.MaxClaimants;

    /// <summary>
    /// Connections that came in and are still being secured. Further ones wait; the one that has taken longest, once that is more
    /// than 250 ms, makes room. Default: 128 (go-libp2p queues 16, js-libp2p 10; a place is held for a few round trips only).
    /// </summary>
    public int MaxPendingInbound { get; init => field = Positive(value); } = 128;

    /// <summary>
    /// Connections that came in from one IPv4 address or IPv6 /56, open or being secured; further ones are closed at once. This
    /// machine itself is exempt. Default: 64 (go-libp2p: 8; FastShare opens several to one peer, and whole offices come from one address).
    /// </summary>
    public int MaxInboundPerSource { get; init => field = Positive(value); } = 64;

    internal static TimeSpan Positive(TimeSpan value)
    {
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(value, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(value, TimeSpan.FromDays(1));
        return value;
    }

    private static int Positive(int value)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
        return value;
    }

    private static int? Positive(int? value) => value is { } limit ? Positive(limit) : null;
}
