using System.Globalization;
using FastShare.SideBySide.Rows;

namespace FastShare.SideBySide.Reporting;

/// <summary>A goal and what became of it.</summary>
/// <param name="What">What is compared with what.</param>
/// <param name="Wanted">The bound.</param>
/// <param name="Measured">Median, and from least to most; empty: not measured in this run.</param>
/// <param name="Met">Whether the median keeps the bound; null: not measured.</param>
internal sealed record Goal(string What, string Wanted, string Measured, bool? Met)
{
    /// <summary>In a word.</summary>
    public string Verdict => Met switch { true => "yes", false => "no", null => "not measured" };
}

/// <summary>What FastShare wants to be, as ratios within one run.</summary>
internal static class Goals
{
    private const string Memory = "memory to memory", File = "file to file", Small = "small files";
    private const string Own = "fastshare", OwnPlain = "fastshare (plaintext)";
    private const string Verified = "fastshare, verified", VerifiedPlain = "fastshare, verified (plaintext)";
    private const double MostMib = 150, MostKibPerMib = 1, MostLoadedMs = 10, MostStartMs = 60, MostSpread = 20;

    public static IReadOnlyList<Goal> Of(IReadOnlyList<ScenarioResult> scenarios)
    {
        var goals = new List<Goal>();
        Faster(Memory, Own, "nginx + curl, HTTPS", 1.5);
        Faster(Memory, Own, "SslStream, TLS 1.3", 1.5);
        Faster(Memory, Own, "js-libp2p, perf protocol", 5);
        Cheaper(Memory, Own, "SslStream, TLS 1.3", 0.7);
        Faster(Memory, OwnPlain, "iperf3, one stream (plaintext)", 0.85);
        Faster(File, Verified, "nginx + curl, HTTPS", 1.5);
        Faster(File, Verified, "scp, aes128-gcm", 3);
        Faster(File, Verified, "scp, default cipher", 5);
        Faster(File, Verified, "rsync daemon (plaintext)", 1);
        Faster(File, VerifiedPlain, "socat (plaintext, unverified)", 1);
        Faster(Small, Verified, "rsync daemon (plaintext)", 1.5);
        Faster(Small, Verified, "rsync over ssh", 3);
        foreach ((string scenario, string row) in ((string, string)[])[(Memory, Own), (File, Verified), (Small, Verified)])
            Bound($"peak memory of a process, {scenario}", scenario, row, sample => sample.PeakBytes / (double)(1 << 20), MostMib, "MiB");
        Bound("managed memory allocated by both ends, file to file, start and end included", File, Verified,
            sample => sample.Figures.GetValueOrDefault(FastShareNodes.Allocated, double.NaN), MostKibPerMib, "KiB per MiB");
        Bound("request beside bulk on the same connection, p99 against idle p99", Settings.Requests.Name, Own,
            sample => sample.Figures["p99 loaded ÷ idle"], 5, "×");
        Bound("request beside bulk on the same connection, p99", Settings.Requests.Name, Own,
            sample => sample.Figures["loaded p99 ms"], MostLoadedMs, "ms");
        string receivers = "concurrent receivers of one sender, memory to memory", many = LoadRows.Name(Own, 64);
        Faster(receivers, many, LoadRows.Name(Own, 1), 0.9);
        Bound("64 receivers, slowest to fastest", receivers, many, sample => sample.Figures[LoadRows.Spread], MostSpread, "%");
        Bound("cold start to first byte", Settings.ColdStart.Name, Own, sample => 1000 * sample.Seconds, MostStartMs, "ms");
        Distance(Memory, Own, LimitRows.Memory);
        Distance(File, Verified, LimitRows.File);
        return goals;

        void Faster(string scenario, string own, string other, double wanted) =>
            Add($"{scenario}: {own} ÷ {other}", Ratios(scenario, own, other), median => median >= wanted, Text($"≥ {wanted} ×"), "×");

        void Cheaper(string scenario, string own, string other, double wanted)
        {
            (RowResult Own, RowResult Other)? rows = Rows(scenario, own, other);
            Add($"{scenario}: CPU per GB, {own} ÷ {other}",
                rows is { } both ? [.. both.Own.Samples.Zip(both.Other.Samples, (mine, theirs) => mine.CpuSeconds / theirs.CpuSeconds)] : [],
                median => median <= wanted, Text($"≤ {wanted} ×"), "×");
        }

        void Bound(string what, string scenario, string row, Func<Sample, double> figure, double most, string unit) =>
            Add(what, Row(scenario, row) is { } found ? [.. found.Samples.Select(figure).Where(value => !double.IsNaN(value))] : [],
                median => median <= most, Text($"≤ {most} {unit}"), unit);

        // Not a goal: how near the machine's limit it is.
        void Distance(string scenario, string own, string limit)
        {
            if (Ratios(scenario, own, limit) is { Length: > 0 } ratios)
                goals.Add(new Goal($"{scenario}: {own} ÷ {limit}", "(for judging the others)", Spread(ratios, "×"), null));
        }

        void Add(string what, double[] values, Func<double, bool> isMet, string wanted, string unit) =>
            goals.Add(values.Length == 0
                ? new Goal(what, wanted, "", null)
                : new Goal(what, wanted, Spread(values, unit), isMet(RowResult.MedianOf(values))));

        double[] Ratios(string scenario, string own, string other) =>
            Rows(scenario, own, other) is { } rows ? ScenarioResult.Ratios(rows.Own, rows.Other) : [];

        (RowResult Own, RowResult Other)? Rows(string scenario, string own, string other) =>
            Row(scenario, own) is { } mine && Row(scenario, other) is { } theirs ? (mine, theirs) : null;

        RowResult? Row(string scenario, string name) =>
            scenarios.FirstOrDefault(found => found.Name == scenario)?.Rows.FirstOrDefault(row => row.Name == name);
    }

    private static string Spread(double[] values, string unit) =>
        Text($"{RowResult.MedianOf(values):0.00} {unit} ({values.Min():0.00}–{values.Max():0.00})");

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
