using FastShare.Cli.Bench;

namespace FastShare.EndToEnd.Tests.Cli;

/// <summary>Files from disk to disk as <c>bench</c> measures them, and what it has to call what held them back.</summary>
public sealed class FileDiagnosisTests
{
    private const double Gigabyte = 1e9;

    private static readonly IReadOnlyList<Limit> _network = [new Limit(LimitKind.Network, Gigabyte, "the path is full", "a faster link")];

    /// <summary>A second that nothing stands out of, on a machine of eight cores.</summary>
    private static readonly FileRun _quiet = new(
        300_000_000, TimeSpan.FromSeconds(1), Cores: 1, MachineBusy: 0.3, CipherPart: 0.2, Connections: 1,
        Stages(("reading", 0.2), ("waitingForChunks", 0.1), ("sending", 0.3)), Stages(("storing", 0.2), ("receiving", 0.4)));

    [Fact]
    public void A_slow_disk_here_keeps_streams_waiting()
    {
        FileRun run = _quiet with { Sender = Stages(("reading", 0.9), ("waitingForChunks", 0.8)) };
        Assert.Equal(LimitKind.Disk, Of(run).Kind);
    }

    [Theory]
    [InlineData("storing")]
    [InlineData("syncing")]
    [InlineData("waitingForDisk")]
    public void A_slow_disk_there_shows_in_writing_or_syncing(string stage) =>
        Assert.Equal(LimitKind.Writing, Of(_quiet with { Receiver = Stages((stage, 0.7)) }).Kind);

    [Fact]
    public void Of_two_slow_disks_the_slower_counts()
    {
        FileRun run = _quiet with { Sender = Stages(("reading", 0.6), ("waitingForChunks", 0.6)), Receiver = Stages(("storing", 0.9)) };
        Assert.Equal(LimitKind.Writing, Of(run).Kind);
    }

    [Fact]
    public void A_processor_without_time_makes_every_stage_slow()
    {
        FileRun run = _quiet with { Cores = 3, MachineBusy = 0.97, Receiver = Stages(("storing", 0.9)) };
        Assert.Equal(LimitKind.Processor, Of(run).Kind);
    }

    [Fact]
    public void A_machine_that_others_keep_busy_is_no_excuse_for_a_slow_disk()
    {
        FileRun run = _quiet with { Cores = 0.2, MachineBusy = 0.97, Receiver = Stages(("storing", 0.9)) };
        Assert.Equal(LimitKind.Writing, Of(run).Kind);
    }

    [Fact]
    public void Slow_hashing_is_named() => Assert.Equal(LimitKind.Hash, Of(_quiet with { Sender = Stages(("hashing", 0.95)) }).Kind);

    [Fact]
    public void A_file_that_moves_as_fast_as_from_memory_is_limited_by_the_same()
    {
        Limit limit = Of(_quiet with { Bytes = 900_000_000 });
        Assert.Equal(LimitKind.Network, limit.Kind);
        Assert.Contains("the path is full", limit.Why, StringComparison.Ordinal);
        Assert.Equal(0.9 * Gigabyte, limit.BytesPerSecond);
    }

    [Fact]
    public void A_short_file_on_a_full_path_is_limited_by_the_path_although_its_start_takes_long() =>
        Assert.Equal(LimitKind.Network, Of(_quiet with { Sender = Stages(("waitingForPath", 0.6)) }).Kind);

    [Fact]
    public void Where_the_other_side_tells_nothing_missing_credit_says_that_it_is_slower_with_files() =>
        Assert.Equal(LimitKind.OtherSide, Of(_quiet with { Receiver = null, Sender = Stages(("waitingForWindow", 0.7)) }).Kind);

    [Fact]
    public void Where_nothing_stands_out_it_says_so_with_the_longest_stages()
    {
        Limit limit = Of(_quiet with { Sender = Stages(("sending", 0.3), ("waitingForBytes", 0.9)) });
        Assert.Equal(LimitKind.Unclear, limit.Kind);
        Assert.Contains("receiving there 40 %, sending here 30 %", limit.Why, StringComparison.Ordinal);
    }

    [Fact]
    public void The_report_escapes_whatever_a_name_or_an_error_says()
    {
        const string Hostile = "</script><b onload=x>&\"";
        var measured = new BenchMeasurement(TimeSpan.FromMilliseconds(1), 8, Gigabyte, null, null, []) { Others = [new OtherTool(Hostile, true, null, Hostile)] };
        var verdict = new Verdict([new Limit(LimitKind.Network, 1, Hostile, Hostile)], [new Limit(LimitKind.Unclear, 1, Hostile, Hostile)]);
        string html = BenchHtml.Create(BenchReport.ToEvent(Hostile, Hostile, measured, verdict), measured, verdict, DateTimeOffset.UnixEpoch);
        Assert.DoesNotContain("<b onload", html, StringComparison.Ordinal);
        Assert.Equal(html.IndexOf("</script>", StringComparison.Ordinal), html.LastIndexOf("</script>", StringComparison.Ordinal));
    }

    private static Limit Of(FileRun run) => FileDiagnosis.Of(
        new BenchMeasurement(TimeSpan.FromMilliseconds(1), 8, 20 * Gigabyte, 5 * Gigabyte, null, []) { File = run }, _network);

    private static Dictionary<string, double> Stages(params (string Name, double Seconds)[] stages) =>
        stages.ToDictionary(stage => stage.Name, stage => stage.Seconds);
}
