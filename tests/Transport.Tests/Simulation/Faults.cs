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
        Fault.LostConnectionsStayListed => new Keeping(),
        _ => new DialTable(),
    };

    private sealed class Refusing : DialTable
    {
        public override JoinResult<SimulatedEnd> Join(
            PeerId peer, IReadOnlyCollection<DialCandidate> candidates, TimeSpan now, TimeSpan timeout) =>
            Machine.WaiterCount(peer) > 0
                ? throw new TransportException(TransportError.DialFailure, "dial condition not met: a dial is under way")
                : base.Join(peer, candidates, now, timeout);
    }

    private sealed class IgnoringInbound : DialTable
    {
        public override bool Establish(PeerId peer, SimulatedEnd connection, PendingDial<SimulatedEnd>? dial, out int count)
        {
            if (dial is not null || Machine.WaiterCount(peer) == 0) return base.Establish(peer, connection, dial, out count);
            count = 1;
            return true;
        }
    }

    private sealed class CancellingAtOnce : DialTable
    {
        public override void Leave(PendingDial<SimulatedEnd> dial)
        {
            int others = dial.Waiters - 1;
            if (dial.Outcome == DialOutcome.Pending) dial.Waiters = 1;
            base.Leave(dial);
            dial.Waiters = others;
        }
    }

    private sealed class GoingOn : DialTable
    {
        public override void Leave(PendingDial<SimulatedEnd> dial)
        {
            if (dial is { Waiters: 1, Outcome: DialOutcome.Pending }) dial.Waiters = 0;
            else base.Leave(dial);
        }
    }

    private sealed class EndingEarly : DialTable
    {
        public override void TargetFailed(
            PendingDial<SimulatedEnd> dial, DialTarget target, TransportError error, string message, TimeSpan now)
        {
            base.TargetFailed(dial, target, error, message, now);
            dial.Fail(DialOutcome.Failed, DialFailure.Create(dial.Peer, dial.Plan.Attempts()));
        }
    }

    private sealed class Keeping : DialTable
    {
        public override int Lost(PeerId peer, SimulatedEnd connection) => 0;
    }
}
