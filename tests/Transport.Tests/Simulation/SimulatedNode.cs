using FastShare.Transport.Dialing;
using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;
using FastShare.Transport.Requests;

namespace FastShare.Transport.Tests.Simulation;

/// <summary>A node: the real machines, and what drives them in virtual time.</summary>
internal sealed partial class SimulatedNode
{
    public static readonly TimeSpan DialTimeout = TimeSpan.FromSeconds(15);

    private readonly List<SimulatedDial> _dials = []; // those that are not over
    private readonly List<SimulatedEnd> _ends = []; // those listed in the table
    private readonly List<SimulatedCaller> _callers = []; // those that wait
    private readonly HashSet<SimulatedDial> _aborted = [];
    private int _dialsMade;

    public SimulatedNode(SimulatedWorld world, int index, PeerId id, Fault fault, ConnectionLimits limits, RequestProtocolOptions options)
    {
        Limits = limits;
        HandlesSurplus = fault != Fault.SurplusStays;
        _closesItsOwn = fault == Fault.BothSidesCloseTheirOwn;
        RequestOptions = options;
        World = world;
        Index = index;
        Id = id;
        Table = Faults.TableWith(fault);
        Table.Begin(limits, world.Random.Fraction);
        Line = Faults.LineWith(fault);
        Line.Make(options, world.Random.Fraction);
    }

    public SimulatedWorld World { get; }

    public int Index { get; }

    public PeerId Id { get; }

    public DialTable Table { get; }

    public ConnectionLimits Limits { get; }

    /// <summary>Whether it agrees with its peers on which connections are surplus.</summary>
    public bool HandlesSurplus { get; }

    public AddressBook Book { get; } = new();

    public List<SimulatedAddress> Addresses { get; } = [];

    /// <summary>Peers whose connections the policy refuses once they are made from here.</summary>
    public HashSet<PeerId> DeniesOutbound { get; } = [];

    /// <summary>Peers whose connections the policy turns away.</summary>
    public HashSet<PeerId> DeniesInbound { get; } = [];

    /// <summary>Peers that the policy does not let be dialed.</summary>
    public HashSet<PeerId> Vetoes { get; } = [];

    public bool IsOnline { get; set; } = true;

    public bool IsClosed { get; private set; }

    public IReadOnlyList<SimulatedEnd> Ends => _ends;

    public IReadOnlyList<SimulatedDial> Dials => _dials;

    /// <summary>Asks for a connection as the swarm does for its callers.</summary>
    public SimulatedCaller Connect(SimulatedNode peer, Wish wish)
    {
        Touch();
        var caller = new SimulatedCaller(World.NextNumber(), peer.Id, wish.Condition);
        World.Trace.Write($"{this}: {caller} wants {peer} ({wish.Condition}{(wish.IsPatient ? ", patient" : "")})");
        Book.Add(peer.Id, wish.Addresses.Select(a => a.Address), given: true);
        var request = new DialRequest(wish.Condition, [.. wish.Addresses.Select(a => a.Candidate)], DialTimeout)
        {
            UsesKnown = wish.UsesKnown,
            IsPatient = wish.IsPatient,
        };
        bool isConnected = SharedTo(peer.Id) is not null, isDialing = PendingTo(peer.Id) is not null;
        bool isMet = wish.Condition switch
        {
            DialCondition.Always => true,
            DialCondition.Disconnected => !isConnected,
            DialCondition.NotDialing => !isDialing,
            _ => !isConnected && !isDialing,
        };
        JoinResult<SimulatedEnd> joined;
        try
        {
            // In the order of the real dialer: the condition, the policy's veto, the addresses.
            joined = Table.Join(peer.Id, request, World.Time.Now, mayStart: false);
            if (joined.Kind == JoinKind.NeedsDial)
            {
                if (!isMet) throw new InvariantException($"{caller} of {this} needs a dial although its condition is not met");
                if (Vetoes.Contains(peer.Id)) throw new TransportException(TransportError.AccessDenied, "vetoed by policy");
                if (request.UsesKnown) request = request with { Candidates = [.. request.Candidates, .. Candidates(peer.Id)] };
                joined = Table.Join(peer.Id, request, World.Time.Now, mayStart: true);
            }
        }
        catch (TransportException e)
        {
            CheckRefusal(caller, peer, isMet, e);
            caller.Fail(e);
            return caller;
        }

        World.Trace.Write($"{this}: {caller} has {joined.Kind}");
        if (!isMet) World.See("an unmet condition");
        if (joined.Kind == JoinKind.Started && isDialing) World.See("a second dial to a peer");
        caller.TakesAny = !(isMet && (isConnected || wish.Condition == DialCondition.Always));
        switch (joined.Kind)
        {
            case JoinKind.Open:
                if (isMet || joined.Connection is not { IsLive: true, IsLane: false } || joined.Connection.Peer != peer.Id)
                    throw new InvariantException($"{caller} of {this} was given {joined.Connection}, which is not for it");
                caller.Take(joined.Connection);
                return caller;
            case JoinKind.NoAddresses:
                if (request.Candidates.Count > 0 || isDialing || !isMet) throw new InvariantException($"{caller} of {this} got nothing");
                caller.Fail(DialFailure.NoAddresses(peer.Id));
                return caller;
            case JoinKind.Started when !isMet:
                throw new InvariantException($"{caller} of {this} started a dial although its condition is not met");
            case JoinKind.Joined when !isDialing:
                throw new InvariantException($"{caller} of {this} joined a dial that nobody knows");
        }

        Wait(caller, joined, wish.Patience);
        return caller;
    }

    /// <summary>Asks for a further connection of the caller's own.</summary>
    public void ConnectLane(SimulatedNode peer, TimeSpan? patience)
    {
        List<DialCandidate> candidates = Candidates(peer.Id);
        if (candidates.Count == 0 || IsClosed) return;
        Touch();
        var caller = new SimulatedCaller(World.NextNumber(), peer.Id, DialCondition.Always);
        World.Trace.Write($"{this}: {caller} wants a lane to {peer}");
        try
        {
            Wait(caller, Table.NewLane(peer.Id, candidates, World.Time.Now, DialTimeout), patience);
        }
        catch (TransportException e)
        {
            CheckRefusal(caller, peer, isMet: true, e);
            caller.Fail(e);
        }
    }

    /// <summary>Discovery, or somebody, gave addresses.</summary>
    public void Learn(SimulatedNode peer, IReadOnlyList<SimulatedAddress> addresses)
    {
        if (IsClosed) return;
        Touch();
        World.Trace.Write($"{this} learns {addresses.Count} addresses of {peer}");
        Book.Add(peer.Id, addresses.Select(a => a.Address), given: true);
        Table.Learn(peer.Id, [.. addresses.Select(a => a.Candidate)], isNews: true, World.Time.Now);
        if (addresses.Count > 0) ReportFound(peer);
    }

    /// <summary>Lists a connection; if it is refused, says why.</summary>
    public TransportException? Establish(SimulatedEnd end, PendingDial<SimulatedEnd>? dial)
    {
        bool isLaneOfItsOwn = dial is { IsLane: true, Outcome: DialOutcome.Pending };
        Touch();
        if (dial is null && PendingTo(end.Peer) is not null) World.See("a connection that comes in while the peer is dialed");
        Establishment established = Table.Establish(end.Peer, end, dial);
        if (established.Refused is { } refusal)
        {
            CheckDiscard(end, dial, refusal);
            World.Trace.Write($"{this} refuses {end}: {refusal.Error}");
            end.IsLive = false;
            return refusal;
        }

        World.Trace.Write($"{this} lists {end}, {established.Count} to {end.Remote}");
        if (established.IsLane != isLaneOfItsOwn) throw new InvariantException($"{this} lists {end} as a lane: {established.IsLane}");
        end.IsLane = established.IsLane;
        end.IsExtra = established.IsAskedFor;
        end.IsListed = true;
        _ends.Add(end);
        World.Time.Plan(World.Jitter(), "up", () => ReportUp(end));
        if (HandlesSurplus) RetireSurplus(end.Remote);
        return null;
    }

    /// <summary>An end is over; the table is told a moment later, as by a real connection's owner.</summary>
    public void Lose(SimulatedEnd end)
    {
        if (!end.IsListed) return;
        foreach (SimulatedExchange exchange in end.Exchanges) World.Time.Plan(World.Jitter(), "stream lost", exchange.Lose);
        World.Time.Plan(World.Jitter(), "lost", () =>
        {
            Touch();
            end.IsListed = false;
            _ends.Remove(end);
            int remaining = Table.Lost(end.Peer, end);
            World.Trace.Write($"{this} lost {end}, {remaining} to {end.Remote} remain");
            ReportDown(end);
        });
    }

    /// <summary>Gives up the dials to a peer.</summary>
    public void Abort(SimulatedNode peer)
    {
        if (PendingTo(peer.Id) is null) return;
        World.Trace.Write($"{this} aborts dials to {peer}");
        _aborted.UnionWith(_dials.Where(d => d.Dial.Peer == peer.Id));
        Table.Abort(peer.Id);
        Touch();
    }

    /// <summary>Closes the node for good.</summary>
    public void Close()
    {
        if (IsClosed) return;
        World.Trace.Write($"{this} closes");
        IsClosed = true;
        Touch();
        CloseRequests();
        Table.Close();
        foreach (SimulatedDial dial in _dials) dial.Close();
        World.Time.Plan(World.Jitter(), "close connections", () =>
        {
            IsOnline = false;
            foreach (SimulatedEnd end in _ends.ToArray()) World.Network.Close(end);
        });
    }

    /// <summary>Sees to what the machines signalled during an event: wakes loops, hands out results.</summary>
    public void Attend()
    {
        foreach (SimulatedCaller caller in _callers)
        {
            if (caller.Waiter!.Dial is { } dial && caller.Dials[^1].Dial != dial)
            {
                caller.Dials.Add(DriverOf(dial));
                World.See("a caller that goes over to another dial");
            }

            if (!caller.Waiter.Result.IsCompleted || caller.Delivery is not null) continue;
            CheckResult(caller);
            caller.Delivery = World.Time.Plan(World.Jitter(), "delivery", () => Deliver(caller));
        }

        for (int i = _dials.Count - 1; i >= 0; i--)
        {
            _dials[i].Attend();
            if (_dials[i].IsOver) _dials.RemoveAt(i);
        }
    }

    public override string ToString() => $"n{Index}";

    private SimulatedEnd? SharedTo(PeerId peer) => _ends.Find(e => e is { IsLive: true, IsLane: false } && e.Peer == peer);

    private SimulatedDial? PendingTo(PeerId peer) => _dials.Find(d => d.IsShared && d.IsPending && d.Dial.Peer == peer);

    private SimulatedDial DriverOf(PendingDial<SimulatedEnd> dial) => _dials.Single(d => d.Dial == dial);

    private List<DialCandidate> Candidates(PeerId peer) => [.. Book.Get(peer).Select(a => World.Network.At(a)!.Candidate)];

    private void Wait(SimulatedCaller caller, JoinResult<SimulatedEnd> joined, TimeSpan? patience)
    {
        SimulatedDial dial;
        if (joined.Kind == JoinKind.Started)
        {
            dial = new SimulatedDial(this, joined.Dial!, ++_dialsMade);
            _dials.Add(dial);
            World.Trace.Write($"{this} makes {dial} with {dial.Dial.Plan.Targets.Count} addresses");
        }
        else
        {
            dial = DriverOf(joined.Dial!);
        }

        caller.Waiter = joined.Waiter;
        caller.Dials.Add(dial);
        _callers.Add(caller);
        if (patience is { } limit) caller.Cancellation = World.Time.Plan(limit, "caller leaves", () => Leave(caller));
        if (joined.Kind == JoinKind.Started) dial.Run();
    }

    private void Deliver(SimulatedCaller caller)
    {
        Touch();
        Task<SimulatedEnd> result = caller.Waiter!.Result;
        if (result.IsCompletedSuccessfully) caller.Take(result.Result);
        else caller.Fail((TransportException)result.Exception!.InnerException!);
        World.Trace.Write($"{this}: {caller} gets {caller.Connection?.ToString() ?? caller.Error!.Error.ToString()}");
        _callers.Remove(caller);
        Table.Leave(caller.Waiter); // as the real caller does, whatever it got
        caller.Answered?.Invoke();
    }

    private void Leave(SimulatedCaller caller)
    {
        SimulatedDial? dial = caller.Waiter!.Dial is { } pending ? DriverOf(pending) : null;
        World.Trace.Write($"{this}: {caller} leaves {dial?.ToString() ?? "with its result on the way"}");
        Touch();
        caller.Leave();
        _callers.Remove(caller);
        Table.Leave(caller.Waiter);
        if (dial is null) return;
        int others = _callers.Count(c => c.Waiter!.Dial == dial.Dial || (c.Dials[^1] == dial && c.Delivery is null));
        if (others > 0 && !dial.IsPending)
            throw new InvariantException($"{caller} left {dial} of {this}, which ended it for {others} others");
        if (others == 0 && dial.IsPending) throw new InvariantException($"{caller} was the last to leave {dial} of {this}, which goes on");
    }
}
