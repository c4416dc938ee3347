using FastShare.Transport.Multiplexing;
using FastShare.Transport.Multiplexing.Internal;

namespace FastShare.Transport.Tests.Multiplexing;

public sealed class HeartbeatTests
{
    private static readonly YamuxOptions Options = YamuxOptions.Default;

    [Fact]
    public void A_ping_is_due_ten_seconds_after_the_last()
    {
        Assert.Equal(HeartbeatStep.Wait, Decide(9.9, lastInput: 9, lastPing: 0, out double wait));
        Assert.Equal(0.1, wait, 3);
        Assert.Equal(HeartbeatStep.Ping, Decide(10, lastInput: 9, lastPing: 0, out _));
    }

    [Fact]
    public void A_peer_silent_for_ten_seconds_after_a_ping_is_dead()
    {
        Assert.Equal(HeartbeatStep.Wait, Decide(19.9, lastInput: 3, lastPing: 10, out _, inFlight: true));
        Assert.Equal(HeartbeatStep.Dead, Decide(20, lastInput: 3, lastPing: 10, out _, inFlight: true));
    }

    [Fact]
    public void A_peer_that_sends_anything_is_alive_though_its_pong_is_late()
    {
        Assert.Equal(HeartbeatStep.Wait, Decide(100, lastInput: 95, lastPing: 10, out double wait, inFlight: true));
        Assert.Equal(5, wait, 3);
    }

    [Fact]
    public void A_batch_that_does_not_leave_ends_a_silent_peer_after_fifteen_seconds()
    {
        Assert.Equal(HeartbeatStep.Wait, Decide(16.9, lastInput: 1, lastPing: 16, out _, flushStarted: 2));
        Assert.Equal(HeartbeatStep.Stalled, Decide(17, lastInput: 1, lastPing: 16, out _, flushStarted: 2));
    }

    [Fact]
    public void A_peer_that_sends_but_never_reads_gets_a_minute()
    {
        Assert.Equal(HeartbeatStep.Wait, Decide(61.9, lastInput: 61, lastPing: 61, out _, flushStarted: 2));
        Assert.Equal(HeartbeatStep.Stalled, Decide(62, lastInput: 61, lastPing: 61, out _, flushStarted: 2));
    }

    [Fact]
    public void The_clock_always_sleeps_and_never_past_a_deadline_that_may_begin_meanwhile()
    {
        var random = new Random(1);
        for (int i = 0; i < 10_000; i++)
        {
            double now = random.NextDouble() * 100;
            double? flushStarted = random.Next(2) == 0 ? now * random.NextDouble() : null;
            HeartbeatStep step = Decide(
                now, now * random.NextDouble(), now * random.NextDouble(), out double wait, random.Next(2) == 0, flushStarted);
            Assert.True(wait <= 10);
            if (step == HeartbeatStep.Wait) Assert.True(wait > 0);
        }
    }

    private static HeartbeatStep Decide(
        double now, double lastInput, double lastPing, out double wait, bool inFlight = false, double? flushStarted = null)
    {
        HeartbeatStep step = Heartbeat.Decide(
            Options,
            TimeSpan.FromSeconds(now),
            new HeartbeatState(
                TimeSpan.FromSeconds(lastInput),
                TimeSpan.FromSeconds(lastPing),
                inFlight,
                flushStarted is { } started ? TimeSpan.FromSeconds(started) : null),
            out TimeSpan duration);
        wait = duration.TotalSeconds;
        return step;
    }
}
