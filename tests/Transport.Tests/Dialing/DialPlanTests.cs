using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Dialing;

public sealed class DialPlanTests
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(15);

    private static DialCandidate Near(int n) => new(Multiaddr.Parse($"/ip4/192.168.1.{n}/tcp/4001"), AddressScope.Private);

    private static DialCandidate Near6(int n) => new(Multiaddr.Parse($"/ip6/fd00::{n}/tcp/4001"), AddressScope.Private);

    private static DialCandidate Far(int n) => new(Multiaddr.Parse($"/ip4/8.8.8.{n}/tcp/4001"), AddressScope.Public);

    private static DialCandidate Here(int n) => new(Multiaddr.Parse($"/ip4/127.0.0.1/tcp/{n}"), AddressScope.Host);

    private static TimeSpan Ms(int milliseconds) => TimeSpan.FromMilliseconds(milliseconds);

    // Lets time pass until everything was started that starts by itself, and says when it was.
    private static List<(string Address, int At)> Starts(DialPlan plan, int until = 14_000)
    {
        var starts = new List<(string, int)>();
        for (int now = 0; now <= until; now++)
        {
            while (plan.Next(Ms(now)) is { Kind: DialStepKind.Connect } step) starts.Add((step.Target!.Address.ToString(), now));
        }

        return starts;
    }

    private static DialTarget Step(DialPlan plan, DialStepKind kind, int at)
    {
        DialStep step = plan.Next(Ms(at));
        Assert.Equal(kind, step.Kind);
        return step.Target!;
    }

    [Fact]
    public void Near_addresses_start_first_and_families_alternate()
    {
        var plan = new DialPlan(TimeSpan.Zero, Timeout);
        plan.Add([Far(1), Near(1), Near(2), Near6(1), Here(7), Far(2)], TimeSpan.Zero);
        Assert.Equal(
            [
                ("/ip4/127.0.0.1/tcp/7", 0), ("/ip6/fd00::1/tcp/4001", 30),
                ("/ip4/192.168.1.1/tcp/4001", 60), ("/ip4/192.168.1.2/tcp/4001", 90),
                ("/ip4/8.8.8.1/tcp/4001", 100), ("/ip4/8.8.8.2/tcp/4001", 350),
            ],
            Starts(plan));
    }

    [Fact]
    public void Public_addresses_alone_start_at_once()
    {
        var plan = new DialPlan(TimeSpan.Zero, Timeout);
        plan.Add([Far(1), Far(2)], TimeSpan.Zero);
        Assert.Equal([("/ip4/8.8.8.1/tcp/4001", 0), ("/ip4/8.8.8.2/tcp/4001", 250)], Starts(plan));
    }

    [Fact]
    public void No_more_than_eight_are_under_way()
    {
        var plan = new DialPlan(TimeSpan.Zero, Timeout);
        plan.Add(Enumerable.Range(1, 20).Select(Near), TimeSpan.Zero);
        Assert.Equal(8, Starts(plan).Count);
        plan.Failed(plan.Targets[3], TransportError.ConnectionRefused, "refused", Ms(14_001));
        Assert.Equal("/ip4/192.168.1.9/tcp/4001", Step(plan, DialStepKind.Connect, 14_001).Address.ToString());
        Assert.Equal(DialStepKind.Wait, plan.Next(Ms(14_001)).Kind);
    }

    [Fact]
    public void A_failure_lets_the_next_address_start_at_once()
    {
        var plan = new DialPlan(TimeSpan.Zero, Timeout);
        plan.Add([Far(1), Far(2), Far(3)], TimeSpan.Zero);
        DialTarget first = Step(plan, DialStepKind.Connect, 0);
        Assert.Equal(new DialStep(DialStepKind.Wait, Until: Ms(250)), plan.Next(Ms(10)));
        plan.Failed(first, TransportError.ConnectionRefused, "refused", Ms(10));
        Step(plan, DialStepKind.Connect, 10);
        Assert.Equal(new DialStep(DialStepKind.Wait, Until: Ms(500)), plan.Next(Ms(10)));
    }

    [Fact]
    public void One_handshake_runs_at_a_time_and_holds_back_the_rest()
    {
        var plan = new DialPlan(TimeSpan.Zero, Timeout);
        plan.Add([Near(1), Near(2), Near(3)], TimeSpan.Zero);
        DialTarget first = Step(plan, DialStepKind.Connect, 0);
        DialTarget second = Step(plan, DialStepKind.Connect, 30);
        plan.Connected(second);
        plan.Connected(first);
        Assert.Equal(first, Step(plan, DialStepKind.Upgrade, 40)); // the nearer one, although it came later
        Assert.Equal(new DialStep(DialStepKind.Wait, Until: Ms(290)), plan.Next(Ms(40)));
        Assert.Equal(new DialStep(DialStepKind.Wait, Until: Ms(290)), plan.Next(Ms(289)));
        Assert.Equal(second, Step(plan, DialStepKind.Upgrade, 290)); // the first hangs
    }

    [Fact]
    public void Handshakes_that_hang_keep_no_place_from_other_addresses()
    {
        var plan = new DialPlan(TimeSpan.Zero, Timeout);
        plan.Add(Enumerable.Range(1, 9).Select(Near), TimeSpan.Zero);
        Assert.Equal(8, Starts(plan, until: 500).Count);
        int now = 500;
        for (int i = 0; i < 8; i++)
        {
            plan.Connected(plan.Targets[i]);
            Assert.Equal(plan.Targets[i], Step(plan, DialStepKind.Upgrade, now));
            Assert.Equal(DialStepKind.Wait, plan.Next(Ms(now)).Kind); // held back: this one may be about to succeed
            now += (int)DialPlan.UpgradeHold.TotalMilliseconds;
        }

        Assert.Equal("/ip4/192.168.1.9/tcp/4001", Step(plan, DialStepKind.Connect, now).Address.ToString());
    }

    [Fact]
    public void A_dial_that_had_to_wait_for_its_turn_has_all_its_time_left()
    {
        var plan = new DialPlan(TimeSpan.Zero, Timeout);
        plan.Add([Far(1), Near(1), Near(2)], TimeSpan.Zero);
        plan.Begin(Ms(20_000));
        Assert.Equal(Ms(35_000), plan.Deadline);
        Assert.Equal("/ip4/192.168.1.1/tcp/4001", Step(plan, DialStepKind.Connect, 20_000).Address.ToString());
        Assert.Equal(new DialStep(DialStepKind.Wait, Until: Ms(20_030)), plan.Next(Ms(20_000)));
    }

    [Fact]
    public void A_failed_handshake_frees_the_next_at_once()
    {
        var plan = new DialPlan(TimeSpan.Zero, Timeout);
        plan.Add([Near(1), Near(2)], TimeSpan.Zero);
        DialTarget first = Step(plan, DialStepKind.Connect, 0);
        DialTarget second = Step(plan, DialStepKind.Connect, 30);
        plan.Connected(first);
        Step(plan, DialStepKind.Upgrade, 31);
        plan.Connected(second);
        plan.Failed(first, TransportError.PeerIdMismatch, "somebody else", Ms(35));
        Assert.Equal(second, Step(plan, DialStepKind.Upgrade, 35));
    }

    [Fact]
    public void Addresses_that_come_late_join_behind_those_known()
    {
        var plan = new DialPlan(TimeSpan.Zero, Timeout);
        plan.Add([Near(1)], TimeSpan.Zero);
        Step(plan, DialStepKind.Connect, 0);
        plan.Add([Near(1), Near(2), Far(1)], Ms(5));
        Assert.Equal(3, plan.Targets.Count);
        Assert.Equal([("/ip4/192.168.1.2/tcp/4001", 30), ("/ip4/8.8.8.1/tcp/4001", 100)], Starts(plan));
    }

    [Fact]
    public void An_address_that_comes_after_all_failed_is_tried()
    {
        var plan = new DialPlan(TimeSpan.Zero, Timeout);
        plan.Add([Near(1)], TimeSpan.Zero);
        plan.Failed(Step(plan, DialStepKind.Connect, 0), TransportError.ConnectionRefused, "refused", Ms(1));
        Assert.Equal(DialStepKind.Exhausted, plan.Next(Ms(1)).Kind);
        plan.Add([Far(9)], Ms(2));
        Step(plan, DialStepKind.Connect, 2);
    }

    [Fact]
    public void An_address_is_tried_once()
    {
        var plan = new DialPlan(TimeSpan.Zero, Timeout);
        plan.Add([Near(1), Near(1)], TimeSpan.Zero);
        plan.Failed(Step(plan, DialStepKind.Connect, 0), TransportError.ConnectionRefused, "refused", Ms(1));
        plan.Add([Near(1)], Ms(2));
        Assert.Equal(DialStepKind.Exhausted, plan.Next(Ms(2)).Kind);
    }

    [Fact]
    public void The_number_of_addresses_is_bounded()
    {
        var plan = new DialPlan(TimeSpan.Zero, Timeout);
        plan.Add(Enumerable.Range(1, 250).Select(Near), TimeSpan.Zero);
        Assert.Equal(DialPlan.MaxTargets, plan.Targets.Count);
    }

    [Fact]
    public void At_the_deadline_every_address_has_a_cause()
    {
        var plan = new DialPlan(TimeSpan.Zero, Timeout);
        plan.Add(Enumerable.Range(1, 10).Select(Near), TimeSpan.Zero);
        Starts(plan);
        plan.Connected(plan.Targets[0]);
        Step(plan, DialStepKind.Upgrade, 14_500);
        plan.Failed(plan.Targets[1], TransportError.ConnectionRefused, "refused", Ms(14_600));
        Assert.Equal(DialStepKind.Expired, plan.Next(Timeout).Kind);
        IReadOnlyList<DialAttempt> attempts = plan.Attempts();
        Assert.Equal(10, attempts.Count);
        Assert.Equal(TransportError.ConnectionRefused, attempts[1].Error);
        Assert.All(attempts.Where((_, i) => i != 1), a => Assert.Equal(TransportError.Timeout, a.Error));
        Assert.Contains("security", attempts[0].Message, StringComparison.Ordinal);
        Assert.Contains("not tried", attempts[9].Message, StringComparison.Ordinal);
    }
}
