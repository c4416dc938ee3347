using System.Globalization;

namespace FastShare.SideBySide.Reporting;

/// <summary>
/// A scenario's rows as bars: throughput (or milliseconds) with its spread, and processor time for a gigabyte beside it, each on an axis
/// of its own.
/// </summary>
internal static class BarPlot
{
    private const double Labels = 330, Main = 340, Beside = 180, Values = 74, Row = 26, Top = 34, Bottom = 8;

    public static string Of(ScenarioResult scenario)
    {
        bool moves = scenario.Bytes > 0;
        double height = Top + Row * scenario.Rows.Count + Bottom, besideLeft = Labels + Main + Values;
        var svg = new Svg(moves ? besideLeft + Beside + Values : Labels + Main + Values, height, Table.Title(scenario));
        double Value(double seconds) => moves ? scenario.GigabytesPerSecond(seconds) : 1000 * seconds;
        var axis = new Axis(scenario.Rows.Max(row => Math.Max(Value(row.Fastest), Value(row.Slowest))), 5);
        Draw(svg, axis, Labels, Main, height, moves ? "throughput, GB/s (longer is better)" : "milliseconds (shorter is better)");
        var cpu = new Axis(moves ? scenario.Rows.Max(row => row.CpuPerGigabyte(scenario.Bytes)) : 1, 3);
        if (moves) Draw(svg, cpu, besideLeft, Beside, height, "CPU seconds per GB (shorter is better)");
        for (int i = 0; i < scenario.Rows.Count; i++)
        {
            RowResult row = scenario.Rows[i];
            double top = Top + i * Row, middle = top + Row / 2;
            double X(double seconds) => Labels + Main * Value(seconds) / axis.End;
            double end = Math.Max(X(row.Fastest), X(row.Slowest));
            string of = HtmlReport.KindOf(row);
            svg.Text(Labels - 10, middle + 4, row.Name, "end", row.IsReference ? "strong" : "");
            svg.Rect(Labels, top + 5, X(row.Median) - Labels, Row - 10, of, row.Name);
            svg.Spread(X(row.Slowest), X(row.Fastest), middle, 4);
            svg.Text(end + 7, middle + 4, $"{Table.Number(Value(row.Median))} {(moves ? "GB/s" : "ms")}", of: "small");
            if (!moves) continue;
            double used = row.CpuPerGigabyte(scenario.Bytes), width = Beside * used / cpu.End;
            svg.Rect(besideLeft, top + 5, width, Row - 10, of, row.Name);
            svg.Text(besideLeft + width + 7, middle + 4, $"{used.ToString("0.00", CultureInfo.InvariantCulture)} s/GB", of: "small");
        }

        return svg.ToString();
    }

    // The axis above the bars, with a line down from each tick.
    private static void Draw(Svg svg, Axis axis, double left, double width, double height, string title)
    {
        svg.Text(left, 12, title, of: "small");
        foreach (double tick in axis.Ticks)
        {
            double x = left + width * tick / axis.End;
            svg.Line(x, Top - 2, x, height - Bottom, tick == 0 ? "axis" : "grid");
            svg.Text(x, Top - 7, axis.Label(tick), "middle", "small");
        }
    }
}
