using FastShare.SideBySide.Reporting;
using FastShare.SideBySide.Rows;

namespace FastShare.SideBySide.Tests;

public sealed class GoalTests
{
    private const string Ssl = "SslStream, TLS 1.3";

    [Fact]
    public void A_speed_goal_is_met_by_the_median_of_the_ratios()
    {
        ScenarioResult memory = Figures.Scenario(Goals.Memory, Figures.Reference(Goals.Own, 1, 1, 1), Figures.Row(Ssl, 1.4, 1.6, 1.5));
        Goal goal = Find([memory], $"{Goals.Memory}: {Goals.Own} ÷ {Ssl}");
        Assert.Equal(("≥ 1.5 ×", "1.50 × (1.40–1.60)", true), (goal.Wanted, goal.Measured, goal.Met));
        Assert.Equal("yes", goal.Verdict);
    }

    [Fact]
    public void A_cost_goal_wants_less()
    {
        ScenarioResult memory = Figures.Scenario(Goals.Memory, Figures.Reference(Goals.Own, 0.8, 0.8), Figures.Row(Ssl, 1, 1));
        Goal goal = Find([memory], $"{Goals.Memory}: CPU per GB, {Goals.Own} ÷ {Ssl}");
        Assert.Equal(("0.80 × (0.80–0.80)", false), (goal.Measured, goal.Met));
    }

    [Fact]
    public void What_was_not_measured_is_neither_met_nor_missed()
    {
        Goal goal = Find([], $"{Goals.Memory}: {Goals.Own} ÷ {Ssl}");
        Assert.Equal(("", null, "not measured", ""), (goal.Measured, goal.Met, goal.Verdict, goal.Limit));
    }

    [Fact]
    public void The_limit_of_the_machine_stands_beside_the_goal_and_says_whether_anything_could_meet_it()
    {
        ScenarioResult memory = Figures.Scenario(
            Goals.Memory, Figures.Reference(Goals.Own, 1), Figures.Row(Ssl, 1.2), Figures.Row(LimitRows.Memory, 0.9),
            Figures.Row(Goals.OwnPlain, 1), Figures.Row("iperf3, one stream (plaintext)", 1), Figures.Row(LimitRows.PlainMemory, 0.5));
        Goal goal = Find([memory], $"{Goals.Memory}: {Goals.Own} ÷ {Ssl}");
        Assert.Equal(("1.33 × (1.33–1.33)", false), (goal.Limit, goal.LimitMeets));
        goal = Find([memory], $"{Goals.Memory}: {Goals.OwnPlain} ÷ iperf3, one stream (plaintext)");
        Assert.Equal(("2.00 × (2.00–2.00)", true), (goal.Limit, goal.LimitMeets));
    }

    [Fact]
    public void The_limit_of_many_receivers_is_what_the_limit_program_keeps_of_its_own_rate_with_one()
    {
        ScenarioResult receivers = Figures.Scenario(
            "concurrent receivers of one sender, memory to memory",
            Figures.Row(LoadRows.Name(Goals.Own, 1), 1, 1), Figures.Row(LoadRows.Name(Goals.Own, 64), 2, 2),
            Figures.Row(LoadRows.Name(LimitRows.Memory, 1), 0.6, 0.6), Figures.Row(LoadRows.Name(LimitRows.Memory, 64), 0.8, 0.8));
        Goal goal = Find([receivers], $"{LoadRows.Name(Goals.Own, 64)} ÷ {LoadRows.Name(Goals.Own, 1)}");
        Assert.Equal(("0.50 × (0.50–0.50)", false), (goal.Measured, goal.Met));
        Assert.Equal(("0.75 × (0.75–0.75)", false), (goal.Limit, goal.LimitMeets));
    }

    [Fact]
    public void The_memory_of_64_receivers_is_bounded_like_that_of_one()
    {
        ScenarioResult receivers = Figures.Scenario("concurrent receivers of one sender, memory to memory", Figures.Row(LoadRows.Name(Goals.Own, 64), 1));
        Goal goal = Find([receivers], "peak memory of a process, 64 receivers");
        Assert.Equal(("≤ 150 MiB", "10.00 MiB (10.00–10.00)", true), (goal.Wanted, goal.Measured, goal.Met));
    }

    [Fact]
    public void Steady_state_is_what_the_allocation_goal_asks_for()
    {
        RowResult row = Figures.Reference(Goals.Verified, 1, 1, 1).With(FastShareNodes.Allocated, 9, 9, 9).With(FastShareNodes.AllocatedSteadily, 0.5, 2, 0.75);
        Goal goal = Find([Figures.Scenario(Goals.File, row)], "steady state");
        Assert.Equal(("0.75 KiB per MiB (0.50–2.00)", true), (goal.Measured, goal.Met));
    }

    [Fact]
    public void Processor_time_of_a_row_that_moves_a_part_is_scaled_like_its_time()
    {
        RowResult other = Figures.Row(Ssl, 1) with { Share = 0.5 };
        Goal goal = Find([Figures.Scenario(Goals.Memory, Figures.Reference(Goals.Own, 1), other)], $"{Goals.Memory}: CPU per GB, {Goals.Own} ÷ {Ssl}");
        Assert.Equal("0.50 × (0.50–0.50)", goal.Measured);
    }

    [Fact]
    public void Every_row_that_a_goal_names_exists()
    {
        using var folder = new TemporaryFolder();
        var bench = new Bench(new Settings { Folder = folder.Path }, folder.Path);
        SideBySideRun.AddRows(bench);
        // All rows of the run with two seconds each: what then stays unmeasured names a row that there is not, or a figure.
        List<ScenarioResult> all =
        [
            .. bench.Rows.GroupBy(row => row.Scenario.Name).Select(rows => Figures.Scenario(rows.Key, [.. rows.Select(row => Figures.Row(row.Name, 2))])),
        ];
        string[] figures = ["p99", "slowest", "steady"];
        string[] unmeasured = [.. Goals.Of(all).Where(goal => goal.Met is null).Select(goal => goal.What).Where(what => !figures.Any(what.Contains))];
        Assert.All(unmeasured, what => Assert.Contains(bench.Missing, missing => what.Contains(missing.Row.Split(' ')[0], StringComparison.Ordinal)));
    }

    private static Goal Find(IReadOnlyList<ScenarioResult> scenarios, string what) =>
        Assert.Single(Goals.Of(scenarios), goal => goal.What.Contains(what, StringComparison.Ordinal));
}
