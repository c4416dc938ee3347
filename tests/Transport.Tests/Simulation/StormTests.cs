namespace FastShare.Transport.Tests.Simulation;

/// <summary>The real thing with real sockets and threads, both sides at once.</summary>
public sealed class StormTests
{
    [Fact]
    public async Task Many_threads_on_every_side_calling_at_once_are_all_answered()
    {
        await using var storm = new Storm();
        await storm.StartAsync(4);
        await storm.RageAsync(workers: 16, calls: 40, closings: 0, cancellations: 0, seed: 1);
        Assert.Equal(16 * 40, storm.Answers);
    }

    [Fact]
    public async Task Callers_that_cancel_harm_nobody_else()
    {
        await using var storm = new Storm();
        await storm.StartAsync(3);
        await storm.RageAsync(workers: 16, calls: 40, closings: 0, cancellations: 30, seed: 2);
        Assert.Equal(16 * 40, storm.Answers + storm.Cancelled);
    }

    [Fact]
    public async Task Connections_that_close_all_the_time_hang_nobody()
    {
        await using var storm = new Storm();
        await storm.StartAsync(4);
        await storm.RageAsync(workers: 16, calls: 40, closings: 10, cancellations: 10, seed: 3);
        Assert.True(storm.Answers > 0);
    }

    [Fact]
    public async Task Nodes_that_are_disposed_amid_calls_end_every_call()
    {
        await using var storm = new Storm();
        await storm.StartAsync(4);
        await storm.RageAsync(workers: 4, calls: 5, closings: 0, cancellations: 0, seed: 4); // connections are up
        Task calls = storm.CallUntilClosedAsync(workers: 8);
        await storm.GuardAsync(storm.WhenAnsweredAsync(100), "the first calls");
        await storm.DisposeAllAsync();
        await storm.GuardAsync(calls, "calls on closed nodes");
        Assert.All(storm.Swarms, swarm => Assert.Empty(swarm.Connections));
    }
}
