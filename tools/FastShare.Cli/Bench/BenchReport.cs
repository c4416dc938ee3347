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
        [.. verdict.Receiving.Select(ToReport)]);

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
        run.Repeated is { } repeated ? Math.Round(repeated, 6) : null);

    private static LimitReport ToReport(Limit limit) => new(
        string.Concat(char.ToLowerInvariant(limit.Kind.ToString()[0]).ToString(), limit.Kind.ToString().AsSpan(1)),
        Math.Round(limit.BytesPerSecond), limit.Why, limit.Advice);

    private static double Part(double value) => Math.Round(value, 4);

    private static double? Part(double? value) => value is { } known ? Part(known) : null;

    private static string Percent(double part) => (100 * part).ToString("0", CultureInfo.InvariantCulture) + " %";
}
