using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Simulation;

/// <summary>Somebody who asked a node for a connection, and what became of it.</summary>
internal sealed class SimulatedCaller(int number, PeerId peer, TimeSpan since)
{
    public int Number { get; } = number;

    public PeerId Peer { get; } = peer;

    public TimeSpan Since { get; } = since;

    /// <summary>The dial it waits for; null once it does not.</summary>
    public SimulatedDial? Dial { get; set; }

    /// <summary>Its place at that dial; null if it never had to wait.</summary>
    public DialWaiter<SimulatedEnd>? Waiter { get; set; }

    public SimulatedEnd? Connection { get; private set; }

    public TransportException? Error { get; private set; }

    public bool HasLeft { get; private set; }

    /// <summary>Ends the caller's wait when it runs.</summary>
    public VirtualTime.PlannedEvent? Cancellation { get; set; }

    /// <summary>Gives the result of a settled dial when it runs.</summary>
    public VirtualTime.PlannedEvent? Delivery { get; set; }

    public bool IsAnswered => Connection is not null || Error is not null || HasLeft;

    public void Take(SimulatedEnd connection) => Answer(() => Connection = connection);

    public void Fail(TransportException error) => Answer(() => Error = error);

    public void Leave() => Answer(() => HasLeft = true);

    public override string ToString() => $"caller {Number}";

    private void Answer(Action take)
    {
        if (IsAnswered) throw new InvariantException($"{this} was answered twice");
        Dial = null;
        Cancellation?.CallOff();
        Delivery?.CallOff();
        take();
    }
}
