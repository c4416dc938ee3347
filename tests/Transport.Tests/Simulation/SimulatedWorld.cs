using System.Net;
using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;
using FastShare.Transport.Requests;

namespace FastShare.Transport.Tests.Simulation;

/// <summary>
/// A few nodes with the real dialing and request machines, on a network that does everything bad there is, then becomes good; all
/// of it decided by one seed. Promises are checked after every event.
/// </summary>
internal sealed class SimulatedWorld
{
    public const int MaxNodes = 6;

    /// <summary>Events after which a world must have come to rest; none is known to need a tenth of it.</summary>
    private const int MaxSteps = 500_000;

    private static readonly PeerId[] Ids = [.. Enumerable.Range(1, MaxNodes).Select(MakeId)];

    private readonly SimulatedNode[] _nodes;
    private readonly Chaos _chaos;
    private readonly HashSet<string> _seen = [];
    private int _numbers;

    public SimulatedWorld(ulong seed, Fault fault = Fault.None, bool trace = false, bool isCalm = false)
    {
        Random = new SeededRandom(seed);
        Trace = new Trace(Time, trace);
        Network = new SimulatedNetwork(this);
        HasLimits = !isCalm && Random.Percent(25);
        _nodes = [.. Enumerable.Range(0, Random.Between(2, MaxNodes)).Select(
            i => new SimulatedNode(this, i, Ids[i], fault, DrawLimits(), isCalm ? new() : DrawRequestOptions()))];
        foreach (SimulatedNode node in _nodes) AddAddresses(node);
        for (int i = 0; i < _nodes.Length; i++)
        {
            for (int j = i + 1; j < _nodes.Length; j++) Network.SetDelay(_nodes[i], _nodes[j], DrawDelay());
        }

        _chaos = new Chaos(this);
    }

    public VirtualTime Time { get; } = new();

    public SeededRandom Random { get; }

    public Trace Trace { get; }

    public SimulatedNetwork Network { get; }

    /// <summary>Whether bad times are over.</summary>
    public bool IsGood { get; private set; }

    /// <summary>Whether the nodes of this world limit their connections.</summary>
    public bool HasLimits { get; }

    /// <summary>What happened in this world; see <see cref="See"/>.</summary>
    public IReadOnlySet<string> Seen => _seen;

    public IReadOnlyList<SimulatedNode> Nodes => _nodes;

    /// <summary>The course of a world: bad times, good times in which everything must succeed, and the end.</summary>
    public void Run()
    {
        _chaos.Begin();
        RunUntil(_chaos.End);
        IsGood = true;
        _chaos.Heal();
        RunUntil(Time.Now + Chaos.Settling);
        _chaos.Probe();
        RunUntil(Time.Now + Chaos.Patience);
        _chaos.CheckGoodTimes();
        CloseAll();
    }

    /// <summary>
    /// Another course: the first two nodes dial each other at about the same instant, in good times, each for a few requests that
    /// may be sent once only.
    /// </summary>
    /// <returns>Whether both dials made a connection.</returns>
    public bool RunSimultaneousDials()
    {
        IsGood = true;
        SimulatedNode a = _nodes[0], b = _nodes[1];
        a.Learn(b, b.Addresses);
        b.Learn(a, a.Addresses);
        TimeSpan apart = Random.Between(TimeSpan.Zero, 4 * Network.DelayBetween(a, b));
        var requests = new List<SimulatedRequest>();
        Burst(a, b, TimeSpan.Zero);
        Burst(b, a, apart);
        RunUntil(TimeSpan.FromSeconds(30));
        foreach (SimulatedRequest request in requests)
        {
            if (!request.HasResponse || request.Executions != 1)
                throw new InvariantException(
                    $"{request} was carried out {request.Executions} times: {request.Error?.Message ?? "no error"}");
        }

        if (a.Table.Machine.DialCount(b.Id) > 1 || b.Table.Machine.DialCount(a.Id) > 1) throw new InvariantException("more than one dial");
        if (a.SharedWith(b).Count() != 1 || b.SharedWith(a).Count() != 1)
            throw new InvariantException($"{a.SharedWith(b).Count()} and {b.SharedWith(a).Count()} connections remain");
        bool crossed = Network.Made > 1;
        CloseAll();
        return crossed;

        void Burst(SimulatedNode from, SimulatedNode to, TimeSpan after)
        {
            int count = Random.Between(1, 20);
            for (int i = 0; i < count; i++)
            {
                var request = new SimulatedRequest(to, 100, TimeSpan.FromSeconds(10), RetryPolicy.None, isIdempotent: false, default);
                requests.Add(request);
                Time.Plan(after + Random.Milliseconds(0, 2), "request", () => from.Request(request, [], null));
            }
        }
    }

    private void CloseAll()
    {
        foreach (SimulatedNode node in _nodes) Time.Plan(Random.Milliseconds(0, 200), "close", node.Close);
        RunUntil(Time.Now + TimeSpan.FromMinutes(2));
        foreach (SimulatedNode node in _nodes) node.CheckNothingIsLeft();
        if (Network.Connections.Count > 0) throw new InvariantException($"{Network.Connections[0]} is still there");
        if (Time.Planned > 0) throw new InvariantException($"events are left: {string.Join("; ", Time.Remaining().Take(5))}");
    }

    /// <summary>How late a task resumes: mostly at once, and sometimes when other things have happened.</summary>
    public TimeSpan Jitter() => Random.Percent(85) ? TimeSpan.Zero : Random.Between(TimeSpan.Zero, TimeSpan.FromMilliseconds(3));

    /// <summary>Notes that something happened which the simulation is there for.</summary>
    public void See(string sight) => _seen.Add(sight);

    public int NextNumber() => ++_numbers;

    public string NameOf(PeerId peer) => $"n{Array.IndexOf(Ids, peer)}";

    private void RunUntil(TimeSpan until)
    {
        while (Time.RunNext(until) is not null)
        {
            foreach (SimulatedNode node in _nodes) node.Attend();
            foreach (SimulatedNode node in _nodes) node.Check();
            if (Time.Steps > MaxSteps) throw new InvariantException($"no rest after {MaxSteps} events");
        }
    }

    private void AddAddresses(SimulatedNode node)
    {
        int count = Random.Between(1, 4);
        for (int i = 1; i <= count; i++)
        {
            bool near = Random.Percent(60);
            IPAddress ip = (near, Random.Percent(30)) switch
            {
                (true, false) => new IPAddress([10, 0, (byte)node.Index, (byte)i]),
                (true, true) => IPAddress.Parse($"fd00::{node.Index}:{i}"),
                (false, false) => new IPAddress([192, 0, 2, (byte)(16 * node.Index + i)]),
                (false, true) => IPAddress.Parse($"2001:db8::{node.Index}:{i}"),
            };
            var candidate = new DialCandidate(
                Multiaddr.FromTcp(new IPEndPoint(ip, 4001)), near ? AddressScope.Private : AddressScope.Public);
            var address = new SimulatedAddress(node, candidate);
            node.Addresses.Add(address);
            Network.Add(address);
        }
    }

    private ConnectionLimits DrawLimits() => new()
    {
        PendingOutbound = Random.Percent(30) ? Random.Between(1, 4) : null,
        Inbound = HasLimits && Random.Percent(40) ? Random.Between(1, 8) : null,
        Outbound = HasLimits && Random.Percent(40) ? Random.Between(1, 8) : null,
        PerPeer = HasLimits && Random.Percent(40) ? Random.Between(1, 3) : null,
        Total = HasLimits && Random.Percent(40) ? Random.Between(2, 12) : null,
    };

    private RequestProtocolOptions DrawRequestOptions() => new()
    {
        MaxConcurrentStreams = Random.Pick([1, 3, 100, 100]),
        MaxQueuedRequests = Random.Pick([5, 50, 16_384, 16_384]),
        MaxQueuedBytes = Random.Pick([2_000, 64L << 20, 64L << 20]),
        WhenFull = Random.Percent(70) ? QueueFullMode.Wait : QueueFullMode.Fail,
    };

    private TimeSpan DrawDelay() => Random.Below(3) switch
    {
        0 => Random.Between(TimeSpan.FromMicroseconds(50), TimeSpan.FromMilliseconds(2)),
        1 => Random.Milliseconds(2, 40),
        _ => Random.Milliseconds(40, 250),
    };

    private static PeerId MakeId(int n)
    {
        byte[] multihash = new byte[38];
        multihash[1] = 36;
        multihash.AsSpan(6).Fill((byte)n);
        (multihash[2], multihash[3], multihash[4], multihash[5]) = (0x08, 0x01, 0x12, 0x20); // an Ed25519 key's protobuf header
        return PeerId.FromBytes(multihash);
    }
}
