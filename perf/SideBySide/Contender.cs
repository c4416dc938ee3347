namespace FastShare.SideBySide;

/// <summary>One way to move the bytes, run again and again in turn with the others.</summary>
/// <param name="Name">Row title.</param>
/// <param name="Scenario">Rows of one scenario are compared with each other.</param>
/// <param name="Servers">Processes that stay and whose use of the machine counts.</param>
/// <param name="RunAsync">Moves the bytes once, every program that ends through the meter; returns the seconds it took.</param>
internal sealed record Contender(
    string Name, Scenario Scenario, IReadOnlyList<ChildProcess> Servers, Func<Meter, CancellationToken, Task<double>> RunAsync)
{
    /// <summary>FastShare's own row, encrypted: what the others are compared with.</summary>
    public bool IsReference { get; init; }

    /// <summary>The part of the bytes that a run really moves; its time is scaled, its processor time is not yet.</summary>
    public double Share { get; init; } = 1;

    /// <summary>Counted rounds at most, for rows that take long.</summary>
    public int MostRounds { get; init; } = int.MaxValue;
}

/// <summary>What the rows of a table have in common.</summary>
/// <param name="Name">Its title.</param>
/// <param name="Bytes">Bytes moved by one run; 0: it is the time that counts.</param>
/// <param name="Files">Files moved by one run; 0: none, from memory to memory.</param>
internal sealed record Scenario(string Name, long Bytes, long Files);

/// <summary>One run of one row.</summary>
/// <param name="Seconds">How long it took.</param>
/// <param name="CpuSeconds">Processor time of both ends.</param>
/// <param name="PeakBytes">Largest resident memory of one process, as seen every few milliseconds.</param>
internal sealed record Sample(double Seconds, double CpuSeconds, long PeakBytes)
{
    /// <summary>What else was found out, by the column's title.</summary>
    public IReadOnlyDictionary<string, double> Figures { get; init; } = new Dictionary<string, double>();

    /// <summary>Seconds in each stage, added up over everything that works or waits at the same time; of FastShare's transfers only.</summary>
    public IReadOnlyDictionary<string, double> Stages { get; init; } = new Dictionary<string, double>();

    /// <summary>Bytes received over the loopback interface in each tenth of a second since the start.</summary>
    public IReadOnlyList<long> Trace { get; init; } = [];
}
