using FastShare.Transport.Identity;
using FastShare.Transport.Requests;
using FastShare.Transport.Requests.Internal;

namespace FastShare.Transport.Tests.Simulation;

// The driver of the request queue: carries out its steps as the real one does.
internal sealed partial class SimulatedNode
{
    private readonly List<SimulatedRequest> _requests = []; // those that are not over
    private readonly Dictionary<ConnectionWish<SimulatedEnd>, SimulatedCaller?> _wishes = []; // those that stand
    private readonly Dictionary<SimulatedEnd, int> _inFlight = [];
    private readonly HashSet<TransportException> _dialErrors = []; // what wishes really ended with
    private readonly Dictionary<PeerId, int> _lost = []; // connections in a row that brought no response
    private readonly HashSet<SimulatedEnd> _counted = []; // those of them that requests were on
    private VirtualTime.PlannedEvent? _requestTimer;
    private TimeSpan _armed; // what the timer is set for
    private long _lastId;

    public RequestLine Line { get; }

    public RequestProtocolOptions RequestOptions { get; }

    public IReadOnlyList<SimulatedRequest> Requests => _requests;

    /// <summary>Sends a request.</summary>
    /// <param name="request">It.</param>
    /// <param name="addresses">Addresses that its caller gives.</param>
    /// <param name="patience">When its caller cancels; null: never.</param>
    public void Request(SimulatedRequest request, IReadOnlyList<SimulatedAddress> addresses, TimeSpan? patience)
    {
        request.BegunAt = World.Time.Now;
        if (addresses.Count > 0) Learn(request.Target, addresses);
        _requests.Add(request);
        Carry(steps => Line.Begin(request, World.Time.Now, steps));
        if (request.Id != ++_lastId) throw new InvariantException($"{request} of {this} should have number {_lastId}");
        World.Trace.Write($"{this}: {request} begins ({request.State})");
        if (request.State == RequestState.Waiting) World.See("a request that waits for room");
        if (patience is not { } limit || request.IsOver) return;
        request.Cancellation = World.Time.Plan(limit, "cancel", () =>
        {
            World.Trace.Write($"{this}: {request} is cancelled");
            request.IsCancelled = true;
            Carry(steps => Line.Cancel(request, World.Time.Now, steps));
            if (!request.IsOver) throw new InvariantException($"{request} of {this} was cancelled and goes on");
        });
    }

    public void Succeed(SimulatedExchange exchange)
    {
        SimulatedRequest request = exchange.Request;
        bool isResult = false;
        Land(exchange);
        _lost.Remove(request.Peer);
        Carry(steps => isResult = Line.Succeeded(exchange.Flight, World.Time.Now, steps));
        World.Trace.Write($"{this}: {request} is answered on {exchange.End}{(isResult ? "" : ", too late")}");
        if (isResult == request.IsOver)
            throw new InvariantException($"{request} of {this}: an answer, taken {isResult}, over {request.IsOver}");
        if (!isResult) return;
        request.Answer();
        _requests.Remove(request);
    }

    public void Fail(SimulatedExchange exchange, RequestFailure failure, FlightReach reach)
    {
        World.Trace.Write($"{this}: {exchange.Request} fails on {exchange.End}: {failure}, {reach}");
        Land(exchange);
        if (failure == RequestFailure.ConnectionClosed && _counted.Add(exchange.Flight.Connection)) CountLost(exchange.Request.Peer);
        Carry(steps => Line.Failed(exchange.Flight, failure, reach, World.Time.Now, steps));
    }

    // What the observers of connections are told: in order for each of them.
    private void ReportUp(SimulatedEnd end)
    {
        if (end.IsReported || end.IsLane || IsClosed) return;
        end.IsReported = end.IsKnown = true;
        Carry(steps => Line.ConnectionUp(end.Peer, end, World.Time.Now, steps));
    }

    private void ReportDown(SimulatedEnd end)
    {
        ReportUp(end);
        if (!end.IsReported || IsClosed) return;
        end.IsReportedDown = true;
        Carry(steps => Line.ConnectionDown(end.Peer, end, World.Time.Now, steps));
    }

    private void ReportFound(SimulatedNode peer) =>
        World.Time.Plan(World.Jitter(), "found", () =>
    {
        if (!IsClosed) Carry(steps => Line.PeerFound(peer.Id, World.Time.Now, steps));
    });

    private void CloseRequests() => Carry(steps => Line.Close(World.Time.Now, steps));

    private void Carry(Action<List<RequestStep<SimulatedEnd>>> call)
    {
        Touch();
        var steps = new List<RequestStep<SimulatedEnd>>();
        call(steps);
        foreach (RequestStep<SimulatedEnd> step in steps) Carry(step);
        if (_wishes.Keys.DistinctBy(w => w.Peer).Count() < _wishes.Count)
            throw new InvariantException($"{this} has several wishes to be connected with one peer");
        TimeSpan due = Line.Machine.NextDue;
        if (due == _armed && _requestTimer?.Run is not null) return;
        _armed = due;
        _requestTimer?.CallOff();
        if (due == TimeSpan.MaxValue) return;
        double wait = Math.Ceiling(Math.Max(1, (due - World.Time.Now).TotalMilliseconds));
        _requestTimer = World.Time.Plan(
            TimeSpan.FromMilliseconds(wait), "request timer", () => Carry(s => Line.Tick(World.Time.Now, s)));
    }

    private void Carry(RequestStep<SimulatedEnd> step)
    {
        switch (step.Kind)
        {
            case RequestStepKind.Connect:
                Connect(step.Wish!);
                break;
            case RequestStepKind.EndConnect:
                if (!_wishes.Remove(step.Wish!, out SimulatedCaller? waiting))
                    throw new InvariantException($"{this} is told to end a wish that does not stand");
                if (waiting is { IsAnswered: false }) Leave(waiting);
                break;
            case RequestStepKind.Accepted:
                CheckAccepted((SimulatedRequest)step.Request!);
                ((SimulatedRequest)step.Request!).IsAccepted = true;
                break;
            case RequestStepKind.Send:
                Send((SimulatedRequest)step.Request!, step.Flight!);
                break;
            case RequestStepKind.Stop:
                ((SimulatedRequest)step.Request!).Exchange!.Stop();
                break;
            case RequestStepKind.Fail:
                var failed = (SimulatedRequest)step.Request!;
                World.Trace.Write($"{this}: {failed} fails: {step.Error!.Failure} while {step.Error.Stage}");
                CheckFailure(failed, step.Error!);
                failed.Fail(step.Error!);
                _requests.Remove(failed);
                break;
        }
    }

    private void Connect(ConnectionWish<SimulatedEnd> wish)
    {
        _wishes.Add(wish, null);
        SimulatedNode peer = World.Nodes.Single(n => n.Id == wish.Peer);
        SimulatedCaller caller = Connect(peer, new Wish { Condition = wish.Condition, IsPatient = wish.IsPatient });
        _wishes[wish] = caller;
        caller.Answered = () => World.Time.Plan(World.Jitter(), "wish ends", () => EndWish(wish, caller));
        if (caller.IsAnswered) caller.Answered();
    }

    private void EndWish(ConnectionWish<SimulatedEnd> wish, SimulatedCaller caller)
    {
        if (!_wishes.Remove(wish)) return; // ended meanwhile
        if (caller.Error is not null) _dialErrors.Add(caller.Error);
        if (caller.Connection is { IsLive: true })
        {
            caller.Connection.IsKnown = true;
        }
        else if (caller.Connection is not null)
        {
            CountLost(wish.Peer);
            foreach (SimulatedRequest request in _requests.Where(r => r.Peer == wish.Peer && r.State == RequestState.Queued))
                request.Suffer(RequestFailure.ConnectionClosed);
        }

        if (caller.Connection is { } connection) Carry(steps => Line.Connected(wish, connection, World.Time.Now, steps));
        else Carry(steps => Line.NotConnected(wish, caller.Error!, World.Time.Now, steps));
    }

    private void Send(SimulatedRequest request, RequestFlight<SimulatedEnd> flight)
    {
        if (request.IsOver) throw new InvariantException($"{request} of {this} is over and sent again");
        if (request.Exchange is { IsOver: false }) throw new InvariantException($"{request} of {this} is sent while it is under way");
        if (request.MayHaveBeenCarriedOut && !request.IsIdempotent)
            throw new InvariantException($"{request} of {this} is sent again, although it may have been carried out and is not idempotent");
        if (flight.Connection.Peer != request.Peer || flight.Connection.IsLane || flight.Connection.Node != this)
            throw new InvariantException($"{request} of {this} is sent on {flight.Connection}");
        int inFlight = _inFlight[flight.Connection] = _inFlight.GetValueOrDefault(flight.Connection) + 1;
        if (inFlight > RequestOptions.MaxConcurrentStreams)
            throw new InvariantException($"{inFlight} requests of {this} are on {flight.Connection}");
        if (++request.Sendings > 1)
            World.See(request.MayHaveBeenCarriedOut ? "a request repeated" : "a request that goes on to the next connection");
        World.Trace.Write($"{this}: {request} goes on {flight.Connection}");
        request.Exchange = new SimulatedExchange(this, request, flight);
        request.Exchange.Start();
    }

    private void CountLost(PeerId peer) => _lost[peer] = _lost.GetValueOrDefault(peer) + 1;

    private void Land(SimulatedExchange exchange)
    {
        if (--_inFlight[exchange.Flight.Connection] == 0) _inFlight.Remove(exchange.Flight.Connection);
    }
}
