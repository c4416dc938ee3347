using FastShare.Transport.Multiplexing.Internal;

namespace FastShare.Transport.Tests.Multiplexing;

/// <summary>Windows, credit and budgets, in virtual time.</summary>
public sealed class FlowControlTests
{
    private const uint Initial = 256 << 10;
    private const uint Cap = 16 << 20;

    private static readonly TimeSpan RoundTrip = TimeSpan.FromMilliseconds(100);

    private readonly ByteBudget _budget = new(64 << 20);

    [Fact]
    public void Credit_adds_up_to_the_last_value_of_an_unsigned_integer_and_no_further()
    {
        var credit = new SendCredit();
        Assert.Equal(Initial, credit.Available);
        Assert.True(credit.TryAdd(uint.MaxValue - Initial));
        Assert.False(credit.TryAdd(1));
        Assert.False(credit.TryAdd(uint.MaxValue));
        Assert.Equal(uint.MaxValue, credit.Available);
        credit.Take(10);
        Assert.False(credit.TryAdd(11));
        Assert.True(credit.TryAdd(10));
    }

    [Fact]
    public void More_than_the_credit_cannot_be_spent()
    {
        var credit = new SendCredit();
        credit.Take((int)Initial);
        Assert.Throws<InvalidOperationException>(() => credit.Take(1));
    }

    [Fact]
    public void Data_beyond_the_window_is_refused_without_charging_it()
    {
        var window = new ReceiveWindow(TimeSpan.Zero);
        Assert.False(window.TryReceive(Initial + 1));
        Assert.True(window.TryReceive(Initial));
        Assert.False(window.TryReceive(1));
        Assert.True(window.TryReceive(0));
    }

    [Fact]
    public void Credit_returns_once_half_the_window_was_consumed()
    {
        var window = new ReceiveWindow(TimeSpan.Zero);
        Assert.True(window.TryReceive(Initial));
        Assert.Equal(0u, window.Replenish(Initial / 2 + 1, TimeSpan.Zero, null, uint.MaxValue, Cap, _budget));
        Assert.Equal(Initial / 2, window.Replenish(Initial / 2, TimeSpan.Zero, null, uint.MaxValue, Cap, _budget));
        Assert.Equal(0u, window.Replenish(Initial / 2, TimeSpan.Zero, null, uint.MaxValue, Cap, _budget));
        Assert.Equal(Initial / 2, window.Held);
    }

    [Fact]
    public void Without_a_round_trip_time_a_window_never_grows()
    {
        var window = new ReceiveWindow(TimeSpan.Zero);
        for (int i = 0; i < 100; i++) Refill(ref window, TimeSpan.Zero, null);
        Assert.Equal(Initial, window.Size);
    }

    [Fact]
    public void A_window_used_up_within_four_round_trips_doubles_up_to_the_cap()
    {
        var window = new ReceiveWindow(TimeSpan.Zero);
        TimeSpan now = TimeSpan.Zero;
        for (uint size = Initial * 2; size <= Cap; size *= 2)
        {
            now += RoundTrip;
            uint credit = Refill(ref window, now, RoundTrip);
            Assert.Equal(size, window.Size);
            Assert.Equal(size, window.Held);
            Assert.Equal(size / 2 + size / 2, credit); // all that was used, and as much again
        }

        Refill(ref window, now, RoundTrip);
        Assert.Equal(Cap, window.Size);
        Assert.Equal(Cap - Initial, _budget.Used);
        window.Release(_budget);
        window.Release(_budget);
        Assert.Equal(0, _budget.Used);
    }

    [Fact]
    public void A_window_that_lasts_longer_does_not_grow()
    {
        var window = new ReceiveWindow(TimeSpan.Zero);
        TimeSpan now = TimeSpan.Zero;
        for (int i = 0; i < 10; i++) Refill(ref window, now += 4 * RoundTrip, RoundTrip);
        Assert.Equal(Initial, window.Size);
    }

    [Fact]
    public void On_a_near_path_streams_that_are_as_fast_get_windows_as_large_however_busy_both_sides_are()
    {
        TimeSpan near = TimeSpan.FromMilliseconds(0.1);
        var early = new ReceiveWindow(TimeSpan.Zero);
        TimeSpan now = TimeSpan.Zero;
        for (int i = 0; i < 20; i++) Refill(ref early, now += near, near);
        Assert.Equal(Cap, early.Size);

        // The same stream, when everyone waits for a turn: thirty milliseconds for what a window holds.
        var late = new ReceiveWindow(now);
        for (uint size = Initial * 2; size <= ReceiveWindow.NearSize; size *= 2)
        {
            Refill(ref late, now += 3 * ReceiveWindow.ShortestTurn, near);
            Assert.Equal(size, late.Size);
        }

        Refill(ref late, now += 3 * ReceiveWindow.ShortestTurn, near);
        Assert.Equal(ReceiveWindow.NearSize, late.Size); // beyond that, the path itself must be faster
        Refill(ref late, now += near, near);
        Assert.Equal(2 * ReceiveWindow.NearSize, late.Size);
    }

    [Fact]
    public void A_slow_stream_on_a_near_path_keeps_its_first_window()
    {
        var window = new ReceiveWindow(TimeSpan.Zero);
        TimeSpan now = TimeSpan.Zero;
        for (int i = 0; i < 10; i++) Refill(ref window, now += 4 * ReceiveWindow.ShortestTurn, TimeSpan.FromMilliseconds(0.1));
        Assert.Equal(Initial, window.Size);
    }

    [Fact]
    public void Growth_stops_where_the_budget_ends_and_goes_on_when_others_give_back()
    {
        var small = new ByteBudget(Initial);
        var first = new ReceiveWindow(TimeSpan.Zero);
        var second = new ReceiveWindow(TimeSpan.Zero);
        RefillFrom(ref first, small);
        RefillFrom(ref second, small);
        Assert.Equal(2 * Initial, first.Size);
        Assert.Equal(Initial, second.Size);
        first.Release(small);
        RefillFrom(ref second, small);
        Assert.Equal(2 * Initial, second.Size);

        static void RefillFrom(ref ReceiveWindow window, ByteBudget budget)
        {
            Assert.True(window.TryReceive(window.Held));
            window.Replenish(0, TimeSpan.Zero, RoundTrip, uint.MaxValue, Cap, budget);
        }
    }

    [Fact]
    public void A_starved_reader_first_gets_what_is_left_then_a_larger_window_then_nothing()
    {
        var window = new ReceiveWindow(TimeSpan.Zero);
        Assert.True(window.TryReceive(Initial));
        Assert.Equal(100u, window.ReplenishStarved(Initial - 100, TimeSpan.Zero, 2 * Initial, _budget));
        Assert.True(window.TryReceive(100));
        Assert.Equal(Initial, window.ReplenishStarved(Initial, TimeSpan.Zero, 2 * Initial, _budget));
        Assert.True(window.TryReceive(Initial));
        Assert.Equal(0u, window.ReplenishStarved(2 * Initial, TimeSpan.Zero, 2 * Initial, _budget));
    }

    [Fact]
    public void A_fresh_window_is_raised_at_once_if_the_budget_allows()
    {
        var window = new ReceiveWindow(TimeSpan.Zero);
        Assert.Equal(3 * Initial, window.Raise(4 * Initial, _budget));
        Assert.Equal(4 * Initial, window.Held);
        var other = new ReceiveWindow(TimeSpan.Zero);
        Assert.Equal(0u, other.Raise(4 * Initial, new ByteBudget(10)));
        Assert.Equal(Initial, other.Held);
    }

    [Fact]
    public void A_budget_takes_all_or_nothing_from_itself_and_its_parent()
    {
        var parent = new ByteBudget(100);
        var child = new ByteBudget(80, parent);
        Assert.False(child.TryTake(81));
        Assert.True(parent.TryTake(50));
        Assert.False(child.TryTake(26));
        Assert.Equal((0, 50), (child.Used, parent.Used));
        Assert.True(child.TryTake(25)); // as much as it leaves
        Assert.Equal(75, parent.Used);
        child.Return(25);
        Assert.Equal(50, parent.Used);
    }

    [Fact]
    public void However_many_take_all_they_can_of_a_budget_something_is_left_for_the_next()
    {
        var parent = new ByteBudget(1000);
        ByteBudget[] hoarders = [.. Enumerable.Range(0, 5).Select(_ => new ByteBudget(1000, parent))];
        for (int round = 0; round < 1000; round++) foreach (ByteBudget hoarder in hoarders) hoarder.TryTake(1);
        Assert.All(hoarders, hoarder => Assert.InRange(hoarder.Used, 166, 167)); // a sixth each
        Assert.True(new ByteBudget(1000, parent).TryTake(80));
    }

    [Fact]
    public void A_rate_budget_allows_a_burst_then_its_rate()
    {
        var budget = new RateBudget(burst: 10, perSecond: 5);
        TimeSpan now = TimeSpan.FromHours(1);
        for (int i = 0; i < 10; i++) Assert.True(budget.TryTake(now));
        Assert.False(budget.TryTake(now));
        now += TimeSpan.FromMilliseconds(199);
        Assert.False(budget.TryTake(now));
        now += TimeSpan.FromMilliseconds(1);
        Assert.True(budget.TryTake(now));
        Assert.False(budget.TryTake(now));
        now += TimeSpan.FromDays(10_000); // no overflow, no more than the burst
        for (int i = 0; i < 10; i++) Assert.True(budget.TryTake(now));
        Assert.False(budget.TryTake(now));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void An_id_opens_once_even_out_of_order(uint parity)
    {
        var ids = new InboundIds();
        var random = new Random(5);
        var used = new HashSet<uint>();
        for (int i = 0; i < 20_000; i++)
        {
            // Around a growing front, as crossing opens of a peer arrive.
            uint id = 2 * (uint)(i + random.Next(0, 200)) + 2 + parity;
            Assert.Equal(used.Add(id), ids.TryUse(id));
        }
    }

    [Fact]
    public void An_id_far_behind_counts_as_used_and_a_jump_forgets_nothing_wrong()
    {
        var ids = new InboundIds();
        Assert.True(ids.TryUse(2));
        Assert.True(ids.TryUse(2 + 2 * InboundIds.Span));
        Assert.False(ids.TryUse(2));
        Assert.True(ids.TryUse(4));
        Assert.True(ids.TryUse(uint.MaxValue - 1));
        Assert.False(ids.TryUse(uint.MaxValue - 1));
        Assert.True(ids.TryUse(uint.MaxValue - 3));
        Assert.False(ids.TryUse(6));
    }

    private uint Refill(ref ReceiveWindow window, TimeSpan now, TimeSpan? roundTrip)
    {
        Assert.True(window.TryReceive(window.Held));
        return window.Replenish(0, now, roundTrip, uint.MaxValue, Cap, _budget);
    }
}
