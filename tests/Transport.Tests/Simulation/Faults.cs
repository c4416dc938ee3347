using FastShare.Transport.Dialing;
using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;
using FastShare.Transport.Requests;
using FastShare.Transport.Requests.Internal;

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

    /// <summary>
    /// What started this project: a request to a peer that is being dialed starts a second dial, which is refused because of its
    /// condition, and any dial error clears the peer's whole queue.
    /// </summary>
    EachDialErrorClearsTheQueue,

    /// <summary>A request that may have been carried out is sent again, although its caller did not allow it.</summary>
    RepeatsWhatMustNotBe,

    /// <summary>Requests under way on a connection that is lost are forgotten.</summary>
    ForgetsRequestsOfLostConnections,

    /// <summary>Requests go out on connections that this side dialed only.</summary>
    RequestsIgnoreInboundConnections,

    /// <summary>Deadlines are kept a second late.</summary>
    DeadlinesAreLate,

    /// <summary>More requests are on a connection than allowed.</summary>
    StreamLimitIsIgnored,

    /// <summary>The queue has no bound.</summary>
    QueueHasNoBound,

    /// <summary>Connections that both sides dialed at once all stay.</summary>
    SurplusStays,

    /// <summary>Of two connections, each side closes the one it dialed.</summary>
    BothSidesCloseTheirOwn,

    /// <summary>One caller's cancellation ends all requests to the peer.</summary>
    CancellingOneCancelsAll,
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

    public static RequestLine LineWith(Fault fault) => fault switch
    {
        Fault.EachDialErrorClearsTheQueue => new Clearing(),
        Fault.RepeatsWhatMustNotBe => new Repeating(),
        Fault.ForgetsRequestsOfLostConnections => new Forgetting(),
        Fault.RequestsIgnoreInboundConnections => new OutboundOnly(),
        Fault.DeadlinesAreLate => new Late(),
        Fault.StreamLimitIsIgnored => new Unlimited(),
        Fault.QueueHasNoBound => new Unbounded(),
        Fault.CancellingOneCancelsAll => new CancellingAll(),
        _ => new RequestLine(),
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

    private sealed class Clearing : RequestLine
    {
        private readonly Dictionary<PeerId, ConnectionWish<SimulatedEnd>> _dialing = [];

        public override void Begin(SimulatedRequest request, TimeSpan now, List<RequestStep<SimulatedEnd>> steps)
        {
            bool isDialing = _dialing.ContainsKey(request.Peer) && Machine.QueuedCount(request.Peer) > 0;
            base.Begin(request, now, steps);
            foreach (RequestStep<SimulatedEnd> step in steps)
            {
                if (step.Kind == RequestStepKind.Connect) _dialing[step.Wish!.Peer] = step.Wish;
            }

            if (!isDialing) return;
            var refused = new TransportException(TransportError.DialFailure, "dial condition not met: a dial is under way");
            Machine.NotConnected(_dialing[request.Peer], refused, now, steps);
        }
    }

    private sealed class Repeating : RequestLine
    {
        public override void Failed(
            RequestFlight<SimulatedEnd> flight, RequestFailure failure, FlightReach reach, TimeSpan now,
            List<RequestStep<SimulatedEnd>> steps) =>
            base.Failed(flight, failure, FlightReach.NotTaken, now, steps);
    }

    private sealed class Forgetting : RequestLine
    {
        public override void Failed(
            RequestFlight<SimulatedEnd> flight, RequestFailure failure, FlightReach reach, TimeSpan now,
            List<RequestStep<SimulatedEnd>> steps)
        {
            if (failure != RequestFailure.ConnectionClosed) base.Failed(flight, failure, reach, now, steps);
        }
    }

    private sealed class OutboundOnly : RequestLine
    {
        public override void ConnectionUp(
            PeerId peer, SimulatedEnd connection, TimeSpan now, List<RequestStep<SimulatedEnd>> steps)
        {
            if (!connection.IsInbound) base.ConnectionUp(peer, connection, now, steps);
        }
    }

    private sealed class Late : RequestLine
    {
        public override void Tick(TimeSpan now, List<RequestStep<SimulatedEnd>> steps) => base.Tick(now - TimeSpan.FromSeconds(1), steps);
    }

    private sealed class Unlimited : RequestLine
    {
        public override void Make(RequestProtocolOptions options, Func<double> random) => base.Make(
            new RequestProtocolOptions
            {
                MaxConcurrentStreams = 1000,
                MaxQueuedRequests = options.MaxQueuedRequests,
                MaxQueuedBytes = options.MaxQueuedBytes,
                WhenFull = options.WhenFull,
            },
            random);
    }

    private sealed class Unbounded : RequestLine
    {
        public override void Make(RequestProtocolOptions options, Func<double> random) => base.Make(
            new RequestProtocolOptions { MaxConcurrentStreams = options.MaxConcurrentStreams, WhenFull = options.WhenFull }, random);
    }

    private sealed class CancellingAll : RequestLine
    {
        private readonly List<SimulatedRequest> _begun = [];

        public override void Begin(SimulatedRequest request, TimeSpan now, List<RequestStep<SimulatedEnd>> steps)
        {
            _begun.Add(request);
            base.Begin(request, now, steps);
        }

        public override void Cancel(SimulatedRequest request, TimeSpan now, List<RequestStep<SimulatedEnd>> steps)
        {
            foreach (SimulatedRequest each in _begun.Where(r => r.Peer == request.Peer)) base.Cancel(each, now, steps);
        }
    }
}
