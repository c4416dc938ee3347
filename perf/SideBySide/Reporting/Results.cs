using System.Text.Json;
using System.Text.Json.Serialization;

namespace FastShare.SideBySide.Reporting;

/// <summary>Everything a run found out.</summary>
/// <param name="Commit">The commit measured, <c>+</c> behind it if there were changes on top; empty: unknown.</param>
/// <param name="Time">When, UTC.</param>
/// <param name="Machine">What it ran on.</param>
/// <param name="Rounds">Counted rounds asked for.</param>
/// <param name="Interrupted">Whether it was ended before its last round.</param>
/// <param name="Scenarios">One table each.</param>
/// <param name="Failed">Rows that failed.</param>
/// <param name="Missing">Rows that could not run.</param>
/// <param name="Goals">What FastShare wants to reach, and did.</param>
internal sealed record Results(
    string Commit, DateTimeOffset Time, Machine Machine, int Rounds, bool Interrupted, IReadOnlyList<ScenarioResult> Scenarios,
    IReadOnlyList<FailedRow> Failed, IReadOnlyList<MissingRow> Missing, IReadOnlyList<Goal> Goals)
{
    public static Results Of(
        Settings settings, Measuring measured, IReadOnlyDictionary<Contender, double> calls, IReadOnlyList<MissingRow> missing, bool interrupted,
        Machine machine, string commit)
    {
        List<ScenarioResult> scenarios =
        [
            .. measured.Samples.Where(pair => pair.Value.Count > 0).GroupBy(pair => pair.Key.Scenario).Select(scenario =>
                ScenarioResult.Of(scenario.Key, scenario, calls) with { TookSeconds = measured.Seconds.GetValueOrDefault(scenario.Key.Name) }),
        ];
        return new Results(
            commit, DateTimeOffset.UtcNow, machine, settings.Rounds, interrupted, scenarios, measured.Failed, missing, Reporting.Goals.Of(scenarios));
    }

    public string ToJson() => JsonSerializer.Serialize(this, ResultsJson.Default.Results);
}

/// <summary>A table: rows that moved the same bytes, fastest first.</summary>
internal sealed record ScenarioResult(string Name, long Bytes, long Files, IReadOnlyList<RowResult> Rows)
{
    /// <summary>How long all of it took, with warming up, starts and clearing up.</summary>
    public double TookSeconds { get; init; }

    public static ScenarioResult Of(
        Scenario scenario, IEnumerable<KeyValuePair<Contender, List<Sample>>> samples, IReadOnlyDictionary<Contender, double> calls)
    {
        List<RowResult> rows = [.. samples.Select(pair => new RowResult(pair.Key.Name, pair.Key.IsReference, pair.Key.Share, pair.Value)
        {
            SystemCallsPerGigabyte = calls.TryGetValue(pair.Key, out double count) ? count : null,
        }).OrderBy(row => row.Median)];
        return new ScenarioResult(scenario.Name, scenario.Bytes, scenario.Files, rows);
    }

    /// <summary>FastShare's own row, encrypted; null if it did not run.</summary>
    [JsonIgnore]
    public RowResult? Reference => Rows.FirstOrDefault(row => row.IsReference);

    public double GigabytesPerSecond(double seconds) => Bytes / seconds / 1e9;

    /// <summary>How many times as fast as a row the reference is: the median over the rounds of each round's own ratio.</summary>
    public double? Ratio(RowResult row) => Reference is { } reference ? RowResult.MedianOf(Ratios(reference, row)) : null;

    /// <summary>How many times as fast as <paramref name="row"/> was <paramref name="own"/>, round by round.</summary>
    public static double[] Ratios(RowResult own, RowResult row) =>
        [.. row.Samples.Zip(own.Samples, (other, sample) => other.Seconds / sample.Seconds)];

    /// <summary>Titles of the columns that only some tables have.</summary>
    [JsonIgnore]
    public IReadOnlyList<string> FigureNames => [.. Rows.SelectMany(row => row.FigureNames).Distinct()];
}

/// <summary>A row of a table with all its rounds; at least one.</summary>
internal sealed record RowResult(string Name, bool IsReference, double Share, IReadOnlyList<Sample> Samples)
{
    /// <summary>Of both ends, counted in a pass of its own; null: not counted.</summary>
    public double? SystemCallsPerGigabyte { get; init; }

    /// <summary>Titles of what else was found out.</summary>
    [JsonIgnore]
    public IEnumerable<string> FigureNames =>
        Samples.SelectMany(sample => sample.Figures.Keys).Concat(SystemCallsPerGigabyte is null ? [] : [Calls]).Distinct();

    private const string Calls = "system calls per GB";

    /// <summary>Median of a figure; null: the row has none of that title.</summary>
    public double? Figure(string name)
    {
        if (name == Calls) return SystemCallsPerGigabyte;
        double[] values = [.. Samples.Where(sample => sample.Figures.ContainsKey(name)).Select(sample => sample.Figures[name])];
        return values.Length > 0 ? MedianOf(values) : null;
    }

    [JsonIgnore]
    public double Median => MedianOf(Samples.Select(sample => sample.Seconds));

    [JsonIgnore]
    public double Fastest => Samples.Min(sample => sample.Seconds);

    [JsonIgnore]
    public double Slowest => Samples.Max(sample => sample.Seconds);

    [JsonIgnore]
    public long PeakBytes => Samples.Max(sample => sample.PeakBytes);

    /// <summary>Processor seconds of both ends for a gigabyte (10^9 bytes).</summary>
    public double CpuPerGigabyte(long bytes) => MedianOf(Samples.Select(sample => sample.CpuSeconds)) / (bytes * Share / 1e9);

    /// <summary>The middle one, or the mean of the two in the middle.</summary>
    /// <exception cref="ArgumentException">There is none.</exception>
    public static double MedianOf(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        if (sorted.Length == 0) throw new ArgumentException("no value has no median", nameof(values));
        return sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[sorted.Length / 2 - 1] + sorted[sorted.Length / 2]) / 2;
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(Results))]
[JsonSerializable(typeof(HistoryLine))]
internal sealed partial class ResultsJson : JsonSerializerContext;
