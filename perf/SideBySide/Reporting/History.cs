using System.Globalization;
using System.Text.Json;

namespace FastShare.SideBySide.Reporting;

/// <summary>The medians of one run.</summary>
/// <param name="Commit">What was measured.</param>
/// <param name="Time">When.</param>
/// <param name="Ratios">Scenario and row → how many times as fast as that row FastShare was: ratios within one run can be compared
/// between runs, absolute figures cannot.</param>
/// <param name="CpuPerGigabyte">Scenario and FastShare row → processor seconds per gigabyte.</param>
internal sealed record HistoryLine(
    string Commit, DateTimeOffset Time, IReadOnlyDictionary<string, double> Ratios, IReadOnlyDictionary<string, double> CpuPerGigabyte);

/// <summary>A file of earlier runs, one line of JSON each, so that two commits can be compared.</summary>
internal static class History
{
    public static void Add(string path, Results results)
    {
        var rows = results.Scenarios.SelectMany(scenario => scenario.Rows, (scenario, row) => (Key: $"{scenario.Name}: {row.Name}", Scenario: scenario, Row: row)).ToList();
        var line = new HistoryLine(
            results.Commit, results.Time,
            rows.Where(entry => !entry.Row.IsReference && entry.Scenario.Reference is not null).ToDictionary(entry => entry.Key, entry => Math.Round(entry.Scenario.Ratio(entry.Row)!.Value, 3)),
            rows.Where(entry => entry.Row.Name.StartsWith("fastshare", StringComparison.Ordinal) && entry.Scenario.Bytes > 0).ToDictionary(entry => entry.Key, entry => Math.Round(entry.Row.CpuPerGigabyte(entry.Scenario.Bytes), 3)));
        var compact = new ResultsJson(new JsonSerializerOptions(ResultsJson.Default.Options) { WriteIndented = false });
        File.AppendAllText(path, JsonSerializer.Serialize(line, compact.HistoryLine) + "\n");
    }

    /// <summary>Prints two commits beside each other; returns the exit code.</summary>
    public static int Compare(string path, string before, string after)
    {
        List<HistoryLine> lines = [.. File.ReadLines(path).Where(line => line.Length > 0).Select(line => JsonSerializer.Deserialize(line, ResultsJson.Default.HistoryLine)!)];
        if (Find(before) is not { } old || Find(after) is not { } now)
        {
            Console.Error.WriteLine($"{path} has no line of {before} or of {after}; it has {string.Join(", ", lines.Select(line => line.Commit).Distinct())}");
            return 2;
        }

        Print($"FastShare is … × this", old.Ratios, now.Ratios);
        Print("CPU-s per GB", old.CpuPerGigabyte, now.CpuPerGigabyte);
        return 0;

        HistoryLine? Find(string commit) => lines.LastOrDefault(line => line.Commit.StartsWith(commit, StringComparison.Ordinal));

        void Print(string title, IReadOnlyDictionary<string, double> first, IReadOnlyDictionary<string, double> second)
        {
            Console.WriteLine($"\n| {title} | {old.Commit} | {now.Commit} | change |\n|---|---|---|---|");
            foreach (string key in first.Keys.Intersect(second.Keys))
            {
                double change = 100 * (second[key] / first[key] - 1);
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {key} | {first[key]:0.00} | {second[key]:0.00} | {change:+0;-0;0} % |"));
            }
        }
    }
}
