using FastShare.Transport.Multiplexing.Internal;

namespace FastShare.Transport.Tests.Multiplexing;

/// <summary>How much bulk may be under way beside requests, in virtual time.</summary>
public sealed class CrowdingTests
{
    private const uint Initial = 256 << 10;
    private const uint Cap = 16 << 20;

    private static readonly TimeSpan Near = TimeSpan.FromMilliseconds(0.2);

    private readonly Crowding _crowding = new();
    private readonly ByteBudget _budget = new(64 << 20);

    /// <summary>Short streams that end one after another, ten milliseconds apart.</summary>
    private void End(int streams, double from)
    {
        for (int i = 0; i < streams; i++) _crowding.OnEnded(At(from + (0.01 * i)), At(from + (0.01 * i) + 0.001));
    }

    [Fact]
    public void A_few_short_streams_are_no_crowd()
    {
        End(Crowding.Crowd - 1, 5);
        Assert.Equal(uint.MaxValue, _crowding.LargestCredit(At(5.1), Near));
        End(1, 5.1);
        Assert.Equal(Crowding.CrowdedCredit, _crowding.LargestCredit(At(5.11), Near));
    }

    [Fact]
    public void Streams_of_bulk_are_no_crowd()
    {
        for (int i = 0; i < 3 * Crowding.Crowd; i++) _crowding.OnEnded(At(1), At(2));
        Assert.Equal(uint.MaxValue, _crowding.LargestCredit(At(2), Near));
    }

    [Theory]
    [InlineData(Crowding.Crowd)]
    [InlineData(5 * Crowding.Crowd + 3)]
    public void A_second_without_so_many_ends_it(int streams)
    {
        End(streams, 5);
        double latestEight = 5.001 + (0.01 * (streams - Crowding.Crowd));
        Assert.Equal(Crowding.CrowdedCredit, _crowding.LargestCredit(At(latestEight + 0.99), Near));
        Assert.Equal(uint.MaxValue, _crowding.LargestCredit(At(latestEight + 1), Near));
        End(Crowding.Crowd - 1, 20);
        Assert.Equal(uint.MaxValue, _crowding.LargestCredit(At(20.1), Near));
        End(1, 20.1);
        Assert.Equal(Crowding.CrowdedCredit, _crowding.LargestCredit(At(20.2), Near));
    }

    [Fact]
    public void A_far_path_and_an_unknown_one_are_not_limited()
    {
        End(Crowding.Crowd, 5);
        Assert.Equal(uint.MaxValue, _crowding.LargestCredit(At(5.2), TimeSpan.FromMilliseconds(2)));
        Assert.Equal(uint.MaxValue, _crowding.LargestCredit(At(5.2), null));
    }

    [Fact]
    public void Crowded_credit_is_given_up_to_its_limit_however_large_the_window_and_whatever_is_unread()
    {
        var window = new ReceiveWindow(TimeSpan.Zero);
        Assert.Equal(Cap - Initial, window.Raise(Cap, _budget));
        Assert.True(window.TryReceive(Cap));

        const uint Most = Crowding.CrowdedCredit;
        Assert.Equal(0u, window.Replenish(Cap - (Most / 2) + 1, At(1), Near, Most, Cap, _budget)); // less than half is not worth a frame
        Assert.Equal(Most / 2, window.Replenish(Cap - (Most / 2), At(1), Near, Most, Cap, _budget));
        Assert.Equal(Most / 2, window.Replenish(1 << 20, At(1), Near, Most, Cap, _budget));
        Assert.Equal(Most, window.Held);
        Assert.Equal(0u, window.Replenish(0, At(1), Near, Most, Cap, _budget));
        Assert.Equal(Cap - Most, window.Replenish(0, At(1), Near, uint.MaxValue, Cap, _budget)); // the crowd has gone
    }

    [Fact]
    public void A_crowded_window_does_not_grow()
    {
        var window = new ReceiveWindow(TimeSpan.Zero);
        Assert.Equal(Cap / 2 - Initial, window.Raise(Cap / 2, _budget));
        for (int i = 0; i < 20; i++)
        {
            Assert.True(window.TryReceive(window.Held));
            Assert.Equal(Crowding.CrowdedCredit, window.Replenish(0, At(0), Near, Crowding.CrowdedCredit, Cap, _budget));
        }

        Assert.Equal(Cap / 2, window.Size);
    }

    [Fact]
    public void A_window_smaller_than_the_limit_is_not_affected_by_it()
    {
        var window = new ReceiveWindow(TimeSpan.Zero);
        Assert.True(window.TryReceive(Initial));
        Assert.Equal(Initial, window.Replenish(0, At(1), null, Crowding.CrowdedCredit, Cap, _budget));
    }

    [Fact]
    public void A_reader_that_waits_for_more_than_the_limit_gets_it()
    {
        var window = new ReceiveWindow(TimeSpan.Zero);
        window.Raise(Cap, _budget);
        Assert.True(window.TryReceive(Cap));
        Assert.Equal(Crowding.CrowdedCredit, window.Replenish(0, At(1), Near, Crowding.CrowdedCredit, Cap, _budget));
        Assert.True(window.TryReceive(Crowding.CrowdedCredit));
        Assert.Equal(Cap - Crowding.CrowdedCredit, window.ReplenishStarved(Crowding.CrowdedCredit, At(1), Cap, _budget));
    }

    [Fact]
    public void The_path_s_round_trip_is_the_fastest_and_rises_slowly()
    {
        var pings = new PingExchange();
        TimeSpan now = TimeSpan.Zero;
        Sample(1);
        Assert.Equal(At(0.001), pings.PathRoundTripTime);
        Sample(0.2);
        Assert.Equal(At(0.0002), pings.PathRoundTripTime);
        Sample(50); // waited behind bulk
        Assert.InRange(pings.PathRoundTripTime!.Value.TotalMilliseconds, 0.2, 0.2251);
        for (int i = 0; i < 60; i++) Sample(50);
        Assert.Equal(50, pings.PathRoundTripTime!.Value.TotalMilliseconds, 0.001); // the path has changed

        void Sample(double milliseconds)
        {
            pings.Ask(now); // not when one is in flight: the opening ones
            Assert.True(pings.TryTake(now, out YamuxHeader ping));
            now += TimeSpan.FromMilliseconds(milliseconds);
            Assert.True(pings.OnPong(ping.Length, now));
        }
    }

    [Theory]
    [InlineData(new[] { 60, 20, 11, 0.2, 0.19, 0.18 }, 0.18)] // cold code on a busy machine
    [InlineData(new[] { 100, 100, 101.0 }, 100)]
    [InlineData(new[] { 100, 80, 76.0 }, 76)] // no faster than chance
    [InlineData(new[] { 0.1, 0.1, 50.0 }, 0.1)]
    public void Pings_open_a_connection_until_they_get_no_faster(double[] milliseconds, double path)
    {
        var pings = new PingExchange();
        Assert.True(pings.Ask(TimeSpan.Zero));
        TimeSpan now = TimeSpan.Zero;
        foreach (double sample in milliseconds)
        {
            Assert.True(pings.TryTake(now, out YamuxHeader ping));
            now += TimeSpan.FromMilliseconds(sample);
            Assert.True(pings.OnPong(ping.Length, now));
        }

        Assert.False(pings.InFlight);
        Assert.InRange(pings.PathRoundTripTime!.Value.TotalMilliseconds, path, 1.13 * path);
    }

    [Fact]
    public void Opening_pings_end_even_when_each_is_faster_than_the_one_before()
    {
        var pings = new PingExchange();
        Assert.True(pings.Ask(TimeSpan.Zero));
        TimeSpan now = TimeSpan.Zero, sample = TimeSpan.FromSeconds(1);
        int answered = 0;
        while (pings.TryTake(now, out YamuxHeader ping))
        {
            now += sample;
            sample /= 2;
            Assert.True(pings.OnPong(ping.Length, now));
            answered++;
        }

        Assert.Equal(16, answered);
    }

    private static TimeSpan At(double seconds) => TimeSpan.FromSeconds(seconds);
}
