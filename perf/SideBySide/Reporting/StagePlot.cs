using System.Globalization;
using System.Text;

namespace FastShare.SideBySide.Reporting;

/// <summary>Where FastShare's time goes: seconds in each stage, medians, added up over everything that works or waits at the same time.</summary>
internal static class StagePlot
{
    private const double Labels = 235, Width = 220, Values = 64, Row = 20, Top = 46, Bottom = 6;

    /// <summary>Less than this part of the longest stage is left out of the plot.</summary>
    private const double Least = 0.002;

    /// <summary>Stages in the order of the data's way, with what they are (docs/telemetry.md); those unknown here come last, by their names.</summary>
    private static readonly (string Stage, string Is)[] _known =
    [
        ("send: waitingForPlan", "waits for the receiver's plan"),
        ("send: reading", "reads files"),
        ("send: hashing", "hashes chunks"),
        ("send: waitingForStreams", "chunks wait for a stream"),
        ("send: waitingForChunks", "streams wait for chunks"),
        ("send: heldBack", "held back (pause, rate limit)"),
        ("send: sending", "hands chunks to the connection"),
        ("send: sealing", "encrypts"),
        ("send: socketSending", "socket, sending"),
        ("send: waitingForPath", "waits for the path"),
        ("send: waitingForWindow", "waits for the receiver's credit"),
        ("send: opening", "decrypts"),
        ("send: socketReceiving", "socket, receiving"),
        ("send: waitingForBytes", "nothing arrives"),
        ("receive: waitingForPlan", "waits for the manifest"),
        ("receive: waitingForBytes", "nothing arrives"),
        ("receive: socketReceiving", "socket, receiving"),
        ("receive: opening", "decrypts"),
        ("receive: receiving", "streams wait for bytes"),
        ("receive: verifying", "verifies chunks"),
        ("receive: storing", "writes"),
        ("receive: heldBack", "held back (pause, rate limit)"),
        ("receive: waitingForDisk", "complete files wait for the disk"),
        ("receive: syncing", "syncs to the disk"),
        ("receive: publishing", "gives files their names"),
        ("receive: sealing", "encrypts"),
        ("receive: socketSending", "socket, sending"),
    ];

    public static void Append(StringBuilder html, ScenarioResult scenario)
    {
        List<RowResult> rows = [.. scenario.Rows.Where(row => row.Samples.Any(sample => sample.Stages.Count > 0))];
        if (rows.Count == 0) return;
        html.Append("<h3>Stages of FastShare's transfers</h3><p class=\"note\">Seconds in each stage, added up over all loops and streams that work or wait at "
            + "the same time: they come to more than the transfer took. Full bars work, pale ones wait. docs/telemetry.md says what each is.</p>"
            + "<div class=\"small-plots\">\n");
        double most = rows.Max(row => StagesOf(row).Max(stage => stage.Seconds));
        foreach (RowResult row in rows) html.Append(Plot(row, new Axis(most, 4), most * Least));
        html.Append("</div>\n");
    }

    /// <summary>A row's stages with the medians of their seconds, in the order of the data's way.</summary>
    internal static IReadOnlyList<(string Stage, string Is, double Seconds)> StagesOf(RowResult row)
    {
        string[] all = [.. row.Samples.SelectMany(sample => sample.Stages.Keys).Distinct()];
        IEnumerable<(string Stage, string Is)> ordered =
            [.. _known.Where(known => all.Contains(known.Stage)), .. all.Except(_known.Select(known => known.Stage)).Order().Select(stage => (stage, stage))];
        return
        [
            .. ordered.Select(known => (known.Stage, known.Is, RowResult.MedianOf(
                row.Samples.Where(sample => sample.Stages.Count > 0).Select(sample => sample.Stages.GetValueOrDefault(known.Stage))))),
        ];
    }

    private static Svg Plot(RowResult row, Axis axis, double least)
    {
        IReadOnlyList<(string Stage, string Is, double Seconds)> stages = [.. StagesOf(row).Where(stage => stage.Seconds >= least)];
        double height = Top + Row * stages.Count + Bottom;
        var svg = new Svg(Labels + Width + Values, height, $"stages: {row.Name}");
        svg.Text(0, 13, row.Name, of: "strong");
        foreach (double tick in axis.Ticks)
        {
            double x = Labels + Width * tick / axis.End;
            svg.Line(x, Top - 2, x, height - Bottom, tick == 0 ? "axis" : "grid");
            svg.Text(x, Top - 7, axis.Label(tick) + (tick == axis.End ? " s" : ""), "middle", "tiny");
        }

        for (int i = 0; i < stages.Count; i++)
        {
            (string stage, string what, double seconds) = stages[i];
            double top = Top + i * Row, width = Width * seconds / axis.End;
            string side = stage.StartsWith("receive", StringComparison.Ordinal) ? "receiver" : "sender";
            svg.Text(Labels - 8, top + 14, $"{side}: {(what == stage ? stage[(stage.IndexOf(' ') + 1)..] : what)}", "end", "small");
            svg.Rect(Labels, top + 4, width, Row - 8, IsWaiting(stage) ? "own waits" : "own", stage);
            svg.Text(Labels + width + 6, top + 14, seconds.ToString("0.00", CultureInfo.InvariantCulture) + " s", of: "tiny");
        }

        return svg;
    }

    private static bool IsWaiting(string stage) =>
        stage.Contains("waiting", StringComparison.Ordinal) || stage.EndsWith("heldBack", StringComparison.Ordinal)
        || stage is "send: sending" or "receive: receiving"; // streams that wait for the connection, and for bytes
}
