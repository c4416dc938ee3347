using System.Globalization;

namespace FastShare.SideBySide;

/// <summary>Prints one Markdown table per scenario: median, spread, and the ratio to the encrypted FastShare row.</summary>
internal static class Table
{
    public static void Print(Settings settings, Dictionary<Contender, List<double>> seconds)
    {
        foreach (IGrouping<string, KeyValuePair<Contender, List<double>>> scenario in seconds.GroupBy(row => row.Key.Scenario))
        {
            long bytes = scenario.Key == Scenarios.Memory ? settings.MemoryBytes : settings.FileBytes;
            double? own = scenario.Where(row => row.Key.Name is "fastshare" or "fastshare, verified").Select(row => (double?)Median(row.Value)).FirstOrDefault();
            Console.WriteLine();
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{scenario.Key}, {bytes >> 30} GiB, {settings.Rounds} rounds in turn"));
            Console.WriteLine();
            Console.WriteLine("| | GB/s median | min | max | fastshare encrypted is … × this |");
            Console.WriteLine("|---|---|---|---|---|");
            foreach ((Contender row, List<double> times) in scenario.OrderBy(row => Median(row.Value)))
            {
                string ratio = own is { } o ? (Median(times) / o).ToString("0.00", CultureInfo.InvariantCulture) : "";
                Console.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"| {row.Name} | {bytes / Median(times) / 1e9:0.00} | {bytes / times.Max() / 1e9:0.00} | {bytes / times.Min() / 1e9:0.00} | {ratio} |"));
            }
        }
    }

    private static double Median(List<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[(sorted.Length / 2) - 1] + sorted[sorted.Length / 2]) / 2;
    }
}
