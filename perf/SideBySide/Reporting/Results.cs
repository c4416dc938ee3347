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
internal sealed record Results(
    string Commit, DateTimeOffset Time, Machine Machine, int Rounds, IReadOnlyList<ScenarioResult> Scenarios, IReadOnlyList<string> Missing)
{
    public static Results Of(Settings settings, Dictionary<Contender, List<Sample>> samples, IReadOnlyList<string> missing) => new(
        GitCommit(), DateTimeOffset.UtcNow, Machine.Here(), settings.Rounds,
        [.. samples.GroupBy(pair => pair.Key.Scenario).Select(scenario => ScenarioResult.Of(scenario.Key, scenario))], missing);

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
    public static ScenarioResult Of(Scenario scenario, IEnumerable<KeyValuePair<Contender, List<Sample>>> samples)
    {
        List<RowResult> rows = [.. samples.Select(pair => new RowResult(pair.Key.Name, pair.Key.IsReference, pair.Key.Share, pair.Value)).OrderBy(row => row.Median)];
        return new ScenarioResult(scenario.Name, scenario.Bytes, scenario.Files, rows);
    }

    /// <summary>FastShare's own row, encrypted; null if it did not run.</summary>
    [JsonIgnore]
    public RowResult? Reference => Rows.FirstOrDefault(row => row.IsReference);

    public double GigabytesPerSecond(double seconds) => Bytes / seconds / 1e9;

    /// <summary>How many times as fast as a row the reference is: the median over the rounds of each round's own ratio.</summary>
    public double? Ratio(RowResult row)
    {
        if (Reference is not { } reference) return null;
        return RowResult.MedianOf(row.Samples.Zip(reference.Samples, (other, own) => other.Seconds / own.Seconds));
    }
}

/// <summary>A row of a table with all its rounds.</summary>
internal sealed record RowResult(string Name, bool IsReference, double Share, IReadOnlyList<Sample> Samples)
{
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
