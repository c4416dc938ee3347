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

    [Fact]
    public void A_stream_does_not_crowd_itself()
    {
        _crowding.OnOpened(At(5));
        Assert.Equal(uint.MaxValue, _crowding.LargestCredit(At(5), At(5.1), Near));
        _crowding.OnOpened(At(5.2));
        Assert.Equal(Crowding.CrowdedCredit, _crowding.LargestCredit(At(5), At(5.3), Near));
    }

    [Fact]
    public void A_second_without_a_new_stream_ends_it()
    {
        _crowding.OnOpened(At(5));
        Assert.Equal(Crowding.CrowdedCredit, _crowding.LargestCredit(At(1), At(5.99), Near));
        Assert.Equal(uint.MaxValue, _crowding.LargestCredit(At(1), At(6), Near));
    }

    [Fact]
    public void A_far_path_and_an_unknown_one_are_not_limited()
    {
        _crowding.OnOpened(At(5));
        Assert.Equal(uint.MaxValue, _crowding.LargestCredit(At(1), At(5), TimeSpan.FromMilliseconds(2)));
        Assert.Equal(uint.MaxValue, _crowding.LargestCredit(At(1), At(5), null));
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

    private static TimeSpan At(double seconds) => TimeSpan.FromSeconds(seconds);
}
