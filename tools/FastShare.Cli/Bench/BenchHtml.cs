using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using FastShare.Cli.Output;
using FastShare.Cli.Parsing;

namespace FastShare.Cli.Bench;

/// <summary>What <c>bench</c> found, as one HTML file that needs nothing else. All text in it is escaped.</summary>
internal static class BenchHtml
{
    private const double Labels = 250, Width = 420, Values = 210, Row = 24;

    private const string Head =
        """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>fastshare bench</title>
        <style>
        :root { color-scheme: light dark; --paper: #fff; --ink: #1b2530; --muted: #566472; --line: #dbe1e8; --card: #f5f7f9; --own: #0b7a57; --other: #98acc0; }
        @media (prefers-color-scheme: dark) { :root { --paper: #12171d; --ink: #e3e9ef; --muted: #9aa8b5; --line: #33404c; --card: #1a2129; --own: #35c795; --other: #5d7389; } }
        body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 940px; margin: 2rem auto; padding: 0 1rem 3rem; }
        h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; } p { max-width: 85ch; margin: .3rem 0; } .note { color: var(--muted); }
        .verdict { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .5rem 1rem; margin: .8rem 0; }
        .scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; } td, th { padding: .2rem .7rem; border-bottom: 1px solid var(--line); text-align: right; }
        td:first-child, th:first-child { text-align: left; } svg { max-width: 100%; height: auto; display: block; } svg text { font: 13px system-ui, sans-serif; fill: var(--ink); }
        svg .own { fill: var(--own); } svg .other { fill: var(--other); } svg .waits { fill: var(--own); opacity: .4; } svg .axis { stroke: var(--muted); }
        </style></head><body>

        """;

    public static string Create(BenchEvent report, BenchMeasurement measured, Verdict verdict, DateTimeOffset now)
    {
        var html = new StringBuilder(Head).Append("<h1>fastshare bench</h1>\n");
        Append(html, $"<p class=\"note\">{now:yyyy-MM-dd HH:mm} UTC, with peer {Text(report.Peer)}, {Text(report.Security)}; ");
        Append(html, $"{measured.Processors} cores here, one hashes {ByteSize.FormatRate(measured.HashBytesPerSecond)}");
        if (measured.CipherBytesPerSecond is { } cipher) Append(html, $" and encrypts {ByteSize.FormatRate(cipher)}");
        if (measured.DiskBytesPerSecond is { } disk) Append(html, $"; the files are read at {ByteSize.FormatRate(disk)}");
        Append(html, $"; round trip {Duration.FormatMilliseconds(measured.RoundTrip)}.</p>\n<h2>What limits transfers</h2>\n");
        Verdicts(html, "Sending", verdict.Sending);
        Verdicts(html, "Receiving", verdict.Receiving);
        if (verdict.Files is { } files) Verdicts(html, "A file from disk to disk", [files]);
        Rates(html, measured);
        Runs(html, measured.Runs);
        if (measured.File is { } file) Stages(html, file);
        Others(html, measured.Others);
        string json = JsonSerializer.Serialize(report, CliEventContext.Default.BenchEvent); // its escapes leave no < in it
        Append(html, $"<script type=\"application/json\" id=\"results\">{json}</script>\n</body></html>\n");
        return html.ToString();
    }

    private static void Verdicts(StringBuilder html, string what, IReadOnlyList<Limit> limits)
    {
        string[] lines = [.. BenchReport.Describe(what, limits)];
        Append(html, $"<div class=\"verdict\"><b>{Text(lines[0])}</b>");
        foreach (string line in lines.Skip(1)) Append(html, $"<p>{Text(line.Trim())}</p>");
        html.Append("</div>\n");
    }

    private static void Rates(StringBuilder html, BenchMeasurement measured)
    {
        List<(string Name, double Rate, string Of)> bars =
        [
            .. measured.Runs.Select(run => ($"{BenchReport.Row(run)[0]}, {run.Connections} connection{(run.Connections == 1 ? "" : "s")}", run.BytesPerSecond, "own")),
        ];
        if (measured.File is { } file) bars.Add(("file to file", file.BytesPerSecond, "own"));
        bars.AddRange(measured.Others.Where(tool => tool.BytesPerSecond > 0).Select(tool => (tool.Name, tool.BytesPerSecond!.Value, "other")));
        html.Append("<h2>Rates</h2><p class=\"note\">Longer is faster. FastShare green, other programs grey.</p>\n");
        Bars(html, "rates", [.. bars.Select(bar => (bar.Name, bar.Rate, ByteSize.FormatRateInBits(bar.Rate), bar.Of))]);
    }

    private static void Stages(StringBuilder html, FileRun run)
    {
        html.Append("<h2>Stages of the file</h2><p class=\"note\">Seconds in each stage, added up over everything that works or waits at the same time. "
            + "Full bars work, pale ones wait. docs/telemetry.md says what each is.</p>\n");
        IEnumerable<(string Name, double Seconds)> stages = run.Sender.Select(stage => ($"here: {stage.Key}", stage.Value))
            .Concat((run.Receiver ?? new Dictionary<string, double>()).Select(stage => ($"there: {stage.Key}", stage.Value)));
        Bars(html, "stages", [.. stages.Where(stage => stage.Seconds >= 0.001 * run.Time.TotalSeconds).Select(stage => (
            stage.Name, stage.Seconds, string.Create(CultureInfo.InvariantCulture, $"{stage.Seconds:0.00} s"),
            stage.Name.Contains("waiting", StringComparison.Ordinal) || stage.Name.EndsWith("heldBack", StringComparison.Ordinal) ? "waits" : "own"))]);
        if (run.Receiver is null) html.Append("<p class=\"note\">The other side is not on this machine: its stages are not known here.</p>\n");
    }

    private static void Runs(StringBuilder html, IReadOnlyList<BenchRun> runs)
    {
        html.Append("<h2>Memory to memory</h2><div class=\"scroll\"><table><tr>");
        foreach (string header in BenchReport.Headers) Append(html, $"<th>{Text(header.ToLowerInvariant())}</th>");
        html.Append("</tr>\n");
        foreach (BenchRun run in runs)
        {
            html.Append("<tr>");
            foreach (string cell in BenchReport.Row(run)) Append(html, $"<td>{Text(cell)}</td>");
            html.Append("</tr>\n");
        }

        html.Append("</table></div>\n");
    }

    private static void Others(StringBuilder html, IReadOnlyList<OtherTool> others)
    {
        foreach (OtherTool tool in others.Where(tool => tool.Problem is not null))
            Append(html, $"<p class=\"note\">{Text(tool.Name)}: {Text(tool.Problem!)}</p>\n");
    }

    private static void Bars(StringBuilder html, string title, IReadOnlyList<(string Name, double Value, string Label, string Of)> bars)
    {
        if (bars.Count == 0) return;
        double most = Math.Max(bars.Max(bar => bar.Value), 1e-9), height = Row * bars.Count + 4;
        Append(html, $"<svg viewBox=\"0 0 {Labels + Width + Values:0} {height:0}\" width=\"{Labels + Width + Values:0}\" role=\"img\" aria-label=\"{title}\">");
        for (int i = 0; i < bars.Count; i++)
        {
            (string name, double value, string label, string of) = bars[i];
            double top = i * Row, width = Width * value / most;
            Append(html, $"<text x=\"{Labels - 8:0}\" y=\"{top + 17:0}\" text-anchor=\"end\">{Text(name)}</text>");
            Append(html, $"<rect class=\"{of}\" x=\"{Labels:0}\" y=\"{top + 5:0}\" width=\"{width:0.#}\" height=\"{Row - 8:0}\"/>");
            Append(html, $"<text x=\"{Labels + width + 7:0.#}\" y=\"{top + 17:0}\">{Text(label)}</text>");
        }

        Append(html, $"<path class=\"axis\" d=\"M{Labels:0} 0V{height:0}\"/></svg>\n");
    }

    private static string Text(string text) => WebUtility.HtmlEncode(text);

    private static void Append(StringBuilder html, FormattableString text) => html.Append(text.ToString(CultureInfo.InvariantCulture));
}
