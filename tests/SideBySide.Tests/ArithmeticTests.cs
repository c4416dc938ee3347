using FastShare.SideBySide.Reporting;
using FastShare.SideBySide.Rows;

namespace FastShare.SideBySide.Tests;

public sealed class ArithmeticTests
{
    [Theory]
    [InlineData(new double[] { 3 }, 3)]
    [InlineData(new double[] { 9, 1, 5 }, 5)]
    [InlineData(new double[] { 4, 1, 3, 2 }, 2.5)]
    public void The_median_is_the_middle_or_the_mean_of_the_two_in_the_middle(double[] values, double median) =>
        Assert.Equal(median, RowResult.MedianOf(values));

    [Fact]
    public void Nothing_has_no_median() => Assert.Throws<ArgumentException>(() => RowResult.MedianOf([]));

    [Fact]
    public void The_spread_is_from_the_fastest_to_the_slowest_round()
    {
        RowResult row = Figures.Row("a", 3, 1, 2);
        Assert.Equal((1, 2, 3), (row.Fastest, row.Median, row.Slowest));
        Assert.Equal(0.5, Figures.Scenario("s", row).GigabytesPerSecond(row.Median));
    }

    [Fact]
    public void Ratios_are_of_the_same_round_and_their_median_counts()
    {
        // The machine was twice as slow in the second round and ten times in the third: that is no difference between the two.
        RowResult own = Figures.Reference("own", 1, 2, 10), other = Figures.Row("other", 2, 4, 30);
        Assert.Equal([2, 2, 3], ScenarioResult.Ratios(own, other));
        Assert.Equal(2, Figures.Scenario("s", own, other).Ratio(other));
    }

    [Fact]
    public void Rounds_that_a_row_has_not_are_left_out_of_its_ratios()
    {
        RowResult own = Figures.Reference("own", 1, 1, 1), failed = Figures.Row("other", 2);
        Assert.Equal([2], ScenarioResult.Ratios(own, failed));
    }

    [Fact]
    public void Without_fastshare_there_is_no_ratio()
    {
        RowResult row = Figures.Row("other", 1);
        Assert.Null(Figures.Scenario("s", row).Ratio(row));
    }

    [Fact]
    public void Processor_time_is_for_a_gigabyte_of_what_was_really_moved()
    {
        RowResult row = Figures.Row("a", 3, 1, 2);
        Assert.Equal(2, row.CpuPerGigabyte(Figures.Gigabyte));
        Assert.Equal(1, row.CpuPerGigabyte(2 * Figures.Gigabyte));
        Assert.Equal(8, (row with { Share = 0.25 }).CpuPerGigabyte(Figures.Gigabyte));
    }

    [Fact]
    public void Figures_are_medians_over_the_rounds_that_have_them()
    {
        RowResult row = Figures.Row("a", 1, 1, 1).With("x", 5, 7, 6);
        Assert.Equal(6, row.Figure("x"));
        Assert.Null(row.Figure("y"));
        Assert.Equal(12, (row with { SystemCallsPerGigabyte = 12 }).Figure("system calls per GB"));
    }

    [Fact]
    public void Receivers_are_as_unequal_as_their_rates()
    {
        Assert.Equal(0, LoadRows.SpreadOf([2, 2]));
        Assert.Equal(100 * (1 - 0.5) / 0.75, LoadRows.SpreadOf([1, 2]));
    }

    [Fact]
    public void Allocation_is_in_kibibytes_for_each_mebibyte() => Assert.Equal(2, FastShareNodes.KibPerMib(4096, 2 << 20));

    [Fact]
    public void The_fastest_row_stands_first_with_what_was_counted_for_it()
    {
        var slow = new Contender("slow", new Scenario("s", Figures.Gigabyte, 0), [], (_, _) => Task.FromResult(0.0));
        Contender fast = slow with { Name = "fast" };
        var result = ScenarioResult.Of(
            slow.Scenario, [new(slow, [new Sample(2, 1, 0)]), new(fast, [new Sample(1, 1, 0)])], new Dictionary<Contender, double> { [slow] = 7 });
        Assert.Equal(["fast", "slow"], result.Rows.Select(row => row.Name));
        Assert.Equal([null, 7.0], result.Rows.Select(row => row.SystemCallsPerGigabyte));
    }
}
