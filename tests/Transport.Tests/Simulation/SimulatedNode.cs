using FastShare.Transport.Dialing;
using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Simulation;

/// <summary>A node: the real machines, and what drives them in virtual time.</summary>
internal sealed partial class SimulatedNode
{
    public static readonly TimeSpan DialTimeout = TimeSpan.FromSeconds(15);

    private readonly List<SimulatedDial> _dials = []; // those that are not over
    private readonly List<SimulatedEnd> _ends = []; // those listed in the table
    private readonly List<SimulatedCaller> _callers = []; // those that wait
    private int _dialsMade;

    public SimulatedNode(SimulatedWorld world, int index, PeerId id, DialTable table)
    {
        World = world;
        Index = index;
        Id = id;
        Table = table;
    }

    public SimulatedWorld World { get; }

    public int Index { get; }

    public PeerId Id { get; }

    public DialTable Table { get; }

    public AddressBook Book { get; } = new();

    public List<SimulatedAddress> Addresses { get; } = [];

    public bool IsOnline { get; set; } = true;

    public bool IsClosed { get; private set; }

    public IReadOnlyList<SimulatedEnd> Ends => _ends;

    public IReadOnlyList<SimulatedDial> Dials => _dials;

    /// <summary>Asks for a connection as the swarm does for its callers.</summary>
    /// <param name="peer">The peer.</param>
    /// <param name="addresses">Addresses the caller gives.</param>
    /// <param name="patience">When the caller leaves; null: never.</param>
    public SimulatedCaller Connect(SimulatedNode peer, IReadOnlyList<SimulatedAddress> addresses, TimeSpan? patience)
    {
        var caller = new SimulatedCaller(World.NextNumber(), peer.Id, World.Time.Now);
        World.Trace.Write($"{this}: {caller} wants {peer}");
        Book.Add(peer.Id, addresses.Select(a => a.Address), given: true);
        if (Table.Find(peer.Id) is { } open)
        {
            Give(caller, open);
            return caller;
        }

        List<DialCandidate> candidates = Candidates(peer.Id);
        bool pending = _dials.Exists(d => IsPendingFor(d, peer.Id));
        JoinResult<SimulatedEnd> joined;
        try
        {
            var request = new DialRequest(DialCondition.DisconnectedAndNotDialing, candidates, DialTimeout);
            joined = Table.Join(peer.Id, request, World.Time.Now);
        }
        catch (TransportException e)
        {
            Refuse(caller, e);
            return caller;
        }

        if (joined.Connection is not null)
        {
            Give(caller, joined.Connection);
        }
        else if (joined.Dial is null)
        {
            if (pending || candidates.Count > 0) throw new InvariantException($"{caller} of {this} got neither a connection nor a dial");
            caller.Fail(DialFailure.NoAddresses(peer.Id));
        }
        else
        {
            bool isNew = joined.Kind == JoinKind.Started;
            if (isNew == pending) throw new InvariantException($"{caller} of {this}: new dial {isNew} while one is pending: {pending}");
            SimulatedDial dial = isNew ? Drive(joined.Dial) : _dials.Single(d => d.Dial == joined.Dial);
            Wait(caller, dial, joined.Waiter!, patience);
            if (isNew) dial.Run();
        }

        return caller;
    }

    /// <summary>Asks for a further connection of the caller's own.</summary>
    public void ConnectLane(SimulatedNode peer, TimeSpan? patience)
    {
        List<DialCandidate> candidates = Candidates(peer.Id);
        if (candidates.Count == 0 || IsClosed) return;
        var caller = new SimulatedCaller(World.NextNumber(), peer.Id, World.Time.Now);
        World.Trace.Write($"{this}: {caller} wants a lane to {peer}");
        JoinResult<SimulatedEnd> lane = Table.NewLane(peer.Id, candidates, World.Time.Now, DialTimeout);
        SimulatedDial dial = Drive(lane.Dial!);
        Wait(caller, dial, lane.Waiter!, patience);
        dial.Run();
    }

    /// <summary>Discovery, or somebody, gave addresses.</summary>
    public void Learn(SimulatedNode peer, IReadOnlyList<SimulatedAddress> addresses)
    {
        World.Trace.Write($"{this} learns {addresses.Count} addresses of {peer}");
        Book.Add(peer.Id, addresses.Select(a => a.Address), given: true);
        Table.Learn(peer.Id, [.. addresses.Select(a => a.Candidate)], World.Time.Now);
    }

    /// <summary>Lists a connection; false: it is not wanted.</summary>
    public bool Establish(SimulatedEnd end, PendingDial<SimulatedEnd>? dial)
    {
        // A lane has one connection; a second handshake of its dial that ends well is as good as any other.
        end.IsLane = dial is { IsLane: true, Outcome: DialOutcome.Pending };
        Establishment made = Table.Establish(end.Peer, end, dial);
        if (made.Refused is not null)
        {
            World.Trace.Write($"{this} does not want {end}");
            end.IsOver = true;
            end.IsLive = false;
            return false;
        }

        World.Trace.Write($"{this} lists {end}, {made.Count} to {end.Remote}");
        end.IsListed = true;
        _ends.Add(end);
        return true;
    }

    /// <summary>An end is over; the table is told a moment later, as by a real connection's owner.</summary>
    public void Lose(SimulatedEnd end)
    {
        if (!end.IsListed) return;
        World.Time.Plan(World.Jitter(), "lost", () =>
        {
            end.IsListed = false;
            _ends.Remove(end);
            int remaining = Table.Lost(end.Peer, end);
            World.Trace.Write($"{this} lost {end}, {remaining} to {end.Remote} remain");
        });
    }

    /// <summary>Closes the node for good.</summary>
    public void Close()
    {
        if (IsClosed) return;
        World.Trace.Write($"{this} closes");
        IsClosed = true;
        Table.Close();
        World.Time.Plan(World.Jitter(), "close connections", () =>
        {
            IsOnline = false;
            foreach (SimulatedEnd end in _ends.ToArray()) World.Network.Close(end);
        });
    }

    /// <summary>Sees to what the machines signalled during an event: wakes loops, hands out results.</summary>
    public void Attend()
    {
        for (int i = _dials.Count - 1; i >= 0; i--)
        {
            SimulatedDial dial = _dials[i];
            dial.Attend();
            CheckResult(dial);
            foreach (SimulatedCaller caller in dial.Waiters)
            {
                if (caller.Waiter!.Result.IsCompleted)
                    caller.Delivery ??= World.Time.Plan(World.Jitter(), "delivery", () => Deliver(caller, dial));
            }

            if (dial.IsOver && dial.Waiters.Count == 0) _dials.RemoveAt(i);
        }
    }

    public override string ToString() => $"n{Index}";

    private static bool IsPendingFor(SimulatedDial dial, PeerId peer) =>
        dial.Dial is { IsLane: false, Outcome: DialOutcome.Pending } && dial.Dial.Peer == peer;

    private List<DialCandidate> Candidates(PeerId peer) => [.. Book.Get(peer).Select(a => World.Network.At(a)!.Candidate)];

    private SimulatedDial Drive(PendingDial<SimulatedEnd> dial)
    {
        var driven = new SimulatedDial(this, dial, ++_dialsMade);
        _dials.Add(driven);
        World.Trace.Write($"{this} starts {driven} with {dial.Plan.Targets.Count} addresses");
        return driven;
    }

    private void Wait(SimulatedCaller caller, SimulatedDial dial, DialWaiter<SimulatedEnd> waiter, TimeSpan? patience)
    {
        _callers.Add(caller);
        caller.Dial = dial;
        caller.Waiter = waiter;
        dial.Waiters.Add(caller);
        if (patience is not { } limit) return;
        caller.Cancellation = World.Time.Plan(limit, "caller leaves", () =>
        {
            World.Trace.Write($"{this}: {caller} leaves {dial}");
            caller.Leave();
            Leave(caller, dial);
        });
    }

    private void Deliver(SimulatedCaller caller, SimulatedDial dial)
    {
        Task<SimulatedEnd> result = caller.Waiter!.Result;
        if (result.IsCompletedSuccessfully) caller.Take(result.Result);
        else caller.Fail((TransportException)result.Exception!.InnerException!);
        World.Trace.Write($"{this}: {caller} gets {caller.Connection?.ToString() ?? caller.Error!.Error.ToString()}");
        Leave(caller, dial);
    }

    private void Leave(SimulatedCaller caller, SimulatedDial dial)
    {
        _callers.Remove(caller);
        dial.Waiters.Remove(caller);
        bool wasPending = dial.Dial.Outcome == DialOutcome.Pending;
        Table.Leave(caller.Waiter!);
        if (!wasPending) return;
        if (dial.Waiters.Count > 0 && dial.Dial.Outcome != DialOutcome.Pending)
            throw new InvariantException($"{caller} left {dial} of {this}, which ended it for {dial.Waiters.Count} others");
        if (dial.Waiters.Count == 0 && dial.Dial.Outcome == DialOutcome.Pending)
            throw new InvariantException($"{caller} was the last to leave {dial} of {this}, which goes on");
    }

    private void Give(SimulatedCaller caller, SimulatedEnd connection)
    {
        if (!connection.IsLive || connection.IsLane || connection.Peer != caller.Peer)
            throw new InvariantException($"{caller} of {this} was given {connection}, which is not for it");
        caller.Take(connection);
    }

    private void Refuse(SimulatedCaller caller, TransportException error)
    {
        if (!IsClosed) throw new InvariantException($"{caller} of {this} was refused: {error.Message}");
        caller.Fail(error);
    }
}
