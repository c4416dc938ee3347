using FastShare.Transport.Identity;

namespace FastShare.Transport.Dialing.Internal;

/// <summary>How a dial ended.</summary>
internal enum DialOutcome
{
    Pending,

    /// <summary>Everybody who waited has a connection: made by this dial, by another, or by the peer.</summary>
    Connected,

    /// <summary>Every address failed, or time ran out.</summary>
    Failed,

    /// <summary>Its last waiter left, it was aborted, or the node is closing.</summary>
    Cancelled,
}

/// <summary>Whether a dial may use the network yet.</summary>
internal enum DialStage
{
    /// <summary>Only patient callers wait, and the peer's pause after failures is not over.</summary>
    Held,

    /// <summary>As many dials as are allowed at a time are under way: it waits for its turn.</summary>
    InLine,

    UnderWay,
}

/// <summary>
/// One dial to a peer and those who wait for it. Guarded by its <see cref="PendingConnections{TConnection}"/>'s lock unless stated
/// otherwise.
/// </summary>
internal sealed class PendingDial<TConnection>(PeerId peer, bool isLane, DialPlan plan)
    where TConnection : class
{
    public PeerId Peer { get; } = peer;

    /// <summary>Whether the connection is an extra one, which ordinary callers do not get.</summary>
    public bool IsLane { get; } = isLane;

    /// <summary>Its time runs from when the dial gets under way.</summary>
    public DialPlan Plan { get; } = plan;

    public HashSet<DialWaiter<TConnection>> Waiters { get; } = [];

    public DialStage Stage { get; set; } = DialStage.InLine;

    /// <summary>While <see cref="DialStage.Held"/>: until when.</summary>
    public TimeSpan HeldUntil { get; set; }

    /// <summary>Its place in the line; null unless it stands there.</summary>
    public LinkedListNode<PendingDial<TConnection>>? Place { get; set; }

    public DialOutcome Outcome { get; private set; }

    /// <summary>Why it failed or was cancelled.</summary>
    public TransportException? Error { get; private set; }

    /// <summary>Told to the driver whenever it should look for its next step. Thread-safe.</summary>
    public AsyncPulse Changed { get; } = new();

    public void Add(DialWaiter<TConnection> waiter)
    {
        Waiters.Add(waiter);
        waiter.Dial = this;
    }

    public void End(DialOutcome outcome, TransportException? error = null)
    {
        Outcome = outcome;
        Error = error;
        Changed.Set();
    }
}
