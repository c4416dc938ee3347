using FastShare.Testing;

namespace FastShare.Transport.Tests.Simulation;

/// <summary>Requests over real sockets and threads, every node asking every other at once.</summary>
public sealed class RequestStormTests
{
    [Fact]
    public async Task Bursts_from_all_sides_at_once_are_answered_and_one_connection_remains()
    {
        await using var storm = new RequestStorm(4);
        await storm.StartAsync();
        // All at the same instant, nobody is connected: every pair dials from both sides.
        Task all = Task.WhenAll(
            from a in Enumerable.Range(0, 4)
            from b in Enumerable.Range(0, 4)
            where a != b
            select Task.Run(() => storm.BurstAsync(a, b, 40)));
        await storm.GuardAsync(all, "bursts");
        storm.ThrowIfWrong();
        Assert.Equal(12 * 40, storm.Answers);
        await Eventually.BecomesTrueAsync(() => storm.MostConnections() == 1, "one connection between any two nodes");
    }

    [Fact]
    public async Task Requests_outlive_the_connections_they_are_sent_on_and_none_is_carried_out_twice()
    {
        await using var storm = new RequestStorm(3);
        await storm.StartAsync();
        await storm.RageAsync(workers: 8, bursts: 12, closings: 40, cancellations: 20, seed: 11);
        Assert.True(storm.Answers > 0);
    }

    [Fact]
    public async Task Patient_requests_are_answered_when_their_peer_comes_back()
    {
        await using var storm = new RequestStorm(2);
        await storm.StartAsync();
        for (int round = 0; round < 3; round++)
        {
            Task before = storm.BurstAsync(0, 1, 30);
            Task restart = storm.RestartAsync(1);
            Task during = storm.BurstAsync(0, 1, 30);
            await storm.GuardAsync(Task.WhenAll(before, restart, during), $"round {round}");
        }

        storm.ThrowIfWrong();
        Assert.Equal(3 * 60, storm.Answers);
    }
}
