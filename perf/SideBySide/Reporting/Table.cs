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
            Console.WriteLine("| | GB/s median | min | max | CPU-s per GB, both ends | peak MiB | fastshare encrypted is … × this |");
            Console.WriteLine("|---|---|---|---|---|---|---|");
            foreach (RowResult row in scenario.Rows) Console.WriteLine($"| {string.Join(" | ", Cells(scenario, row))} |");
        }

        foreach (string missing in results.Missing) Console.WriteLine($"missing: {missing}");
    }

    /// <summary>What a scenario moves.</summary>
    public static string Title(ScenarioResult scenario) => scenario.Files > 1
        ? string.Create(CultureInfo.InvariantCulture, $"{scenario.Name}, {scenario.Files} × {scenario.Bytes / scenario.Files >> 10} KiB")
        : string.Create(CultureInfo.InvariantCulture, $"{scenario.Name}, {scenario.Bytes >> 30} GiB");

    /// <summary>A row's cells.</summary>
    public static IReadOnlyList<string> Cells(ScenarioResult scenario, RowResult row) =>
    [
        row.Name,
        Number(scenario.GigabytesPerSecond(row.Median)),
        Number(scenario.GigabytesPerSecond(row.Slowest)),
        Number(scenario.GigabytesPerSecond(row.Fastest)),
        Number(row.CpuPerGigabyte(scenario.Bytes)),
        (row.PeakBytes >> 20).ToString(CultureInfo.InvariantCulture),
        scenario.Ratio(row) is { } ratio ? Number(ratio) : "",
    ];

    private static string Number(double value) => value.ToString(value < 0.1 ? "0.000" : "0.00", CultureInfo.InvariantCulture);
}
