using System.Globalization;
using System.Text.Json;

namespace FastShare.SideBySide.Reporting;

/// <summary>The medians of one run.</summary>
/// <param name="Commit">What was measured.</param>
/// <param name="Time">When.</param>
/// <param name="Machine">Where: processor, cores, system.</param>
/// <param name="Rounds">Rounds asked for.</param>
/// <param name="Ratios">Scenario and row → how many times as fast as that row FastShare was: ratios within one run can be compared
/// between runs, absolute figures cannot.</param>
/// <param name="CpuPerGigabyte">Scenario and FastShare row → processor seconds per gigabyte.</param>
internal sealed record HistoryLine(
    string Commit, DateTimeOffset Time, string Machine, int Rounds, IReadOnlyDictionary<string, double> Ratios,
    IReadOnlyDictionary<string, double> CpuPerGigabyte);

/// <summary>A file of earlier runs, one line of JSON each, so that two commits can be compared.</summary>
internal static class History
{
    public static void Add(string path, Results results)
    {
        HistoryLine line = LineOf(results);
        if (line.Ratios.Count + line.CpuPerGigabyte.Count == 0) return; // nothing that a later run could be compared with
        var compact = new ResultsJson(new JsonSerializerOptions(ResultsJson.Default.Options) { WriteIndented = false });
        File.AppendAllText(path, JsonSerializer.Serialize(line, compact.HistoryLine) + "\n");
    }

    /// <summary>What is kept of a run: titles have the amounts, so that only the same is compared.</summary>
    public static HistoryLine LineOf(Results results)
    {
        var rows = results.Scenarios.SelectMany(
            scenario => scenario.Rows, (scenario, row) => (Key: $"{Table.Title(scenario)}: {row.Name}", Scenario: scenario, Row: row)).ToList();
        Machine machine = results.Machine;
        return new HistoryLine(
            results.Commit, results.Time,
            string.Create(CultureInfo.InvariantCulture, $"{machine.Processor}, {machine.Cores} cores, {machine.System}"), results.Rounds,
            rows.Where(entry => !entry.Row.IsReference && entry.Scenario.Ratio(entry.Row) is not null)
                .ToDictionary(entry => entry.Key, entry => Math.Round(entry.Scenario.Ratio(entry.Row)!.Value, 3)),
            rows.Where(entry => entry.Row.Name.StartsWith("fastshare", StringComparison.Ordinal) && entry.Scenario.Bytes > 0)
                .ToDictionary(entry => entry.Key, entry => Math.Round(entry.Row.CpuPerGigabyte(entry.Scenario.Bytes), 3)));
    }

    /// <summary>Writes two commits' last runs beside each other; returns the exit code.</summary>
    public static int Compare(string path, string before, string after, TextWriter to)
    {
        List<HistoryLine> lines = File.Exists(path)
            ? [.. File.ReadLines(path).Where(line => line.Length > 0).Select(line => JsonSerializer.Deserialize(line, ResultsJson.Default.HistoryLine)!)]
            : [];
        if (Find(before) is not { } old || Find(after) is not { } now)
        {
            Console.Error.WriteLine($"{path} has no line of {before} or of {after}; it has {string.Join(", ", lines.Select(line => line.Commit).Distinct())}");
            return 2;
        }

        foreach (HistoryLine line in (HistoryLine[])[old, now])
            to.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{line.Commit}: {line.Time:yyyy-MM-dd HH:mm} UTC, {line.Rounds} rounds, {line.Machine}"));
        if (old.Machine != now.Machine) to.WriteLine("Two machines: ratios may differ by that alone, processor time is not to be compared.");
        Print("FastShare is … × this", old.Ratios, now.Ratios);
        Print("CPU-s per GB", old.CpuPerGigabyte, now.CpuPerGigabyte);
        return 0;

        HistoryLine? Find(string commit) => lines.LastOrDefault(line => line.Commit.StartsWith(commit, StringComparison.Ordinal));

        void Print(string title, IReadOnlyDictionary<string, double> first, IReadOnlyDictionary<string, double> second)
        {
            to.WriteLine($"\n| {title} | {old.Commit} | {now.Commit} | change |\n|---|---|---|---|");
            foreach (string key in first.Keys.Union(second.Keys))
            {
                string change = first.TryGetValue(key, out double was) && second.TryGetValue(key, out double isNow) && was > 0
                    ? string.Create(CultureInfo.InvariantCulture, $"{100 * (isNow / was - 1):+0;-0;0} %") : "";
                to.WriteLine($"| {key} | {Value(first, key)} | {Value(second, key)} | {change} |");
            }
        }

        static string Value(IReadOnlyDictionary<string, double> of, string key) => of.TryGetValue(key, out double value) ? Table.Number(value) : "";
    }
}
