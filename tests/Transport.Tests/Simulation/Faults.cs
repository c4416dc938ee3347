using FastShare.Transport.Dialing;
using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Simulation;

/// <summary>Bugs to be put into the machines, to prove that the simulation finds them.</summary>
internal enum Fault
{
    None,

    /// <summary>A second caller's dial is refused while the first is under way.</summary>
    SecondDialIsRefused,

    /// <summary>A connection that comes in does not complete the pending dial.</summary>
    InboundDoesNotCompleteTheDial,

    /// <summary>Whoever leaves a dial ends it for all.</summary>
    AnyWaiterCancelsTheDial,

    /// <summary>The last waiter leaves, and the dial goes on.</summary>
    DialsGoOnWithoutWaiters,

    /// <summary>The first address that fails ends the dial.</summary>
    FirstErrorEndsTheDial,

    /// <summary>A dial that fails takes the callers of other dials to the peer with it.</summary>
    FailingDialFailsOthers,

    /// <summary>A connection that is over stays in the table.</summary>
    LostConnectionsStayListed,
}

internal static class Faults
{
    public static DialTable TableWith(Fault fault) => fault switch
    {
        Fault.SecondDialIsRefused => new Refusing(),
        Fault.InboundDoesNotCompleteTheDial => new IgnoringInbound(),
        Fault.AnyWaiterCancelsTheDial => new CancellingAtOnce(),
        Fault.DialsGoOnWithoutWaiters => new GoingOn(),
        Fault.FirstErrorEndsTheDial => new EndingEarly(),
        Fault.FailingDialFailsOthers => new FailingAll(),
        Fault.LostConnectionsStayListed => new Keeping(),
        _ => new DialTable(),
    };

    private sealed class Refusing : DialTable
    {
        public override JoinResult<SimulatedEnd> Join(PeerId peer, in DialRequest request, TimeSpan now, bool mayStart) =>
            Machine.PendingCount(peer) > 0 && request.Condition == DialCondition.DisconnectedAndNotDialing
                ? throw new TransportException(TransportError.DialFailure, "dial condition not met: a dial is under way")
                : base.Join(peer, request, now, mayStart);
    }

    private sealed class IgnoringInbound : DialTable
    {
        public override Establishment Establish(PeerId peer, SimulatedEnd connection, PendingDial<SimulatedEnd>? dial) =>
            dial is not null || Machine.WaiterCount(peer) == 0
                ? base.Establish(peer, connection, dial)
                : new Establishment(1, false, null);
    }

    private sealed class CancellingAtOnce : DialTable
    {
        public override void Leave(DialWaiter<SimulatedEnd> waiter)
        {
            if (waiter.Dial is { } dial) Machine.Abort(dial.Peer);
            base.Leave(waiter);
        }
    }

    private sealed class GoingOn : DialTable
    {
        public override void Leave(DialWaiter<SimulatedEnd> waiter)
        {
            if (waiter.Dial is { Waiters.Count: 1 } dial) dial.Waiters.Clear();
            else base.Leave(waiter);
        }
    }

    private sealed class EndingEarly : DialTable
    {
        public override void TargetFailed(
            PendingDial<SimulatedEnd> dial, DialTarget target, TransportError error, string message, TimeSpan now)
        {
            base.TargetFailed(dial, target, error, message, now);
            if (dial.Outcome != DialOutcome.Pending) return;
            foreach (DialWaiter<SimulatedEnd> waiter in dial.Waiters.ToArray())
                waiter.Fail(DialFailure.Create(dial.Peer, dial.Plan.Attempts()));
            dial.Waiters.Clear();
            Machine.Abort(dial.Peer);
        }
    }

    private sealed class FailingAll : DialTable
    {
        public override TransportException? GiveUp(PendingDial<SimulatedEnd> dial, TimeSpan now)
        {
            TransportException? error = base.GiveUp(dial, now);
            if (error is not null) Machine.Abort(dial.Peer); // the others' dials as well
            return error;
        }
    }

    private sealed class Keeping : DialTable
    {
        public override int Lost(PeerId peer, SimulatedEnd connection) => 0;
    }
}
