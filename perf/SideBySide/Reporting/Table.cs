using System.Globalization;

namespace FastShare.SideBySide.Reporting;

/// <summary>Prints one Markdown table per scenario: median and spread, what it costs, and the ratio to the encrypted FastShare row.</summary>
internal static class Table
{
    public static void Print(Results results)
    {
        foreach (ScenarioResult scenario in results.Scenarios)
        {
            Console.WriteLine();
            Console.WriteLine($"{Title(scenario)}, {results.Rounds} rounds in turn");
            Console.WriteLine();
            Console.WriteLine($"| | {string.Join(" | ", Headers(scenario))} |");
            Console.WriteLine($"|---|{string.Concat(Headers(scenario).Select(_ => "---|"))}");
            foreach (RowResult row in scenario.Rows) Console.WriteLine($"| {string.Join(" | ", Cells(scenario, row))} |");
        }

        Console.WriteLine();
        Console.WriteLine("| goal | wanted | measured (slowest to fastest round) | met |");
        Console.WriteLine("|---|---|---|---|");
        foreach (Goal goal in results.Goals) Console.WriteLine($"| {goal.What} | {goal.Wanted} | {goal.Measured} | {goal.Verdict} |");
        Console.WriteLine();
        foreach (string missing in results.Missing) Console.WriteLine($"missing: {missing}");
    }

    /// <summary>What a scenario moves.</summary>
    public static string Title(ScenarioResult scenario) => scenario switch
    {
        { Bytes: 0 } => scenario.Name,
        { Files: > 1 } => string.Create(CultureInfo.InvariantCulture, $"{scenario.Name}, {scenario.Files} × {scenario.Bytes / scenario.Files >> 10} KiB"),
        { Bytes: < 1 << 30 } => string.Create(CultureInfo.InvariantCulture, $"{scenario.Name}, {scenario.Bytes >> 20} MiB"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{scenario.Name}, {scenario.Bytes >> 30} GiB"),
    };

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

    private static string Number(double value) =>
        value.ToString(value switch { < 0.1 => "0.000", >= 1000 => "0", _ => "0.00" }, CultureInfo.InvariantCulture);
}
