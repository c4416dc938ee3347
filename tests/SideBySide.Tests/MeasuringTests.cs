namespace FastShare.SideBySide.Tests;

public sealed class MeasuringTests
{
    private static readonly Scenario _scenario = new("s", 1000, 0);

    private readonly List<string> _order = [];

    [Fact]
    public async Task Rows_run_in_turn_and_the_first_round_does_not_count()
    {
        var measuring = new Measuring([Row("a"), Row("b")], 2, TimeSpan.FromMinutes(1), _ => { });
        await measuring.RunAsync(CancellationToken.None);
        Assert.Equal(["a", "b", "a", "b", "a", "b"], _order);
        Assert.All(measuring.Samples.Values, samples => Assert.Equal(2, samples.Count));
        Assert.Empty(measuring.Failed);
        Assert.True(measuring.Seconds.ContainsKey("s"));
    }

    [Fact]
    public async Task A_row_that_fails_keeps_its_rounds_and_the_others_go_on()
    {
        int runs = 0;
        Contender failing = Row("a", _ => ++runs == 3 ? throw new InvalidOperationException("no room") : Task.FromResult(1.0));
        var measuring = new Measuring([failing, Row("b")], 3, TimeSpan.FromMinutes(1), _ => { });
        await measuring.RunAsync(CancellationToken.None);
        Assert.Equal(new FailedRow("s", "a", "round 2", "no room"), Assert.Single(measuring.Failed));
        Assert.Equal([1, 3], measuring.Samples.Values.Select(samples => samples.Count));
        Assert.Equal(3, runs);
    }

    [Fact]
    public async Task A_server_that_does_not_start_fails_its_rows_only()
    {
        var broken = new Server("the server", _ => throw new InvalidOperationException("port taken"));
        var measuring = new Measuring([Row("a") with { Servers = [broken] }, Row("b")], 1, TimeSpan.FromMinutes(1), _ => { });
        await measuring.RunAsync(CancellationToken.None);
        Assert.Equal("the server did not start: port taken", Assert.Single(measuring.Failed).Reason);
        Assert.Equal(["b", "b"], _order);
    }

    [Fact]
    public async Task A_row_that_takes_too_long_fails()
    {
        Contender hanging = Row("a", async token =>
        {
            await Task.Delay(Timeout.Infinite, token);
            return 0;
        });
        var measuring = new Measuring([hanging, Row("b")], 1, TimeSpan.FromMilliseconds(50), _ => { });
        await measuring.RunAsync(CancellationToken.None);
        Assert.StartsWith("it took longer than", Assert.Single(measuring.Failed).Reason, StringComparison.Ordinal);
        Assert.Equal(["a", "b", "b"], _order);
    }

    [Fact]
    public async Task What_was_measured_before_an_interruption_stays()
    {
        using var stop = new CancellationTokenSource();
        Contender last = Row("b", token =>
        {
            if (_order.Count < 4) return Task.FromResult(1.0);
            stop.Cancel();
            return Task.FromCanceled<double>(token);
        });
        var measuring = new Measuring([Row("a"), last], 5, TimeSpan.FromMinutes(1), _ => { });
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => measuring.RunAsync(stop.Token));
        Assert.Equal([1, 0], measuring.Samples.Values.Select(samples => samples.Count));
        Assert.Empty(measuring.Failed);
    }

    [Fact]
    public async Task Rows_that_take_long_have_fewer_rounds_and_none_to_warm_up()
    {
        var measuring = new Measuring([Row("a") with { MostRounds = 1 }, Row("b")], 2, TimeSpan.FromMinutes(1), _ => { });
        await measuring.RunAsync(CancellationToken.None);
        Assert.Equal(["b", "a", "b", "b"], _order);
    }

    [Fact]
    public async Task A_further_pass_leaves_out_what_has_failed_and_tells_what_fails_in_it()
    {
        Contender[] rows = [Row("a", _ => throw new InvalidOperationException("first")), Row("b"), Row("c")];
        var measuring = new Measuring(rows, 1, TimeSpan.FromMinutes(1), _ => { });
        await measuring.RunAsync(CancellationToken.None);
        var seen = new List<string>();
        await measuring.FurtherAsync("counting", rows, (row, _) =>
        {
            seen.Add(row.Name);
            return row.Name == "b" ? throw new InvalidOperationException("second") : Task.CompletedTask;
        }, CancellationToken.None);
        Assert.Equal(["b", "c"], seen);
        Assert.Equal(["first", "second"], measuring.Failed.Select(failed => failed.Reason));
        Assert.Equal("counting", measuring.Failed[1].When);
    }

    private Contender Row(string name) => Row(name, _ => Task.FromResult(1.0));

    private Contender Row(string name, Func<CancellationToken, Task<double>> run) => new(name, _scenario, [], (_, token) =>
    {
        _order.Add(name);
        return run(token);
    });
}
