namespace FastShare.Transport.Tests.Simulation;

/// <summary>The one event queue of a simulated world, ordered by time and then by the order in which events were planned.</summary>
/// <remarks>Single-threaded, so a world's course depends on nothing but its seed.</remarks>
internal sealed class VirtualTime
{
    private readonly PriorityQueue<PlannedEvent, (TimeSpan At, long Sequence)> _events = new();
    private long _sequence;

    /// <summary>Time since the world began.</summary>
    public TimeSpan Now { get; private set; }

    /// <summary>Events run so far.</summary>
    public int Steps { get; private set; }

    /// <summary>Events that are still to come.</summary>
    public int Planned { get; private set; }

    /// <summary>Plans an event after <paramref name="delay"/>; it can be called off until it has run.</summary>
    public PlannedEvent Plan(TimeSpan delay, string name, Action run)
    {
        var planned = new PlannedEvent(this, Now + (delay > TimeSpan.Zero ? delay : TimeSpan.Zero), name, run);
        Planned++;
        _events.Enqueue(planned, (planned.At, _sequence++));
        return planned;
    }

    /// <summary>Runs the next event due by <paramref name="until"/>; else moves on to that time and returns null.</summary>
    public PlannedEvent? RunNext(TimeSpan until)
    {
        while (_events.TryPeek(out PlannedEvent? next, out (TimeSpan At, long Sequence) turn) && turn.At <= until)
        {
            _events.Dequeue();
            if (next.Run is not { } run) continue;
            Now = turn.At;
            Steps++;
            next.CallOff();
            run();
            return next;
        }

        Now = until;
        return null;
    }

    /// <summary>Names of the events that are still to come, for the report of something left behind.</summary>
    public IEnumerable<string> Remaining() =>
        _events.UnorderedItems.Where(e => e.Element.Run is not null).OrderBy(e => e.Priority)
            .Select(e => $"{e.Element.Name} at {e.Priority.At}");

    internal sealed class PlannedEvent(VirtualTime time, TimeSpan at, string name, Action run)
    {
        public TimeSpan At { get; } = at;

        public string Name { get; } = name;

        /// <summary>Null once it has run or was called off.</summary>
        public Action? Run { get; private set; } = run;

        public void CallOff()
        {
            if (Run is null) return;
            Run = null;
            time.Planned--;
        }
    }
}
