using FastShare.Transport.Identity;
using FastShare.Transport.Protocols.Internal;

namespace FastShare.Transport.Tests.Simulation;

/// <summary>A connection: two ends, which learn of its beginning and of its end at different times.</summary>
internal sealed class SimulatedConnection
{
    public SimulatedConnection(int number, SimulatedNode dialer, SimulatedNode listener, TimeSpan delay)
    {
        Number = number;
        Delay = delay;
        Outbound = new SimulatedEnd(this, dialer, listener, isInbound: false);
        Inbound = new SimulatedEnd(this, listener, dialer, isInbound: true);
    }

    public int Number { get; }

    /// <summary>How long a message takes, one way.</summary>
    public TimeSpan Delay { get; }

    public SimulatedEnd Outbound { get; }

    public SimulatedEnd Inbound { get; }

    /// <summary>Whether messages still get through; false is known to the ends only later.</summary>
    public bool Carries { get; set; } = true;

    public override string ToString() => $"c{Number}";
}

/// <summary>One node's end of a connection: what stands in its table.</summary>
internal sealed class SimulatedEnd(SimulatedConnection connection, SimulatedNode node, SimulatedNode remote, bool isInbound)
    : IDialedConnection
{
    public SimulatedConnection Connection { get; } = connection;

    public SimulatedNode Node { get; } = node;

    public SimulatedNode Remote { get; } = remote;

    public PeerId Peer => Remote.Id;

    public bool IsInbound { get; } = isInbound;

    public bool IsExtra { get; set; }

    /// <summary>What took its place; null: nothing, it is not surplus.</summary>
    public SimulatedEnd? Successor { get; set; }

    /// <summary>Whether only its dialer may use it. A listener cannot tell.</summary>
    public bool IsLane { get; set; }

    public SimulatedEnd Other => this == Connection.Outbound ? Connection.Inbound : Connection.Outbound;

    /// <summary>What the table asks: false as soon as this end knows that the connection is over.</summary>
    public bool IsLive { get; set; } = true;

    /// <summary>Whether it stands in its node's table.</summary>
    public bool IsListed { get; set; }

    /// <summary>Whether the observers were told that it is up.</summary>
    public bool IsReported { get; set; }

    /// <summary>Whether the queue of requests knows it, by report or because it had asked for it.</summary>
    public bool IsKnown { get; set; }

    /// <summary>Whether the observers were told that it is over.</summary>
    public bool IsReportedDown { get; set; }

    /// <summary>Requests of this side that are under way on it.</summary>
    public List<SimulatedExchange> Exchanges { get; } = [];

    /// <summary>Whether its node has been told of its end, or never took it.</summary>
    public bool IsOver { get; set; }

    public override string ToString() => $"{Connection}{(IsInbound ? "<" : ">")}{(IsLane ? "lane" : "")}@{Node}";
}
