using System.Globalization;
using System.Text;

namespace FastShare.SideBySide.Reporting;

/// <summary>
/// Throughput over time: bytes received over the loopback interface in each tenth of a second, of each row's round of median length.
/// Encrypted or not, with all headers; rows that use no network have no line.
/// </summary>
internal static class OverTime
{
    private const int Width = 860, Height = 150, Left = 60;
    private const double Step = 0.1;

    private static readonly string[] _colours = ["#0b6e4f", "#c2571a", "#3b6fb6", "#8a4fa3", "#a08b16", "#a33b52", "#3c8f9c", "#5c6570"];

    public static void Append(StringBuilder html, ScenarioResult scenario)
    {
        List<(string Name, IReadOnlyList<long> Trace)> lines =
        [
            .. scenario.Rows.Select(row => (row.Name, row.Samples.OrderBy(sample => sample.Seconds).ElementAt(row.Samples.Count / 2).Trace))
                .Where(line => line.Trace.Count > 2 && line.Trace.Sum() > scenario.Bytes / 10 && scenario.Bytes > 0),
        ];
        if (lines.Count == 0) return;
        double longest = lines.Max(line => line.Trace.Count), most = lines.Max(line => line.Trace.Max());
        html.Append("<details open><summary>Throughput over time</summary>");
        html.Append(CultureInfo.InvariantCulture, $"<svg viewBox=\"0 0 {Left + Width} {Height + 24}\" width=\"{Left + Width}\" role=img aria-label=\"Throughput over time\">");
        html.Append(CultureInfo.InvariantCulture, $"<text class=small x=0 y=12>{most / Step / 1e9:0.0} GB/s</text><text class=small x=0 y={Height}>0</text>");
        html.Append(CultureInfo.InvariantCulture, $"<text class=small x=\"{Left + Width - 40}\" y=\"{Height + 18}\">{longest * Step:0.0} s</text>");
        html.Append(CultureInfo.InvariantCulture, $"<path d=\"M{Left} 0V{Height}H{Left + Width}\" fill=none stroke=\"#dde3ea\" />");
        for (int i = 0; i < lines.Count; i++)
        {
            html.Append("<path fill=none stroke-width=1.5 stroke=\"").Append(_colours[i % _colours.Length]).Append('"');
            if (i >= _colours.Length) html.Append(" stroke-dasharray=\"4 3\"");
            html.Append(" d=\"");
            for (int at = 0; at < lines[i].Trace.Count; at++)
            {
                html.Append(at == 0 ? 'M' : 'L').Append(CultureInfo.InvariantCulture, $"{Left + Width * (at + 0.5) / longest:0.#} ");
                html.Append(CultureInfo.InvariantCulture, $"{Height - Height * lines[i].Trace[at] / most:0.#}");
            }

            html.Append("\" />");
        }

        html.Append("</svg><p class=note>");
        for (int i = 0; i < lines.Count; i++)
            html.Append(CultureInfo.InvariantCulture, $"<span style=\"color:{_colours[i % _colours.Length]}\">{(i < _colours.Length ? "━" : "╍")} {HtmlReport.Text(lines[i].Name)}</span> &nbsp; ");
        html.Append("</p></details>");
    }
}
