using System.Globalization;

namespace FastShare.SideBySide.Reporting;

/// <summary>Writes one Markdown table per scenario: median and spread, what it costs, and the ratio to the encrypted FastShare row.</summary>
internal static class Table
{
    private const int LongestReason = 300;

    public static void Print(Results results, TextWriter to)
    {
        foreach (ScenarioResult scenario in results.Scenarios)
        {
            to.WriteLine();
            to.WriteLine($"{Title(scenario)}, {Rounds(scenario)} in turn");
            to.WriteLine();
            to.WriteLine($"| | {string.Join(" | ", Headers(scenario))} |");
            to.WriteLine($"|---|{string.Concat(Headers(scenario).Select(_ => "---|"))}");
            foreach (RowResult row in scenario.Rows) to.WriteLine($"| {string.Join(" | ", Cells(scenario, row).Select(Cell))} |");
            string rest = string.Concat(Headers(scenario).Skip(1).Select(_ => " |"));
            foreach (FailedRow failed in results.Failed.Where(failed => failed.Scenario == scenario.Name))
                to.WriteLine($"| {Cell(failed.Row)} | failed, {failed.When} |{rest}");
        }

        to.WriteLine();
        to.WriteLine("| goal | wanted | measured (slowest to fastest round) | met | limit of the machine |");
        to.WriteLine("|---|---|---|---|---|");
        foreach (Goal goal in results.Goals) to.WriteLine($"| {goal.What} | {goal.Wanted} | {goal.Measured} | {goal.Verdict} | {goal.Limit} |");
        to.WriteLine();
        foreach (FailedRow failed in results.Failed) to.WriteLine($"failed: {failed.Scenario}, {failed.Row}, {failed.When}: {Cell(Short(failed.Reason))}");
        foreach (MissingRow missing in results.Missing) to.WriteLine($"missing: {missing.Row} needs {missing.Needs}");
        if (results.Interrupted) to.WriteLine("interrupted: only the rounds that were over by then count");
        if (results.Scenarios.Count > 0)
        {
            to.WriteLine($"took: {string.Join("; ", results.Scenarios.Select(scenario =>
                string.Create(CultureInfo.InvariantCulture, $"{scenario.Name} {scenario.TookSeconds:0} s")))}");
        }
    }

    /// <summary>What a scenario moves.</summary>
    public static string Title(ScenarioResult scenario) => scenario switch
    {
        { Bytes: 0 } => scenario.Name,
        { Files: > 1 } => string.Create(CultureInfo.InvariantCulture, $"{scenario.Name}, {scenario.Files} × {scenario.Bytes / scenario.Files >> 10} KiB"),
        { Bytes: < 1 << 30 } => string.Create(CultureInfo.InvariantCulture, $"{scenario.Name}, {scenario.Bytes >> 20} MiB"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{scenario.Name}, {scenario.Bytes >> 30} GiB"),
    };

    /// <summary>How often its rows ran.</summary>
    public static string Rounds(ScenarioResult scenario)
    {
        int least = scenario.Rows.Min(row => row.Samples.Count), most = scenario.Rows.Max(row => row.Samples.Count);
        string count = least == most ? $"{most}" : $"{least} to {most}";
        return most == 1 ? "1 round" : $"{count} rounds";
    }

    /// <summary>Titles of all columns but the first.</summary>
    public static IReadOnlyList<string> Headers(ScenarioResult scenario) => scenario.Bytes == 0
        ? ["ms median", "min", "max", .. scenario.FigureNames]
        : ["GB/s median", "min", "max", "CPU-s per GB, both ends", "peak MiB", .. scenario.FigureNames, "fastshare encrypted is … × this"];

    /// <summary>A row's cells.</summary>
    public static IReadOnlyList<string> Cells(ScenarioResult scenario, RowResult row)
    {
        IEnumerable<string> figures = scenario.FigureNames.Select(name => row.Figure(name) is { } value ? Number(value) : "");
        if (scenario.Bytes == 0)
            return [row.Name, Number(1000 * row.Median), Number(1000 * row.Fastest), Number(1000 * row.Slowest), .. figures];
        return
        [
            row.Name,
            Number(scenario.GigabytesPerSecond(row.Median)),
            Number(scenario.GigabytesPerSecond(row.Slowest)),
            Number(scenario.GigabytesPerSecond(row.Fastest)),
            Number(row.CpuPerGigabyte(scenario.Bytes)),
            (row.PeakBytes >> 20).ToString(CultureInfo.InvariantCulture),
            .. figures,
            scenario.Ratio(row) is { } ratio ? Number(ratio) : "",
        ];
    }

    /// <summary>A reason as one line that is not too long.</summary>
    public static string Short(string reason)
    {
        string line = string.Join(' ', reason.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        return line.Length > LongestReason ? string.Concat(line.AsSpan(0, LongestReason), "…") : line;
    }

    public static string Number(double value) =>
        value.ToString(Math.Abs(value) switch { < 0.1 => "0.000", >= 1000 => "0", _ => "0.00" }, CultureInfo.InvariantCulture);

    // What a table's cell may not hold.
    private static string Cell(string text) => text.Replace("|", "\\|", StringComparison.Ordinal);
}
