using FastShare.Transport.Identity;

namespace FastShare.Transport.Watching;

/// <summary>Where this node stands with a peer, in one word; the first that holds.</summary>
public enum PeerStatus
{
    /// <summary>Nothing is known of it, or no longer.</summary>
    Unknown,

    /// <summary>At least one connection is open.</summary>
    Connected,

    /// <summary>A dial is under way.</summary>
    Dialing,

    /// <summary>It is left alone for a while, because dials failed.</summary>
    BackingOff,

    /// <summary>A discovery announces it.</summary>
    Discovered,

    /// <summary>A discovery announced it, and does so no longer.</summary>
    Expired,

    /// <summary>It was connected, or could not be reached.</summary>
    Disconnected,
}

/// <summary>A pause before a peer is dialed again.</summary>
/// <param name="Until">When it ends.</param>
/// <param name="Reason">The failure it follows.</param>
public sealed record PeerBackoff(DateTimeOffset Until, TransportException Reason);

/// <summary>How a connection with a peer ended.</summary>
/// <param name="At">When.</param>
/// <param name="Cause">Why.</param>
/// <param name="Error">What went wrong; null where nothing did.</param>
public sealed record PeerDisconnect(DateTimeOffset At, DisconnectCause Cause, TransportException? Error);

/// <summary>All that is known of the state of one peer at one moment. Immutable.</summary>
/// <param name="Peer">The peer.</param>
public sealed record PeerState(PeerId Peer)
{
    /// <summary>The state in one word.</summary>
    public PeerStatus Status { get; init; }

    /// <summary>Addresses that discoveries announce now; empty: none does. At most 32.</summary>
    public IReadOnlyList<Multiaddr> DiscoveredAddresses { get; init; } = [];

    /// <summary>Whether a dial is under way; there may be connections beside it.</summary>
    public bool IsDialing { get; init; }

    /// <summary>Open connections.</summary>
    public int Connections { get; init; }

    /// <summary>Smoothed round-trip time of the fastest connection; null before the first measurement.</summary>
    public TimeSpan? RoundTripTime { get; init; }

    /// <summary>The security protocol of the oldest connection, such as <c>/noise</c>; null: not connected.</summary>
    public string? Security { get; init; }

    /// <summary>The pause that is kept before the peer is dialed again; null: none.</summary>
    public PeerBackoff? Backoff { get; init; }

    /// <summary>Why the latest dial failed; null: it did not, or there was none.</summary>
    public TransportException? DialError { get; init; }

    /// <summary>How the latest connection to end did; null: none has.</summary>
    public PeerDisconnect? LastDisconnect { get; init; }
}
