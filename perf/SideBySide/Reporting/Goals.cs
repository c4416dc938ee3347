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
    /// <summary>The same of a program of .NET that does only the unavoidable, in the same run; empty: there is no such row.</summary>
    public string Limit { get; init; } = "";

    /// <summary>Whether that limit keeps the bound; null: there is none.</summary>
    public bool? LimitMeets { get; init; }

    /// <summary>In a word.</summary>
    public string Verdict => Met switch { true => "yes", false => "no", null => "not measured" };
}

/// <summary>What FastShare wants to be, as ratios within one run.</summary>
internal static class Goals
{
    public const string Memory = "memory to memory", File = "file to file", Small = "small files";
    public const string Own = "fastshare", OwnPlain = "fastshare (plaintext)";
    public const string Verified = "fastshare, verified", VerifiedPlain = "fastshare, verified (plaintext)";
    private const double MostMib = 150, MostKibPerMib = 1, MostLoadedMs = 10, MostStartMs = 60, MostSpread = 20;

    /// <summary>What no program of .NET can do better, by FastShare's row that it is the limit of.</summary>
    private static readonly Dictionary<(string Scenario, string Own), string> _limits = new()
    {
        [(Memory, Own)] = LimitRows.Memory,
        [(Memory, OwnPlain)] = LimitRows.PlainMemory,
        [(File, Verified)] = LimitRows.File,
        [(File, VerifiedPlain)] = LimitRows.PlainFile,
        [(Small, Verified)] = LimitRows.Small,
    };

    /// <summary>Likewise of rows that are compared with FastShare's own: both sides of the ratio are the limit program's.</summary>
    private static readonly Dictionary<string, string> _limitsOfReceivers =
        LoadRows.Counts.ToDictionary(count => LoadRows.Name(Own, count), count => LoadRows.Name(LimitRows.Memory, count));

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
        Bound("managed memory allocated by both ends, file to file, steady state: what the second half of the file adds", File, Verified,
            Figure(FastShareNodes.AllocatedSteadily), MostKibPerMib, "KiB per MiB");
        Bound("request beside bulk on the same connection, p99 against idle p99", Settings.Requests.Name, Own, Figure("p99 loaded ÷ idle"), 5, "×");
        Bound("request beside bulk on the same connection, p99", Settings.Requests.Name, Own, Figure("loaded p99 ms"), MostLoadedMs, "ms");
        string receivers = "concurrent receivers of one sender, memory to memory", many = LoadRows.Name(Own, 64);
        Faster(receivers, many, LoadRows.Name(Own, 1), 0.9);
        Bound("64 receivers, slowest to fastest", receivers, many, Figure(LoadRows.Spread), MostSpread, "%");
        Bound("peak memory of a process, 64 receivers", receivers, many, sample => sample.PeakBytes / (double)(1 << 20), MostMib, "MiB");
        Bound("cold start to first byte", Settings.ColdStart.Name, Own, sample => 1000 * sample.Seconds, MostStartMs, "ms");
        return goals;

        void Faster(string scenario, string own, string other, double wanted) => Compare(
            $"{scenario}: {own} ÷ {other}", scenario, own, other, ScenarioResult.Ratios, median => median >= wanted, Text($"≥ {wanted} ×"));

        void Cheaper(string scenario, string own, string other, double wanted) => Compare(
            $"{scenario}: CPU per GB, {own} ÷ {other}", scenario, own, other, CpuRatios, median => median <= wanted, Text($"≤ {wanted} ×"));

        void Compare(
            string what, string scenario, string own, string other, Func<RowResult, RowResult, double[]> ratios, Func<double, bool> isMet, string wanted)
        {
            double[] Of(string row) => Between(row, other);
            double[] Between(string row, string than) => Row(scenario, row) is { } mine && Row(scenario, than) is { } theirs ? ratios(mine, theirs) : [];
            double[] limit = _limits.TryGetValue((scenario, own), out string? row) ? Of(row)
                : _limitsOfReceivers.TryGetValue(own, out string? many) && _limitsOfReceivers.TryGetValue(other, out string? one) ? Between(many, one)
                : [];
            Add(what, Of(own), isMet, wanted, "×", limit);
        }

        void Bound(string what, string scenario, string row, Func<Sample, double> figure, double most, string unit) =>
            Add(what, Row(scenario, row) is { } found ? [.. found.Samples.Select(figure).Where(value => !double.IsNaN(value))] : [],
                median => median <= most, Text($"≤ {most} {unit}"), unit, []);

        void Add(string what, double[] values, Func<double, bool> isMet, string wanted, string unit, double[] limit)
        {
            var goal = new Goal(
                what, wanted, values.Length == 0 ? "" : Spread(values, unit), values.Length == 0 ? null : isMet(RowResult.MedianOf(values)));
            goals.Add(limit.Length == 0 ? goal : goal with
            {
                Limit = Spread(limit, unit),
                LimitMeets = isMet(RowResult.MedianOf(limit)),
            });
        }

        RowResult? Row(string scenario, string name) =>
            scenarios.FirstOrDefault(found => found.Name == scenario)?.Rows.FirstOrDefault(row => row.Name == name);
    }

    // Of rows that move a part of the bytes, by what they move.
    private static double[] CpuRatios(RowResult own, RowResult other) =>
        [.. own.Samples.Zip(other.Samples, (mine, theirs) => mine.CpuSeconds / own.Share / (theirs.CpuSeconds / other.Share))];

    private static Func<Sample, double> Figure(string name) => sample => sample.Figures.GetValueOrDefault(name, double.NaN);

    private static string Spread(double[] values, string unit) =>
        Text($"{Table.Number(RowResult.MedianOf(values))} {unit} ({Table.Number(values.Min())}–{Table.Number(values.Max())})");

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
