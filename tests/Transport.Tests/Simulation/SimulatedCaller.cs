using FastShare.Transport.Dialing;
using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Simulation;

/// <summary>Somebody who asked a node for a connection, and what became of it.</summary>
internal sealed class SimulatedCaller(int number, PeerId peer, DialCondition condition)
{
    public int Number { get; } = number;

    public PeerId Peer { get; } = peer;

    public DialCondition Condition { get; } = condition;

    /// <summary>Its place at a dial; null if it got a connection, or a refusal, at once.</summary>
    public DialWaiter<SimulatedEnd>? Waiter { get; set; }

    /// <summary>Whether any shared connection serves it, by what it asked for.</summary>
    public bool TakesAny { get; set; }

    /// <summary>Dials it waited for, one after the other.</summary>
    public List<SimulatedDial> Dials { get; } = [];

    /// <summary>Called when it has got its result by way of a dial.</summary>
    public Action? Answered { get; set; }

    public SimulatedEnd? Connection { get; private set; }

    public TransportException? Error { get; private set; }

    public bool HasLeft { get; private set; }

    /// <summary>Ends the caller's wait when it runs.</summary>
    public VirtualTime.PlannedEvent? Cancellation { get; set; }

    /// <summary>Gives the waiter's result when it runs.</summary>
    public VirtualTime.PlannedEvent? Delivery { get; set; }

    public bool IsAnswered => Connection is not null || Error is not null || HasLeft;

    public void Take(SimulatedEnd connection) => Answer(() => Connection = connection);

    public void Fail(TransportException error) => Answer(() => Error = error);

    public void Leave() => Answer(() => HasLeft = true);

    public override string ToString() => $"caller {Number}";

    private void Answer(Action take)
    {
        if (IsAnswered) throw new InvariantException($"{this} was answered twice");
        Cancellation?.CallOff();
        Delivery?.CallOff();
        take();
    }
}
