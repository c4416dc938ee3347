using FastShare.Transport.Identity;

namespace FastShare.Transport.Dialing;

/// <summary>How one caller wants to be connected with a peer. Immutable; every value is checked when it is set.</summary>
public sealed class DialOptions
{
    /// <summary>When to dial. Default: <see cref="DialCondition.DisconnectedAndNotDialing"/>.</summary>
    public DialCondition Condition
    {
        get;
        init => field = Enum.IsDefined(value) ? value : throw new ArgumentOutOfRangeException(nameof(value), value, "no dial condition");
    }

    /// <summary>
    /// Addresses to try besides those known. They are remembered, and join a dial under way. Those that end in another peer's id
    /// are left out.
    /// </summary>
    public IReadOnlyList<Multiaddr> Addresses
    {
        get;
        init => field = value ?? throw new ArgumentNullException(nameof(value));
    } = [];

    /// <summary>Whether a dial that this call starts also tries addresses that were known before. Default: true.</summary>
    public bool UseKnownAddresses { get; init; } = true;

    /// <summary>
    /// The whole of a dial that this call starts; null: <see cref="SwarmOptions.DialTimeout"/>. A dial that is joined keeps its own.
    /// </summary>
    public TimeSpan? Timeout
    {
        get;
        init => field = value is { } given ? SwarmOptions.Positive(given) : null;
    }

    /// <summary>
    /// Whether a peer whose last dials failed is left alone until its pause is over (exponential, at most 30 s), rather than dialed at
    /// once. News of the peer, a connection from it and callers without this patience end the wait early.
    /// </summary>
    internal bool WaitsForBackoff { get; init; }
}
