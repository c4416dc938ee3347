using FastShare.Transport.Identity;

namespace FastShare.Transport.Dialing.Internal;

/// <summary>How a pending connection task ended.</summary>
internal enum DialOutcome
{
    Pending,

    /// <summary>A connection came up: by this dial, or from the peer.</summary>
    Connected,

    /// <summary>Every address failed, or time ran out.</summary>
    Failed,

    /// <summary>Its last waiter left, or the node is closing.</summary>
    Cancelled,
}

/// <summary>
/// One pending connection task, shared by everybody who wants to reach its peer. Guarded by its
/// <see cref="PendingConnections{TConnection}"/>'s lock unless stated otherwise.
/// </summary>
internal sealed class PendingDial<TConnection>(PeerId peer, bool isLane, DialPlan plan)
    where TConnection : class
{
    // Immutable; continuations of waiters never run under the lock.
    private readonly TaskCompletionSource<TConnection> _result = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public PeerId Peer { get; } = peer;

    /// <summary>Whether the connection is an extra one, which ordinary callers do not get.</summary>
    public bool IsLane { get; } = isLane;

    public DialPlan Plan { get; } = plan;

    /// <summary>Callers that wait for the result.</summary>
    public int Waiters { get; set; } = 1;

    public DialOutcome Outcome { get; private set; }

    /// <summary>The shared result. Thread-safe.</summary>
    public Task<TConnection> Result => _result.Task;

    /// <summary>Told to the driver whenever it should look for its next step. Thread-safe.</summary>
    public AsyncPulse Changed { get; } = new();

    public void Succeed(TConnection connection)
    {
        if (Outcome != DialOutcome.Pending) return;
        Outcome = DialOutcome.Connected;
        _result.SetResult(connection);
        Changed.Set();
    }

    public void Fail(DialOutcome outcome, TransportException error)
    {
        if (Outcome != DialOutcome.Pending) return;
        Outcome = outcome;
        _result.SetException(error);
        _ = _result.Task.Exception; // observed: there may be no waiter left
        Changed.Set();
    }
}
