using FastShare.Transfer.Scheduling;

namespace FastShare.Transfer.Tests.Scheduling;

public class AutoModeTests
{
    [Fact]
    public void A_path_that_send_buffers_cap_is_full_from_the_fifth_second_on_and_no_more_connections_stay_than_it_takes()
    {
        AutoMode auto = New();
        var path = new SimulatedPath(auto) { PerConnection = 35e6 };
        path.Run(60);
        Assert.All(path.Trace.Where(t => t.At.TotalSeconds > 5), t => Assert.True(t.Rate > 0.9 * path.Line, $"{t}"));
        Assert.Equal(new LanePlan(4, 1), auto.Plan);
        Assert.Contains("send buffer", path.Decisions[0].Why, StringComparison.Ordinal);
        Assert.Contains("100 ms", path.Decisions[0].Why, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(100e6, 1)] // ends within three seconds
    [InlineData(400e6, 4)]
    public void A_transfer_that_ends_soon_gets_no_more_connections(double amount, int connections)
    {
        AutoMode auto = New();
        var path = new SimulatedPath(auto) { PerConnection = 35e6, Left = amount };
        path.Run(2);
        Assert.Equal(connections, auto.Plan.Connections);
    }

    [Fact]
    public void A_near_path_that_a_busy_machine_makes_slow_is_not_far()
    {
        AutoMode auto = New();
        var path = new SimulatedPath(auto)
        {
            RoundTrip = TimeSpan.FromMilliseconds(8),
            Shortest = TimeSpan.FromMilliseconds(0.02),
            PerConnection = 35e6,
        };
        path.Run(30);
        Assert.Empty(path.Decisions);
    }

    [Fact]
    public void Round_trips_that_grow_say_that_the_line_is_full()
    {
        AutoMode auto = New();
        var path = new SimulatedPath(auto) { PerConnection = 35e6, Queues = true };
        path.Run(50);
        Assert.Single(path.Decisions);
        Assert.Equal(4, auto.Plan.Connections);
    }

    [Fact]
    public void Loss_that_holds_each_connection_back_is_met_with_more_of_them()
    {
        AutoMode auto = New();
        var path = new SimulatedPath(auto) { PerConnection = 0.6e6, Repeated = 1e-3 };
        path.Run(30);
        Assert.Equal(16, auto.Plan.Connections);
        Assert.Contains("lost", path.Decisions[0].Why, StringComparison.Ordinal);
    }

    [Fact]
    public void A_path_that_loses_segments_by_itself_gets_more_connections_under_any_congestion_control()
    {
        AutoMode auto = New();
        var path = new SimulatedPath(auto) { PerConnection = 20e6, Repeated = 1e-2, IsLossBased = false };
        path.Run(15);
        Assert.InRange(auto.Plan.Connections, 6, 16);
        Assert.True(path.Capacity >= 0.9 * path.Line);
    }

    [Fact]
    public void Loss_that_holds_nobody_back_is_no_reason()
    {
        AutoMode auto = New();
        var path = new SimulatedPath(auto) { Repeated = 0.1, IsLossBased = false };
        path.Run(30);
        Assert.DoesNotContain(path.Decisions, d => d.Why.Contains("lost", StringComparison.Ordinal));
        Assert.Equal(1, auto.Plan.Connections);
    }

    [Theory]
    [InlineData(true, 5.1)]
    [InlineData(false, 12.1)]
    public void Congestion_control_that_grows_slowly_is_not_waited_for(bool isLossBased, double second)
    {
        AutoMode auto = New();
        var path = new SimulatedPath(auto) { PerConnection = 35e6, IsUnlimited = true, IsLossBased = isLossBased };
        path.Run(60);
        Assert.Contains(isLossBased ? "grows slowly" : "may not fill", path.Decisions[0].Why, StringComparison.Ordinal);
        Assert.Equal(isLossBased ? 4 : 2, path.Decisions[0].Plan.Connections);
        Assert.True(path.Trace.First(t => t.Connections > 1).At.TotalSeconds < second, $"{path.Trace.First(t => t.Connections > 1)}");
        Assert.Equal(4, auto.Plan.Connections);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Where_one_connection_fills_the_line_more_are_tried_ever_more_rarely_and_never_kept(bool kernel)
    {
        AutoMode auto = New();
        var path = new SimulatedPath(auto) { RoundTrip = TimeSpan.FromMilliseconds(20), HasKernel = kernel, Noise = 0.03 };
        path.Run(600);
        Assert.Equal(LanePlan.Sequential, auto.Plan);
        // A try and its end, after 10, 20, 40, 80, 160, 300 s.
        Assert.InRange(path.Decisions.Count, 2, 14);
        Assert.InRange(path.Trace.Count(t => t.Connections > 1) / (double)path.Trace.Count, 0, 0.05);
    }

    [Fact]
    public void Nearby_nothing_is_tried_with_two_processors()
    {
        AutoMode auto = New();
        var path = new SimulatedPath(auto) { RoundTrip = TimeSpan.FromMilliseconds(0.1), Line = 1.2e9, PerConnection = 1e9 };
        path.Run(120);
        Assert.Empty(path.Decisions);
    }

    [Fact]
    public void Nearby_another_processor_is_tried_and_kept_if_it_helps()
    {
        AutoMode auto = New(processors: 8);
        var path = new SimulatedPath(auto) { RoundTrip = TimeSpan.FromMilliseconds(0.1), Line = 2.4e9, PerConnection = 1e9, Disk = 5e9 };
        path.Run(120);
        Assert.Equal(3, auto.Plan.Connections);
    }

    [Fact]
    public void A_disk_slower_than_the_path_asks_for_no_connection_and_gives_back_what_there_are()
    {
        AutoMode auto = New();
        var path = new SimulatedPath(auto) { PerConnection = 35e6 };
        path.Run(10);
        Assert.Equal(4, auto.Plan.Connections);
        path.Disk = 10e6;
        path.Run(30);
        Assert.Equal(LanePlan.Sequential, auto.Plan);
        Assert.Contains(path.Decisions, d => d.Why.Contains("disk", StringComparison.Ordinal));
        path.Disk = 2e9;
        path.Run(60);
        Assert.InRange(auto.Plan.Connections, 4, 5);
    }

    [Fact]
    public void Lanes_that_have_handed_out_their_last_chunk_do_not_wait_for_the_disk()
    {
        AutoMode auto = New();
        var path = new SimulatedPath(auto) { PerConnection = 35e6 };
        path.Run(10);
        LanePlan before = auto.Plan;
        path.Disk = 0;
        path.Run(10);
        Assert.Equal(before, auto.Plan);
        Assert.DoesNotContain(path.Decisions, decision => decision.Why.Contains("disk", StringComparison.Ordinal));
    }

    [Fact]
    public void Connections_that_a_narrower_line_does_not_need_are_dropped()
    {
        AutoMode auto = New();
        var path = new SimulatedPath(auto) { PerConnection = 35e6 };
        path.Run(10);
        path.Line = 30e6;
        path.Run(1800);
        Assert.InRange(auto.Plan.Connections, 1, 2);
    }

    [Fact]
    public void Nothing_is_concluded_while_the_transfer_is_held_back()
    {
        AutoMode auto = New();
        var path = new SimulatedPath(auto) { PerConnection = 35e6, IsHeldBack = true };
        path.Run(60);
        Assert.Empty(path.Decisions);
        path.IsHeldBack = false;
        path.Run(10);
        Assert.Equal(4, auto.Plan.Connections);
    }

    [Fact]
    public void A_peer_that_takes_no_further_connection_is_not_asked_all_the_time()
    {
        AutoMode auto = New();
        var path = new SimulatedPath(auto) { PerConnection = 35e6 };
        path.Run(3);
        Assert.NotEqual(1, auto.Plan.Connections);
        AutoDecision decision = auto.Refused(path.Now, 1, "no address is known")!.Value;
        Assert.Equal(1, decision.Plan.Connections);
        Assert.Contains("no address is known", decision.Why, StringComparison.Ordinal);
        int before = path.Decisions.Count;
        path.Run(50);
        Assert.Equal(before, path.Decisions.Count);
        path.Run(20);
        Assert.NotEqual(before, path.Decisions.Count);
    }

    [Fact]
    public void Streams_follow_the_files_in_both_directions_and_do_not_flutter()
    {
        AutoMode auto = New();
        var path = new SimulatedPath(auto) { RoundTrip = TimeSpan.FromMilliseconds(1), ChunkBytes = 4096 };
        path.Run(5);
        Assert.Equal(new LanePlan(1, 4), auto.Plan);
        path.ChunkBytes = 300_000;
        path.Run(30);
        Assert.Equal(new LanePlan(1, 4), auto.Plan);
        path.ChunkBytes = 1 << 20;
        path.Run(5);
        Assert.Equal(LanePlan.Sequential, auto.Plan);
        int before = path.Decisions.Count;
        for (int i = 0; i < 40; i++)
        {
            path.ChunkBytes = i % 2 == 0 ? 4096 : 1 << 20;
            path.Run(0.5);
        }

        Assert.InRange(path.Decisions.Count - before, 0, 1);
    }

    [Fact]
    public void A_number_of_connections_that_was_asked_for_stays()
    {
        var auto = new AutoMode(new LanePlan(3, 1), 3, 3, 4, 2);
        var path = new SimulatedPath(auto) { PerConnection = 35e6 };
        path.Run(300);
        path.Disk = 1e6;
        path.Run(300);
        Assert.Equal(3, auto.Plan.Connections);
    }

    [Fact]
    public void The_first_decision_by_shape_can_be_corrected_while_nothing_is_measured()
    {
        AutoMode auto = New();
        Assert.Equal(new LanePlan(1, 4), auto.Reshape(TimeSpan.FromSeconds(1), new LanePlan(1, 4), "many files")!.Value.Plan);
        Assert.Null(auto.Reshape(TimeSpan.FromSeconds(1), new LanePlan(1, 4), "the same"));
        Assert.Null(auto.Reshape(TimeSpan.FromSeconds(3), LanePlan.Sequential, "late"));
    }

    private static AutoMode New(int processors = 2) => new(LanePlan.Sequential, 1, 16, 4, processors);
}
