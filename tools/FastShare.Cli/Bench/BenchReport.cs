using System.Globalization;
using FastShare.Cli.Hosting;
using FastShare.Cli.Output;
using FastShare.Cli.Parsing;

namespace FastShare.Cli.Bench;

/// <summary>What <c>bench</c> found, for scripts and for people.</summary>
internal static class BenchReport
{
    public static BenchEvent ToEvent(string peer, string security, BenchMeasurement measured, Verdict verdict) => new(
        peer,
        security,
        Math.Round(measured.RoundTrip.TotalMilliseconds, 3),
        measured.Processors,
        Math.Round(measured.HashBytesPerSecond),
        measured.CipherBytesPerSecond is { } cipher ? Math.Round(cipher) : null,
        measured.DiskBytesPerSecond is { } disk ? Math.Round(disk) : null,
        [.. measured.Runs.Select(ToReport)],
        [.. verdict.Sending.Select(ToReport)],
        [.. verdict.Receiving.Select(ToReport)],
        measured.File is { } file ? ToReport(file) : null,
        verdict.Files is { } files ? ToReport(files) : null,
        [.. measured.Others.Select(static tool => new OtherToolReport(
            tool.Name, tool.IsFile, tool.BytesPerSecond is { } rate ? Math.Round(rate) : null, tool.Problem))]);

    public static readonly IReadOnlyList<string> Headers = ["", "CONNECTIONS", "RATE", "CORES USED", "CIPHER", "WAITED FOR"];

    public static IReadOnlyList<string> Row(BenchRun run) =>
    [
        Name(run.Direction),
        run.Connections.ToString(CultureInfo.InvariantCulture),
        ByteSize.FormatRateInBits(run.BytesPerSecond),
        run.Cores.ToString("0.00", CultureInfo.InvariantCulture),
        Percent(run.CipherPart),
        run.Direction == PerfDirection.Upload
            ? $"path {Percent(run.WaitingForPath)}, credit {Percent(run.WaitingForWindow)}" : $"bytes {Percent(run.WaitingForBytes)}",
    ];

    /// <summary>Lines about the file: its rate, and the longest stages of both sides.</summary>
    public static IEnumerable<string> Describe(FileRun run)
    {
        yield return $"File to file: {ByteSize.Format(run.Bytes)} in {Duration.Format(run.Time)}, {ByteSize.FormatRateInBits(run.BytesPerSecond)}, "
            + $"{run.Cores.ToString("0.00", CultureInfo.InvariantCulture)} cores used";
        yield return $"  here:  {Stages(run, run.Sender)}";
        if (run.Receiver is { } receiver) yield return $"  there: {Stages(run, receiver)}";
    }

    /// <summary>A line about another program.</summary>
    public static string Describe(OtherTool tool, BenchMeasurement measured)
    {
        string what = $"  {tool.Name} ({(tool.IsFile ? "file to file" : "memory to memory")}): ";
        if (tool.BytesPerSecond is not { } rate) return what + EventText.Escape(tool.Problem ?? "no figure");
        double own = tool.IsFile ? measured.File?.BytesPerSecond ?? 0 : measured.Runs.Max(static run => run.BytesPerSecond);
        return $"{what}{ByteSize.FormatRate(rate)}; FastShare is {(own / rate).ToString("0.00", CultureInfo.InvariantCulture)} times as fast";
    }

    private static string Stages(FileRun run, IReadOnlyDictionary<string, double> stages) => string.Join(", ", stages
        .OrderByDescending(static stage => stage.Value).Take(6)
        .Select(stage => $"{stage.Key} {Percent(stage.Value / Math.Max(run.Time.TotalSeconds, 1e-6))}"));

    /// <summary>Lines that say what limits a direction, and what to change.</summary>
    public static IEnumerable<string> Describe(string what, IReadOnlyList<Limit> limits)
    {
        string names = string.Join(" and by ", limits.Select(static limit => Name(limit.Kind)));
        yield return limits[0].Kind == LimitKind.Unclear
            ? $"{what}: no clear bottleneck."
            : $"{what} is limited by {names}{(limits.Count > 1 ? ", about equally" : "")}.";
        foreach (Limit limit in limits)
        {
            yield return $"  {char.ToUpperInvariant(limit.Why[0])}{limit.Why[1..]}.";
            yield return $"  -> {limit.Advice}.";
        }
    }

    private static string Name(LimitKind kind) => kind switch
    {
        LimitKind.Disk => "the disk",
        LimitKind.Writing => "the disk that is written to",
        LimitKind.Hash => "hashing",
        LimitKind.Processor => "the processor",
        LimitKind.OneCore => "one core of the processor",
        LimitKind.Window => "the window of a connection",
        LimitKind.Loss => "lost packets",
        LimitKind.OtherSide => "the other side",
        LimitKind.Network => "the network",
        LimitKind.Beyond => "the network or the other side",
        _ => "nothing that stands out",
    };

    private static string Name(PerfDirection direction) => direction == PerfDirection.Upload ? "upload" : "download";

    private static BenchRunReport ToReport(BenchRun run) => new(
        Name(run.Direction), run.Connections, run.Bytes, Math.Round(run.Time.TotalSeconds, 6), Math.Round(run.BytesPerSecond), Part(run.Cores),
        Part(run.MachineBusy), Part(run.CipherPart), Part(run.WaitingForPath), Part(run.WaitingForWindow), Part(run.WaitingForBytes),
        Part(run.SendBufferLimited), Part(run.ReceiveWindowLimited),
        run.LoadedRoundTrip is { } time ? Math.Round(time.TotalMilliseconds, 3) : null,
        run.Repeated is { } repeated ? Math.Round(repeated, 6) : null, Part(run.OtherCores));

    private static BenchFileReport ToReport(FileRun run) => new(
        run.Bytes, Math.Round(run.Time.TotalSeconds, 6), Math.Round(run.BytesPerSecond), Part(run.Cores), Part(run.MachineBusy), Part(run.CipherPart),
        run.Connections, run.Sender, run.Receiver);

    private static LimitReport ToReport(Limit limit) => new(
        string.Concat(char.ToLowerInvariant(limit.Kind.ToString()[0]).ToString(), limit.Kind.ToString().AsSpan(1)),
        Math.Round(limit.BytesPerSecond), limit.Why, limit.Advice);

    private static double Part(double value) => Math.Round(value, 4);

    private static double? Part(double? value) => value is { } known ? Part(known) : null;

    private static string Percent(double part) => (100 * part).ToString("0", CultureInfo.InvariantCulture) + " %";
}
