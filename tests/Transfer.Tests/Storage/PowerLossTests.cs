using System.Globalization;
using FastShare.Testing.Storage;

namespace FastShare.Transfer.Tests.Storage;

/// <summary>
/// What power cuts leave, and what recovery makes of it. FASTSHARE_CRASH_STATES sets how many states are tried (10,000 otherwise);
/// FASTSHARE_CRASH_SEED=run:state replays the one that a failure names.
/// </summary>
public class PowerLossTests
{
    private const int StatesPerRun = 100;

    [Fact]
    public void Nothing_that_a_power_cut_leaves_costs_a_byte()
    {
        if (Environment.GetEnvironmentVariable("FASTSHARE_CRASH_SEED") is { Length: > 0 } replayed)
        {
            int[] seeds = [.. replayed.Split(':').Select(number => int.Parse(number, CultureInfo.InvariantCulture))];
            CrashRun.Record(seeds[0]).Check(seeds[1]);
            return;
        }

        int states = int.TryParse(Environment.GetEnvironmentVariable("FASTSHARE_CRASH_STATES"), out int asked) ? asked : 10_000;
        int next = -1;
        string? wrong = null;
        // On threads of their own: they wait for what the pool's threads do, and would otherwise take all of those for themselves.
        Thread[] workers = [.. Enumerable.Range(0, Environment.ProcessorCount).Select(_ => new Thread(() =>
        {
            for (int seed; wrong is null && (seed = Interlocked.Increment(ref next)) < states / StatesPerRun;)
            {
                if (TryAll(seed) is { } bad) Interlocked.CompareExchange(ref wrong, bad, null);
            }
        }))];
        foreach (Thread worker in workers) worker.Start();
        foreach (Thread worker in workers) worker.Join();
        Assert.Null(wrong);
    }

    private static string? TryAll(int run)
    {
        try
        {
            return FirstBad(run, CrashRun.Record(run));
        }
        catch (Exception e)
        {
            return $"run {run} could not be recorded: {e}";
        }
    }

    /// <summary>A store without one of its syncs is found out: the simulation sees what it is there to see.</summary>
    [Theory]
    [InlineData("content not synced before the journal claims it", "SyncData", "0", "SyncAll", "")]
    [InlineData("content not synced before the rename", "SyncFile", "0")]
    [InlineData("batches not synced before the rename", "SyncAll", "")]
    [InlineData("folders not synced", "SyncFolder", "")]
    [InlineData("slots not synced", "SyncData", "journal-a", "SyncData", "journal-b")]
    [InlineData("log not synced before the slot", "SyncData", "journal-log")]
    public void A_store_that_leaves_a_sync_out_is_found_out(string what, params string[] ignored)
    {
        bool Ignores(string kind, string name) => Enumerable.Range(0, ignored.Length / 2)
            .Any(i => ignored[2 * i] == kind && name.StartsWith(ignored[2 * i + 1], StringComparison.Ordinal));
        bool found = Enumerable.Range(0, 40).Any(seed => FirstBad(seed, CrashRun.Record(seed, Ignores)) is not null);
        Assert.True(found, $"not found out: {what}");
    }

    private static string? FirstBad(int run, CrashRun recorded)
    {
        for (int state = 0; state < StatesPerRun; state++)
        {
            try
            {
                recorded.Check(state);
            }
            catch (Exception e)
            {
                return $"replay with FASTSHARE_CRASH_SEED={run}:{state} and -method '*Nothing_that_a_power_cut*': {e}";
            }
        }

        return null;
    }
}
