using System.Globalization;
using System.Text;

namespace FastShare.SideBySide.Reporting;

/// <summary>
/// Throughput over time, a small plot for each row on the same axes: bytes over the loopback interface, or over the emulated link, in each
/// tenth of a second, of the round of median length. Encrypted or not, with all headers; rows that use no network have no plot.
/// </summary>
internal static class OverTime
{
    private const double Width = 344, Height = 118, Left = 34, Right = 10, Top = 24, Bottom = 22, Step = 0.1;

    public static void Append(StringBuilder html, ScenarioResult scenario)
    {
        if (scenario.Bytes == 0) return;
        List<(RowResult Row, IReadOnlyList<long> Trace)> rows =
        [
            .. scenario.Rows.Select(row => (row, MedianRound(row).Trace)).Where(line => line.Trace.Count > 2 && line.Trace.Sum() > scenario.Bytes / 10),
        ];
        if (rows.Count == 0) return;
        var time = new Axis(rows.Max(line => line.Trace.Count) * Step, 4);
        var rate = new Axis(rows.Max(line => line.Trace.Max()) / Step / 1e9, 3);
        html.Append("<h3>Throughput over time</h3><p class=\"note\">Across: seconds since the client's start. Up: GB/s over the loopback interface or the emulated link. "
            + "The round of median length; all plots have the same axes. Rows that use no network, or were over in a moment, have none.</p><div class=\"small-plots\">\n");
        foreach ((RowResult row, IReadOnlyList<long> trace) in rows) html.Append(Plot(row, trace, time, rate));
        html.Append("</div>\n");
    }

    /// <summary>The round whose length is the median, or the longer of the two in the middle.</summary>
    internal static Sample MedianRound(RowResult row) => row.Samples.OrderBy(sample => sample.Seconds).ElementAt(row.Samples.Count / 2);

    private static Svg Plot(RowResult row, IReadOnlyList<long> trace, Axis time, Axis rate)
    {
        var svg = new Svg(Width, Height, $"throughput over time: {row.Name}");
        double floor = Height - Bottom;
        svg.Text(Left, 13, row.Name, of: row.IsReference ? "small strong" : "small");
        foreach (double tick in rate.Ticks)
        {
            svg.Line(Left, Y(tick), Width - Right, Y(tick), tick == 0 ? "axis" : "grid");
            svg.Text(Left - 5, Y(tick) + 4, rate.Label(tick), "end", "tiny");
        }

        foreach (double tick in time.Ticks)
        {
            svg.Line(X(tick), floor, X(tick), floor + 3, "axis");
            string unit = tick == time.End ? " s" : "";
            svg.Text(X(tick), Height - 7, string.Create(CultureInfo.InvariantCulture, $"{time.Label(tick)}{unit}"), tick == time.End ? "end" : "middle", "tiny");
        }

        (double X, double Y)[] points = [.. trace.Select((bytes, i) => (X((i + 0.5) * Step), Y(bytes / Step / 1e9)))];
        string of = HtmlReport.KindOf(row);
        svg.Curve(points, $"area {of}", floor);
        svg.Curve(points, $"curve {of}");
        return svg;

        double X(double seconds) => Left + (Width - Left - Right) * seconds / time.End;

        double Y(double gigabytes) => floor - (floor - Top) * gigabytes / rate.End;
    }
}
