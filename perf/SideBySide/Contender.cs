namespace FastShare.SideBySide;

/// <summary>One way to move the bytes, run again and again in turn with the others.</summary>
/// <param name="Name">Row title.</param>
/// <param name="Scenario">Rows of one scenario are compared with each other.</param>
/// <param name="Servers">What stays and whose use of the machine counts.</param>
/// <param name="RunAsync">Moves the bytes once, every program that ends through the meter; returns the seconds it took.</param>
internal sealed record Contender(
    string Name, Scenario Scenario, IReadOnlyList<Server> Servers, Func<Meter, CancellationToken, Task<double>> RunAsync)
{
    /// <summary>FastShare's own row, encrypted: what the others are compared with.</summary>
    public bool IsReference { get; init; }

    /// <summary>The part of the bytes that a run really moves; its time is scaled, its processor time is not yet.</summary>
    public double Share { get; init; } = 1;

    /// <summary>Counted rounds at most, without one to warm up, for rows that take long.</summary>
    public int MostRounds { get; init; } = int.MaxValue;

    /// <summary>
    /// The file or folder that a run writes, deleted after each: together the rows would leave more than many a machine's memory behind.
    /// Null: nothing of size.
    /// </summary>
    public string? Leaves { get; init; }

    /// <summary>Finds out more after each run, with the meter's figures but without its time; null: there is no more.</summary>
    public Func<Meter, CancellationToken, Task>? AfterwardsAsync { get; init; }
}

/// <summary>What the rows of a table have in common.</summary>
/// <param name="Name">Its title.</param>
/// <param name="Bytes">Bytes moved by one run; 0: it is the time that counts.</param>
/// <param name="Files">Files moved by one run; 0: none, from memory to memory.</param>
internal sealed record Scenario(string Name, long Bytes, long Files);

/// <summary>A row that was wanted and does not exist here.</summary>
/// <param name="Row">Its title.</param>
/// <param name="Needs">What it would need.</param>
internal sealed record MissingRow(string Row, string Needs);

/// <summary>A row that failed.</summary>
/// <param name="Scenario">The title of its table.</param>
/// <param name="Row">Its title.</param>
/// <param name="When">In which round, or in which other pass.</param>
/// <param name="Reason">Why: an error's message, with what the programs wrote.</param>
internal sealed record FailedRow(string Scenario, string Row, string When, string Reason);

/// <summary>One run of one row.</summary>
/// <param name="Seconds">How long it took.</param>
/// <param name="CpuSeconds">Processor time of both ends.</param>
/// <param name="PeakBytes">Largest resident memory of one process, but for its last tenth of a second.</param>
internal sealed record Sample(double Seconds, double CpuSeconds, long PeakBytes)
{
    /// <summary>What else was found out, by the column's title.</summary>
    public IReadOnlyDictionary<string, double> Figures { get; init; } = new Dictionary<string, double>();

    /// <summary>Seconds in each stage, added up over everything that works or waits at the same time; of FastShare's transfers only.</summary>
    public IReadOnlyDictionary<string, double> Stages { get; init; } = new Dictionary<string, double>();

    /// <summary>Bytes over the loopback interface, or over the emulated link, in each tenth of a second since the start.</summary>
    public IReadOnlyList<long> Trace { get; init; } = [];
}
