using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Simulation;

/// <summary>The links between the nodes: what becomes of attempts and messages is decided here, by the seed alone.</summary>
internal sealed class SimulatedNetwork(SimulatedWorld world)
{
    public static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(5);
    public static readonly TimeSpan UpgradeTimeout = TimeSpan.FromSeconds(10);

    private readonly Dictionary<Multiaddr, SimulatedAddress> _addresses = [];
    private readonly TimeSpan[,] _delays = new TimeSpan[SimulatedWorld.MaxNodes, SimulatedWorld.MaxNodes];
    private readonly List<SimulatedConnection> _connections = [];
    private int _made;

    /// <summary>Connections that at least one end still knows.</summary>
    public IReadOnlyList<SimulatedConnection> Connections => _connections;

    /// <summary>Connections made so far.</summary>
    public int Made => _made;

    public void Add(SimulatedAddress address) => _addresses.Add(address.Address, address);

    public SimulatedAddress? At(Multiaddr address) => _addresses.GetValueOrDefault(address);

    public void SetDelay(SimulatedNode a, SimulatedNode b, TimeSpan delay) => _delays[a.Index, b.Index] = _delays[b.Index, a.Index] = delay;

    public TimeSpan DelayBetween(SimulatedNode a, SimulatedNode b) => _delays[a.Index, b.Index];

    /// <summary>When and how connecting to an address ends, decided as it begins.</summary>
    public (TimeSpan After, TransportError? Error) Connect(SimulatedNode from, SimulatedAddress? address)
    {
        if (address is null || !from.IsOnline || !address.Owner.IsOnline || address.Behaviour == Behaviour.Swallows)
            return (ConnectTimeout, TransportError.Timeout);
        TimeSpan roundTrip = 2 * DelayBetween(from, address.Owner);
        return (roundTrip, address.Behaviour == Behaviour.Refuses ? TransportError.ConnectionRefused : null);
    }

    /// <summary>When and how securing a connection ends, decided as it begins.</summary>
    public (TimeSpan After, TransportError? Error) Secure(SimulatedNode from, SimulatedAddress address)
    {
        if (!from.IsOnline || !address.Owner.IsOnline) return (UpgradeTimeout, TransportError.Timeout);
        TimeSpan usual = 3 * DelayBetween(from, address.Owner) + world.Random.Milliseconds(0, 20);
        switch (address.Behaviour)
        {
            case Behaviour.Resets: return (usual / 2, TransportError.ConnectionReset);
            case Behaviour.WrongPeer: return (usual, TransportError.PeerIdMismatch);
            case Behaviour.Swallows: return (UpgradeTimeout, TransportError.Timeout);
            case Behaviour.Slow:
                TimeSpan slow = usual + world.Random.Milliseconds(200, 12_000);
                return slow < UpgradeTimeout ? (slow, null) : (UpgradeTimeout, TransportError.Timeout);
            default: return (usual, null);
        }
    }

    /// <summary>A dialer has secured a connection.</summary>
    public SimulatedConnection Make(SimulatedNode dialer, SimulatedNode listener)
    {
        var connection = new SimulatedConnection(++_made, dialer, listener, DelayBetween(dialer, listener));
        _connections.Add(connection);
        return connection;
    }

    /// <summary>The other side learns of a connection one way later, and may turn it away.</summary>
    /// <param name="connection">The connection.</param>
    /// <param name="isWanted">Whether its dialer keeps it; if not, the other side may or may not have taken it before it learns so.</param>
    public void Arrive(SimulatedConnection connection, bool isWanted)
    {
        SimulatedNode listener = connection.Inbound.Node, dialer = connection.Outbound.Node;
        if (!isWanted) connection.Outbound.IsOver = true;
        world.Time.Plan(connection.Delay, "inbound", () =>
        {
            if (!connection.Carries || !listener.IsOnline || listener.DeniesInbound.Contains(dialer.Id))
            {
                world.Trace.Write($"{listener} turns {connection} away");
                End(connection.Inbound);
                Break(connection, silently: !listener.IsOnline);
            }
            else if (listener.Establish(connection.Inbound, null) is not null)
            {
                End(connection.Inbound);
                Break(connection, silently: false);
            }
        });
        if (isWanted) return;
        world.Time.Plan(
            world.Random.Percent(50) ? TimeSpan.Zero : 2 * connection.Delay, "discard", () => Break(connection, silently: false));
    }

    /// <summary>Nothing gets through any more; both ends find out, at once or when their heartbeats fail.</summary>
    public void Break(SimulatedConnection connection, bool silently)
    {
        if (connection.Carries)
        {
            connection.Carries = false;
            world.Trace.Write($"{connection} breaks{(silently ? " silently" : "")}");
        }

        Notify(connection.Outbound, silently);
        Notify(connection.Inbound, silently);
    }

    /// <summary>One end closes; the other learns of it one way later.</summary>
    public void Close(SimulatedEnd end)
    {
        bool carried = end.Connection.Carries;
        end.Connection.Carries = false;
        world.Trace.Write($"{end} closes");
        End(end);
        if (carried) world.Time.Plan(end.Connection.Delay, "goodbye", () => End(end.Other));
        else Notify(end.Other, silently: true);
    }

    private void Notify(SimulatedEnd end, bool silently)
    {
        if (end.IsOver) return;
        TimeSpan after = silently ? world.Random.Milliseconds(10_000, 40_000) : world.Random.Between(TimeSpan.Zero, end.Connection.Delay);
        world.Time.Plan(after, "loss noticed", () => End(end));
    }

    private void End(SimulatedEnd end)
    {
        if (!end.IsOver)
        {
            end.IsOver = true;
            end.IsLive = false;
            end.Node.Lose(end);
        }

        if (end.Other.IsOver) _connections.Remove(end.Connection);
    }
}
