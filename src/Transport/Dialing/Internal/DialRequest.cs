namespace FastShare.Transport.Dialing.Internal;

/// <summary>What one caller asks of the dialer; see <see cref="DialOptions"/>.</summary>
/// <param name="Condition">When a dial is started for this caller.</param>
/// <param name="Candidates">Addresses for a dial that is started or joined.</param>
/// <param name="Timeout">The whole of a dial that is started, from when it gets under way.</param>
internal readonly record struct DialRequest(DialCondition Condition, IReadOnlyCollection<DialCandidate> Candidates, TimeSpan Timeout)
{
    /// <summary>Whether a dial that is started also tries addresses known before.</summary>
    public bool UsesKnown { get; init; } = true;

    /// <summary>Whether the caller rather waits until the peer's pause after failures is over than has it dialed at once.</summary>
    public bool IsPatient { get; init; }
}

/// <summary>What a caller gets.</summary>
internal enum JoinKind
{
    /// <summary>No address is known.</summary>
    NoAddresses,

    /// <summary>A dial would have to be started, which this call must not do.</summary>
    NeedsDial,

    /// <summary>An open connection.</summary>
    Open,

    /// <summary>A place among those who wait for a dial.</summary>
    Joined,

    /// <summary>As <see cref="Joined"/>; the dial was made by this call: the caller has it driven.</summary>
    Started,
}

/// <summary>What a caller got; see <see cref="JoinKind"/>.</summary>
internal readonly record struct JoinResult<TConnection>(
    JoinKind Kind, TConnection? Connection = null, DialWaiter<TConnection>? Waiter = null, PendingDial<TConnection>? Dial = null)
    where TConnection : class;

/// <summary>What became of a connection that is ready.</summary>
/// <param name="Count">Connections to the peer, this one included; 0 if it was not listed.</param>
/// <param name="IsLane">Whether it belongs to the caller who dialed it alone.</param>
/// <param name="Refused">Why it was not listed: the caller closes it.</param>
/// <param name="IsAskedFor">Whether somebody asked for it beside others that may exist.</param>
internal readonly record struct Establishment(int Count, bool IsLane, TransportException? Refused, bool IsAskedFor = false);
