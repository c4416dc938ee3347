using FastShare.Transport.Dialing;
using FastShare.Transport.Identity;
using FastShare.Transport.Requests;

namespace FastShare.Transport.Tests.Simulation;

/// <summary>What people and networks do to the nodes of a world, drawn from its seed.</summary>
internal sealed class Chaos(SimulatedWorld world)
{
    /// <summary>After this long in good times, nothing of the bad ones is left: no dial, no unnoticed loss.</summary>
    public static readonly TimeSpan Settling = TimeSpan.FromSeconds(60);

    /// <summary>How long a connection or an answer may take in good times.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly List<(SimulatedNode Node, SimulatedNode Peer, SimulatedCaller Caller)> _probes = [];
    private readonly List<(SimulatedNode Node, SimulatedRequest Request)> _patient = []; // must be answered once the world is good
    private readonly List<(SimulatedNode Node, SimulatedRequest Request)> _asked = []; // in good times
    private int _hostility; // percent of addresses that do not work

    public TimeSpan End { get; private set; }

    private SeededRandom Random => world.Random;

    public void Begin()
    {
        End = Random.Milliseconds(2_000, 60_000);
        _hostility = Random.Pick([0, 20, 50, 80, 100]);
        foreach (SimulatedNode node in world.Nodes)
        {
            foreach (SimulatedAddress address in node.Addresses) Redraw(address);
            foreach (SimulatedNode peer in world.Nodes)
            {
                if (peer != node && Random.Percent(70)) node.Learn(peer, Some(peer.Addresses));
            }
        }

        int actions = Random.Between(5, 40);
        for (int i = 0; i < actions; i++) world.Time.Plan(Random.Between(TimeSpan.Zero, End), "action", Act);
    }

    /// <summary>From now on the world is good, and stays so.</summary>
    public void Heal()
    {
        world.Trace.Write($"the world becomes good");
        foreach (SimulatedNode node in world.Nodes)
        {
            if (!node.IsClosed) node.IsOnline = true;
            foreach (SimulatedAddress address in node.Addresses) address.Behaviour = Behaviour.Good;
            node.DeniesInbound.Clear();
            node.DeniesOutbound.Clear();
            node.Vetoes.Clear();
            foreach (SimulatedNode peer in world.Nodes)
            {
                if (peer != node && !node.IsClosed) node.Learn(peer, peer.Addresses);
            }
        }
    }

    /// <summary>Everybody wants everybody, all at once.</summary>
    public void Probe()
    {
        world.Trace.Write($"everybody calls everybody");
        foreach (SimulatedNode node in world.Nodes)
        {
            foreach (SimulatedNode peer in world.Nodes)
            {
                if (peer == node || peer.IsClosed || node.IsClosed) continue;
                world.Time.Plan(world.Jitter(), "probe", () => _probes.Add((node, peer, node.Connect(peer, new Wish()))));
                world.Time.Plan(world.Jitter(), "probe", () =>
                {
                    var request = new SimulatedRequest(peer, 10, Patience, RetryPolicy.None, isIdempotent: false, default);
                    _asked.Add((node, request));
                    node.Request(request, [], null);
                });
            }
        }
    }

    public void CheckGoodTimes()
    {
        foreach ((SimulatedNode node, SimulatedNode peer, SimulatedCaller caller) in _probes)
        {
            // With limits, a refusal is an answer.
            bool isLimited = world.HasLimits && caller.Error is { } error
                && (error.Error == TransportError.LimitExceeded || error.Attempts.Any(a => a.Error == TransportError.LimitExceeded));
            if (caller.Connection is null && !isLimited)
                throw new InvariantException(
                    $"{caller} of {node} did not reach {peer} in good times: {caller.Error?.Message ?? "no answer"}");
        }

        if (world.HasLimits) return;
        CheckOneConnectionRemains();
        foreach ((SimulatedNode node, SimulatedRequest request) in _asked)
        {
            if (!request.HasResponse)
                throw new InvariantException(
                    $"{request} of {node} was not answered in good times: {request.Error?.Message ?? "no answer"}");
        }

        foreach ((SimulatedNode node, SimulatedRequest request) in _patient)
        {
            if (node.IsClosed || request.Target.IsClosed || request.HasResponse) continue;
            if (request.Error is null || request.Error.Failure is RequestFailure.DialFailure or RequestFailure.ConnectionClosed
                or RequestFailure.Timeout or RequestFailure.Io)
                throw new InvariantException(
                    $"{request} of {node}, which is patient, was not answered: {request.Error?.Message ?? "no answer"}");
        }
    }

    /// <summary>Whoever dialed, and however often: what is left is one connection, and those that somebody asked for beside it.</summary>
    public void CheckOneConnectionRemains()
    {
        foreach (SimulatedNode node in world.Nodes)
        {
            foreach (SimulatedNode peer in world.Nodes)
            {
                if (peer == node || peer.IsClosed || node.IsClosed) continue;
                // A lane is somebody's own, and only its dialer knows: the other side may hope for it in vain.
                if (node.Ends.Any(e => e.Remote == peer && (e.IsLane || e.Other.IsLane))) continue;
                SimulatedEnd[] ends = [.. node.SharedWith(peer)];
                int extra = ends.Count(e => e.IsExtra || e.Other.IsExtra);
                if (ends.Length - extra > 1 || ends.Length == 0)
                    throw new InvariantException($"{node} has {ends.Length} connections to {peer}, {extra} of them asked for");
            }
        }
    }

    private void Act()
    {
        SimulatedNode node = Random.Pick(world.Nodes), peer = Random.Pick(world.Nodes);
        if (node == peer) peer = world.Nodes[(peer.Index + 1) % world.Nodes.Count];
        if (node.IsClosed) return;
        switch (Random.Below(100))
        {
            case < 35:
                Burst(node, peer);
                break;
            case < 50:
                // Both sides at the same instant, or nearly.
                Burst(node, peer);
                TimeSpan apart = Random.Between(TimeSpan.Zero, world.Network.DelayBetween(node, peer));
                if (!peer.IsClosed) world.Time.Plan(apart, "burst", () => Burst(peer, node));
                break;
            case < 55:
                node.ConnectLane(peer, DrawPatience());
                break;
            case < 65:
                node.Learn(peer, Some(peer.Addresses));
                break;
            case < 78:
                if (world.Network.Connections.Count > 0)
                    world.Network.Break(Random.Pick(world.Network.Connections), silently: Random.Percent(30));
                break;
            case < 82:
                if (node.Ends.Count > 0 && Random.Pick(node.Ends) is { IsOver: false } end) world.Network.Close(end);
                break;
            case < 88:
                GoOffline(node);
                break;
            case < 94:
                Redraw(Random.Pick(peer.Addresses));
                break;
            case < 98:
                HashSet<PeerId> policy = Random.Pick([node.DeniesInbound, node.DeniesOutbound, node.Vetoes]);
                if (!policy.Remove(peer.Id)) policy.Add(peer.Id);
                world.Trace.Write($"the policy of {node} on {peer} changes");
                break;
            case < 99:
                node.Abort(peer);
                break;
            default:
                if (Random.Percent(50)) node.Close();
                break;
        }
    }

    private void Burst(SimulatedNode node, SimulatedNode peer)
    {
        if (node.IsClosed) return;
        int callers = Random.Percent(70) ? Random.Between(1, 5) : Random.Between(6, 99);
        TimeSpan spread = Random.Percent(60) ? TimeSpan.Zero : Random.Milliseconds(1, 500);
        for (int i = 0; i < callers; i++)
        {
            if (Random.Percent(60))
            {
                SimulatedRequest request = DrawRequest(node, peer);
                IReadOnlyList<SimulatedAddress> given = Random.Percent(20) ? Some(peer.Addresses) : [];
                TimeSpan? patience = Random.Percent(20) ? DrawPatience() : null;
                world.Time.Plan(Random.Between(TimeSpan.Zero, spread), "request", () =>
                {
                    if (!node.IsClosed) node.Request(request, given, patience);
                });
                continue;
            }

            Wish wish = DrawWish(peer);
            world.Time.Plan(Random.Between(TimeSpan.Zero, spread), "call", () => node.Connect(peer, wish));
        }
    }

    private void GoOffline(SimulatedNode node)
    {
        if (!node.IsOnline) return;
        world.Trace.Write($"{node} goes offline");
        node.IsOnline = false;
        bool silently = Random.Percent(50);
        foreach (SimulatedConnection connection in world.Network.Connections.ToArray())
        {
            if (connection.Outbound.Node == node || connection.Inbound.Node == node) world.Network.Break(connection, silently);
        }

        world.Time.Plan(Random.Milliseconds(100, 20_000), "back online", () =>
        {
            if (!node.IsClosed) node.IsOnline = true;
            world.Trace.Write($"{node} is back");
        });
    }

    private void Redraw(SimulatedAddress address)
    {
        address.Behaviour = Random.Percent(_hostility) ? (Behaviour)Random.Between(1, (int)Behaviour.Slow) : Behaviour.Good;
        world.Trace.Write($"{address} becomes {address.Behaviour}");
    }

    private Wish DrawWish(SimulatedNode peer) => new()
    {
        Condition = Random.Percent(80) ? default : (DialCondition)Random.Below(4),
        Addresses = Random.Percent(20) ? Some(peer.Addresses) : [],
        UsesKnown = Random.Percent(90),
        IsPatient = Random.Percent(30),
        Patience = DrawPatience(),
    };

    private SimulatedRequest DrawRequest(SimulatedNode node, SimulatedNode peer)
    {
        TimeSpan timeout = Random.Below(4) switch
        {
            0 => Random.Milliseconds(50, 5_000),
            1 => Random.Milliseconds(20_000, 60_000),
            2 => TimeSpan.FromMinutes(10),
            _ => TimeSpan.FromSeconds(10),
        };
        RetryPolicy retry = Random.Below(4) switch
        {
            0 => RetryPolicy.None,
            1 => new RetryPolicy(),
            2 => new RetryPolicy { MaxAttempts = 20, Budget = Random.Milliseconds(100, 20_000) },
            _ => RetryPolicy.UntilDeadline,
        };
        DialCondition condition = Random.Percent(80) ? default : (DialCondition)Random.Below(4);
        var request = new SimulatedRequest(peer, Random.Between(1, 1_500), timeout, retry, Random.Percent(50), condition);
        bool isPatient = retry == RetryPolicy.UntilDeadline && request.IsIdempotent && timeout == TimeSpan.FromMinutes(10);
        if (isPatient) _patient.Add((node, request));
        return request;
    }

    // Null: until the end.
    private TimeSpan? DrawPatience() => Random.Below(3) switch
    {
        0 => Random.Milliseconds(0, 1_000),
        1 => Random.Milliseconds(1_000, 20_000),
        _ => null,
    };

    private List<SimulatedAddress> Some(List<SimulatedAddress> addresses) => [.. addresses.Where(_ => Random.Percent(70))];
}
