using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace FastShare.SideBySide.Reporting;

/// <summary>Everything a run found out.</summary>
/// <param name="Commit">The commit measured, <c>+</c> behind it if there were changes on top; empty: unknown.</param>
/// <param name="Time">When, UTC.</param>
/// <param name="Machine">What it ran on.</param>
/// <param name="Rounds">Counted rounds.</param>
/// <param name="Scenarios">One table each.</param>
/// <param name="Missing">Rows that could not run.</param>
/// <param name="Goals">What FastShare wants to reach, and did.</param>
internal sealed record Results(
    string Commit, DateTimeOffset Time, Machine Machine, int Rounds, IReadOnlyList<ScenarioResult> Scenarios, IReadOnlyList<string> Missing,
    IReadOnlyList<Goal> Goals)
{
    public static Results Of(
        Settings settings, Dictionary<Contender, List<Sample>> samples, Dictionary<Contender, double> calls, IReadOnlyList<string> missing)
    {
        List<ScenarioResult> scenarios =
            [.. samples.Where(pair => pair.Value.Count > 0).GroupBy(pair => pair.Key.Scenario).Select(scenario => ScenarioResult.Of(scenario.Key, scenario, calls))];
        return new Results(GitCommit(), DateTimeOffset.UtcNow, Machine.Here(), settings.Rounds, scenarios, missing, Reporting.Goals.Of(scenarios));
    }

    public void Write(string path) => File.WriteAllText(path, JsonSerializer.Serialize(this, ResultsJson.Default.Results));

    private static string GitCommit()
    {
        try
        {
            string commit = Git("rev-parse", "--short=10", "HEAD");
            return Git("status", "--porcelain", "--untracked-files=no").Length > 0 ? commit + "+" : commit;
        }
        catch (Exception e) when (e is InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            return ""; // not in a repository, or no git
        }

        static string Git(params string[] words) =>
            ChildProcess.RunAsync("git", ["-C", AppContext.BaseDirectory, .. words], CancellationToken.None).GetAwaiter().GetResult().Output.Trim();
    }
}

/// <summary>The machine that was measured.</summary>
internal sealed record Machine(string Processor, int Cores, double MemoryGib, string System, string Runtime)
{
    public static Machine Here() => new(
        Field("/proc/cpuinfo", "model name") ?? RuntimeInformation.ProcessArchitecture.ToString(),
        Environment.ProcessorCount,
        double.Parse((Field("/proc/meminfo", "MemTotal") ?? "0 kB").Split(' ')[0], CultureInfo.InvariantCulture) / (1 << 20),
        RuntimeInformation.OSDescription,
        RuntimeInformation.FrameworkDescription);

    private static string? Field(string file, string name) => File.Exists(file)
        ? File.ReadLines(file).FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal))?.Split(':')[1].Trim()
        : null;
}

/// <summary>A table: rows that moved the same bytes, fastest first.</summary>
internal sealed record ScenarioResult(string Name, long Bytes, long Files, IReadOnlyList<RowResult> Rows)
{
    public static ScenarioResult Of(
        Scenario scenario, IEnumerable<KeyValuePair<Contender, List<Sample>>> samples, Dictionary<Contender, double> calls)
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

/// <summary>A row of a table with all its rounds.</summary>
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

    public static double MedianOf(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[sorted.Length / 2 - 1] + sorted[sorted.Length / 2]) / 2;
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(Results))]
[JsonSerializable(typeof(HistoryLine))]
internal sealed partial class ResultsJson : JsonSerializerContext;
