using System.Globalization;
using System.Net;
using System.Text;

namespace FastShare.SideBySide.Reporting;

/// <summary>The results as one HTML file that needs nothing else: a plot and a table per scenario.</summary>
internal static class HtmlReport
{
    private const int LabelWidth = 290, PlotWidth = 520, RowHeight = 26, CpuWidth = 220, Gap = 30;

    private const string Head =
        """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>FastShare side by side</title>
        <style>
        body { font: 15px/1.5 system-ui, sans-serif; color: #1c2733; max-width: 1120px; margin: 2rem auto; padding: 0 1rem; }
        h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
        table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
        td, th { padding: .2rem .7rem; border-bottom: 1px solid #dde3ea; text-align: right; } td:first-child, th:first-child { text-align: left; }
        tr.own { font-weight: 600; } p.note { color: #556; } svg { max-width: 100%; height: auto; } svg text { font: 13px system-ui, sans-serif; fill: #1c2733; }
        svg text.small { font-size: 11px; fill: #556; }
        </style></head><body>
        """;

    public static string Create(Results results)
    {
        var html = new StringBuilder(Head);
        Machine machine = results.Machine;
        html.Append("<h1>FastShare, side by side</h1>");
        html.Append(CultureInfo.InvariantCulture, $"<p>{Text(machine.Processor)}, {machine.Cores} cores, {machine.MemoryGib:0} GiB; {Text(machine.System)}; ");
        html.Append(CultureInfo.InvariantCulture, $"{Text(machine.Runtime)}. Commit {Text(results.Commit)}, {results.Time:yyyy-MM-dd HH:mm} UTC. ");
        html.Append(CultureInfo.InvariantCulture, $"Every row ran {results.Rounds} times, in turn with the others, after one round to warm up.</p>");
        html.Append("<p class=note>Left: throughput; the bar ends at the median, the line spans slowest to fastest round. Right: processor time of both ends for a gigabyte. ");
        html.Append("Sender and receiver share the machine, so what costs less processor time is faster here, and leaves more for others elsewhere.</p>");
        GoalTable(html, results.Goals);
        foreach (ScenarioResult scenario in results.Scenarios)
        {
            html.Append(CultureInfo.InvariantCulture, $"<h2>{Text(Table.Title(scenario))}</h2>");
            if (scenario.Bytes > 0) Plot(html, scenario);
            Rows(html, scenario);
            OverTime.Append(html, scenario);
            StageTable.Append(html, scenario);
        }

        if (results.Missing.Count > 0) html.Append(CultureInfo.InvariantCulture, $"<p class=note>Not on this machine: {Text(string.Join("; ", results.Missing.Select(missing => $"{missing.Row} ({missing.Needs})")))}.</p>");
        return html.Append("</body></html>\n").ToString();
    }

    private static void Plot(StringBuilder html, ScenarioResult scenario)
    {
        double fastest = scenario.Rows.Max(row => scenario.GigabytesPerSecond(row.Fastest));
        double dearest = Math.Max(1e-9, scenario.Rows.Max(row => row.CpuPerGigabyte(scenario.Bytes)));
        int height = RowHeight * scenario.Rows.Count, cpuLeft = LabelWidth + PlotWidth + Gap, width = cpuLeft + CpuWidth;
        html.Append(CultureInfo.InvariantCulture, $"<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" role=img aria-label=\"{Text(Table.Title(scenario))}\">");
        for (int i = 0; i < scenario.Rows.Count; i++)
        {
            RowResult row = scenario.Rows[i];
            double top = i * RowHeight, middle = top + RowHeight / 2.0;
            string colour = row.IsReference ? "#0b6e4f" : row.Name.StartsWith("fastshare", StringComparison.Ordinal) ? "#58a888" : "#9fb3c8";
            double cpu = row.CpuPerGigabyte(scenario.Bytes);
            html.Append(CultureInfo.InvariantCulture, $"<text x=\"{LabelWidth - 8}\" y=\"{middle + 4:0.#}\" text-anchor=end>{Text(row.Name)}</text>");
            Bar(LabelWidth, X(row.Median) - LabelWidth);
            html.Append(CultureInfo.InvariantCulture, $"<path d=\"M{X(row.Slowest):0.#} {middle:0.#}H{X(row.Fastest):0.#}\" stroke=\"#1c2733\" stroke-width=2 />");
            html.Append(CultureInfo.InvariantCulture, $"<text class=small x=\"{LabelWidth + 4}\" y=\"{middle + 4:0.#}\">{scenario.GigabytesPerSecond(row.Median):0.00} GB/s</text>");
            Bar(cpuLeft, (CpuWidth - 60) * cpu / dearest);
            html.Append(CultureInfo.InvariantCulture, $"<text class=small x=\"{cpuLeft + 4}\" y=\"{middle + 4:0.#}\">{cpu:0.00} CPU-s/GB</text>");

            double X(double seconds) => LabelWidth + PlotWidth * scenario.GigabytesPerSecond(seconds) / fastest;

            void Bar(double left, double length) => html.Append(
                CultureInfo.InvariantCulture, $"<rect x=\"{left:0.#}\" y=\"{top + 4:0.#}\" width=\"{length:0.#}\" height=\"{RowHeight - 8}\" fill=\"{colour}\" opacity=0.75 />");
        }

        html.Append("</svg>");
    }

    private static void Rows(StringBuilder html, ScenarioResult scenario)
    {
        html.Append("<table><tr><th></th>");
        foreach (string header in Table.Headers(scenario)) html.Append(CultureInfo.InvariantCulture, $"<th>{Text(header)}</th>");
        html.Append("</tr>");
        foreach (RowResult row in scenario.Rows)
        {
            html.Append(row.IsReference ? "<tr class=own>" : "<tr>");
            foreach (string cell in Table.Cells(scenario, row)) html.Append(CultureInfo.InvariantCulture, $"<td>{Text(cell)}</td>");
            html.Append("</tr>");
        }

        html.Append("</table>");
    }

    private static void GoalTable(StringBuilder html, IReadOnlyList<Goal> goals)
    {
        html.Append("<h2>Goals</h2><p class=note>Ratios are of rounds of this run, each with the same round of the other row: the median, and from least to most. ");
        html.Append("The rows that begin with <i>limit</i> do only what cannot be avoided: what they do not reach, nothing on this machine can.</p>");
        html.Append("<table><tr><th>goal</th><th>wanted</th><th>measured</th><th>met</th></tr>");
        foreach (Goal goal in goals)
            html.Append(CultureInfo.InvariantCulture, $"<tr><td>{Text(goal.What)}</td><td>{Text(goal.Wanted)}</td><td>{Text(goal.Measured)}</td><td>{goal.Verdict}</td></tr>");
        html.Append("</table>");
    }

    /// <summary>Text as HTML.</summary>
    internal static string Text(string text) => WebUtility.HtmlEncode(text);
}
