using System.Globalization;

namespace FastShare.SideBySide.Reporting;

/// <summary>How many times as fast as each other row FastShare was, round by round, on a logarithmic axis: right of 1 it is faster.</summary>
internal static class RatioPlot
{
    private const double Labels = 330, Width = 540, Values = 170, Row = 24, Top = 34, Bottom = 8;
    private static readonly double[] _ticks = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100];

    /// <summary>The plot; empty: FastShare's row or any other did not run.</summary>
    public static string Of(ScenarioResult scenario)
    {
        if (scenario.Reference is not { } reference || scenario.Bytes == 0) return "";
        var rows = scenario.Rows.Where(row => row != reference && !IsOwn(row)).Select(row => (Row: row, Ratios: ScenarioResult.Ratios(reference, row)))
            .Where(entry => entry.Ratios.Length > 0).OrderByDescending(entry => RowResult.MedianOf(entry.Ratios)).ToList();
        if (rows.Count == 0) return "";
        double least = rows.Min(entry => entry.Ratios.Min()), most = rows.Max(entry => entry.Ratios.Max());
        double from = _ticks.LastOrDefault(tick => tick < least && tick < 1, _ticks[0]), to = _ticks.FirstOrDefault(tick => tick > most && tick > 1, _ticks[^1]);
        double height = Top + Row * rows.Count + Bottom;
        var svg = new Svg(Labels + Width + Values, height, $"ratios, {Table.Title(scenario)}");
        svg.Text(Labels, 12, $"{reference.Name} is … times as fast as (right of 1 it is faster; logarithmic)", of: "small");
        foreach (double tick in _ticks.Where(tick => tick >= from && tick <= to))
        {
            svg.Line(X(tick), Top - 2, X(tick), height - Bottom, tick == 1 ? "axis" : "grid");
            svg.Text(X(tick), Top - 7, tick.ToString("0.##", CultureInfo.InvariantCulture), "middle", "small");
        }

        for (int i = 0; i < rows.Count; i++)
        {
            (RowResult row, double[] ratios) = rows[i];
            double middle = Top + (i + 0.5) * Row, median = RowResult.MedianOf(ratios);
            svg.Text(Labels - 10, middle + 4, row.Name, "end");
            svg.Spread(X(ratios.Min()), X(ratios.Max()), middle, 4);
            svg.Circle(X(median), middle, 5, median >= 1 ? "own" : HtmlReport.KindOf(row) == "limit" ? "limit" : "behind");
            svg.Text(Labels + Width + 14, middle + 4, $"{Table.Number(median)} × ({Table.Number(ratios.Min())}–{Table.Number(ratios.Max())})", of: "small");
        }

        return svg.ToString();

        double X(double ratio) => Labels + Width * Math.Log(Math.Clamp(ratio, from, to) / from) / Math.Log(to / from);
    }

    private static bool IsOwn(RowResult row) => row.Name.StartsWith("fastshare", StringComparison.Ordinal);
}
