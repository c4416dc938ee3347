using FastShare.Transfer.Scheduling;

namespace FastShare.Transfer.Tests.Scheduling;

/// <summary>A path in virtual time: what so many connections move over it, and what the kernel says about them.</summary>
internal sealed class SimulatedPath(AutoMode auto)
{
    /// <summary>What the line carries, in bytes a second.</summary>
    public double Line { get; set; } = 119e6;

    /// <summary>What one connection carries at most.</summary>
    public double PerConnection { get; set; } = double.PositiveInfinity;

    public TimeSpan RoundTrip { get; set; } = TimeSpan.FromMilliseconds(100);

    /// <summary>What the kernel says the path takes by itself.</summary>
    public TimeSpan? Shortest { get; set; }

    /// <summary>What the disk yields.</summary>
    public double Disk { get; set; } = 2e9;

    public int ChunkBytes { get; set; } = 1 << 20;

    public bool IsHeldBack { get; set; }

    public double Repeated { get; set; }

    public bool IsLossBased { get; set; } = true;

    /// <summary>Whether the kernel tells anything.</summary>
    public bool HasKernel { get; set; } = true;

    /// <summary>Whether what caps a connection is nothing that the kernel tells: its congestion window.</summary>
    public bool IsUnlimited { get; set; }

    /// <summary>Whether a full line makes round trips longer.</summary>
    public bool Queues { get; set; }

    /// <summary>Measured rates deviate by so much, up and down in turn.</summary>
    public double Noise { get; set; }

    /// <summary>What is still to be moved.</summary>
    public double? Left { get; set; }

    public TimeSpan Now { get; private set; }

    public List<AutoDecision> Decisions { get; } = [];

    public List<(TimeSpan At, int Connections, double Rate)> Trace { get; } = [];

    public double Capacity => Math.Min(Line, auto.Plan.Connections * PerConnection);

    public void Run(double seconds)
    {
        TimeSpan end = Now + TimeSpan.FromSeconds(seconds), interval = AutoMode.IntervalFor(RoundTrip);
        bool up = false;
        while (Now < end)
        {
            Now += interval;
            up = !up;
            double path = Capacity, rate = Math.Min(path, Disk) * (1 + (up ? Noise : -Noise));
            bool capped = Repeated == 0 && auto.Plan.Connections * PerConnection < Line;
            var measured = new PathMeasurement(
                interval, (long)(rate * interval.TotalSeconds), (long)(rate * interval.TotalSeconds / ChunkBytes),
                Math.Max(0, 1 - Disk / path), IsHeldBack, auto.Plan.Connections, capped || !Queues ? RoundTrip : 1.7 * RoundTrip,
                HasKernel ? new KernelMeasurement(capped && !IsUnlimited ? 0.9 : 0.05, 0, Repeated, IsLossBased) : null, Shortest,
                (long?)(Left -= rate * interval.TotalSeconds));
            Trace.Add((Now, auto.Plan.Connections, rate));
            if (auto.Observe(Now, measured) is { } decision) Decisions.Add(decision);
        }
    }
}
