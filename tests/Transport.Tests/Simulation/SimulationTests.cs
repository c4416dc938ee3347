using System.Globalization;

namespace FastShare.Transport.Tests.Simulation;

/// <summary>Worlds by the thousand: dialer, connection table and request queue in virtual time.</summary>
/// <remarks>
/// <c>FASTSHARE_SIMULATION_SEEDS</c> is how many (1,000 without it), <c>FASTSHARE_SIMULATION_SEED</c> is the one to replay with its trace.
/// </remarks>
public sealed class SimulationTests
{
    private const string SeedsVariable = "FASTSHARE_SIMULATION_SEEDS";
    private const string SeedVariable = "FASTSHARE_SIMULATION_SEED";

    [Fact]
    public void Every_promise_holds_in_every_world()
    {
        if (Number(SeedVariable) is { } one)
        {
            Replay((ulong)one);
            return;
        }

        int seeds = (int)(Number(SeedsVariable) ?? 1_000);
        (ulong Seed, Exception Error)? failure = FirstFailure(Fault.None, seeds);
        if (failure is { } found) Assert.Fail(Report(found.Seed, found.Error));
    }

    [Fact]
    public void Both_sides_dialing_at_once_fails_no_request_and_leaves_one_connection()
    {
        int crossed = 0;
        for (ulong seed = 1; seed <= 1_000; seed++)
        {
            try
            {
                if (new SimulatedWorld(seed, isCalm: true).RunSimultaneousDials()) crossed++;
            }
            catch (InvariantException e)
            {
                Assert.Fail($"seed {seed}: {e.Message}");
            }
        }

        Assert.True(crossed > 200, $"only {crossed} of 1,000 pairs made two connections");
    }

    // A simulation in which nothing happens would find nothing either.
    [Fact]
    public void The_worlds_see_what_they_are_there_for()
    {
        var seen = new HashSet<string>();
        for (ulong seed = 1; seed <= 200; seed++)
        {
            var world = new SimulatedWorld(seed);
            world.Run();
            seen.UnionWith(world.Seen);
        }

        string[] wanted =
        [
            "a second dial to a peer", "an unmet condition", "a caller that goes over to another dial", "a dial that failed",
            "a connection that comes in while the peer is dialed", "a surplus connection that is retired",
            "a dial refused: LimitExceeded", "a dial refused: AccessDenied", "a connection refused: LimitExceeded",
            "a request that waits for room", "a request repeated",
            "a request that goes on to the next connection",
            "a request that failed: DialFailure while Dialing", "a request that failed: Timeout while Dialing",
            "a request that failed: Timeout while Queued", "a request that failed: Timeout while Receiving",
            "a request that failed: ConnectionClosed while Receiving", "a request that failed: Io while Receiving",
            "a request that failed: UnsupportedProtocols while Negotiating", "a request that failed: QueueFull while Queued",
            "a request that failed: Cancelled while Dialing", "a request that failed: Cancelled while Receiving",
        ];
        Assert.Empty(wanted.Except(seen));
    }

    [Fact]
    public void The_same_seed_gives_the_same_trace()
    {
        for (ulong seed = 1; seed <= 25; seed++)
        {
            string first = TraceOf(seed), second = TraceOf(seed);
            Assert.NotEmpty(first);
            Assert.Equal(first, second);
        }
    }

    [Fact]
    public void The_suite_catches_the_original_bug_where_each_dial_error_clears_the_queue() =>
        The_suite_catches(Fault.EachDialErrorClearsTheQueue);

    [Theory]
    [InlineData(Fault.SecondDialIsRefused)]
    [InlineData(Fault.InboundDoesNotCompleteTheDial)]
    [InlineData(Fault.AnyWaiterCancelsTheDial)]
    [InlineData(Fault.DialsGoOnWithoutWaiters)]
    [InlineData(Fault.FirstErrorEndsTheDial)]
    [InlineData(Fault.FailingDialFailsOthers)]
    [InlineData(Fault.LostConnectionsStayListed)]
    [InlineData(Fault.RepeatsWhatMustNotBe)]
    [InlineData(Fault.ForgetsRequestsOfLostConnections)]
    [InlineData(Fault.RequestsIgnoreInboundConnections)]
    [InlineData(Fault.DeadlinesAreLate)]
    [InlineData(Fault.StreamLimitIsIgnored)]
    [InlineData(Fault.QueueHasNoBound)]
    [InlineData(Fault.CancellingOneCancelsAll)]
    [InlineData(Fault.SurplusStays)]
    [InlineData(Fault.BothSidesCloseTheirOwn)]
    internal void The_suite_catches(Fault fault)
    {
        (ulong Seed, Exception Error)? failure = FirstFailure(fault, 1_000);
        Assert.True(failure is not null, $"{fault} was not found within 1,000 seeds");
        Assert.IsType<InvariantException>(failure.Value.Error);
        TestContext.Current.TestOutputHelper?.WriteLine($"{fault}: seed {failure.Value.Seed}: {failure.Value.Error.Message}");
    }

    // The lowest seed that fails.
    private static (ulong Seed, Exception Error)? FirstFailure(Fault fault, int seeds)
    {
        var gate = new Lock();
        (ulong Seed, Exception Error)? first = null;
        Parallel.For(1, seeds + 1, (seed, loop) =>
        {
            try
            {
                new SimulatedWorld((ulong)seed, fault).Run();
            }
            catch (Exception e)
            {
                lock (gate)
                {
                    if (first is null || (ulong)seed < first.Value.Seed) first = ((ulong)seed, e);
                }

                loop.Break(); // lower seeds are still run
            }
        });
        return first;
    }

    private static void Replay(ulong seed)
    {
        var world = new SimulatedWorld(seed, trace: true);
        try
        {
            world.Run();
        }
        finally
        {
            Console.Out.Write(world.Trace.Text);
        }
    }

    private static string TraceOf(ulong seed)
    {
        var world = new SimulatedWorld(seed, trace: true);
        world.Run();
        return world.Trace.Text;
    }

    private static string Report(ulong seed, Exception error)
    {
        var world = new SimulatedWorld(seed, trace: true);
        string again = "did not fail again: the simulation is not deterministic";
        try
        {
            world.Run();
        }
        catch (Exception e)
        {
            again = e.Message;
        }

        string last = string.Join(Environment.NewLine, world.Trace.Text.Split(Environment.NewLine).TakeLast(40));
        return $"""
            seed {seed}: {error.Message}
            replayed: {again}
            whole trace: {SeedVariable}={seed} dotnet run --project tests/Transport.Tests -- -method "*Every_promise*"
            its end:
            {last}
            {error}
            """;
    }

    private static long? Number(string variable) =>
        Environment.GetEnvironmentVariable(variable) is { Length: > 0 } text ? long.Parse(text, CultureInfo.InvariantCulture) : null;
}
