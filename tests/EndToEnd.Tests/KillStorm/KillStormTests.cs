using System.Globalization;
using FastShare.EndToEnd.Tests.Processes;

namespace FastShare.EndToEnd.Tests.KillStorm;

/// <summary>
/// Sender and receiver, real processes, killed again and again. By default 20 rounds of a tree that is small enough for every run.
/// <c>FASTSHARE_KILL_TREE=large</c> takes one of 10,000 files and 2 GiB, <c>FASTSHARE_KILL_ROUNDS</c> another number of rounds,
/// <c>FASTSHARE_KILL_SEED</c> begins at that seed, and replays only that one where no number is given.
/// </summary>
public sealed class KillStormTests(ITestOutputHelper output) : IDisposable
{
    private const int Rounds = 20;

    /// <summary>What a crash may cost: <c>ReceiveStoreOptions.CheckpointBytes</c>.</summary>
    private const long Checkpoint = 64 << 20;

    /// <summary>Journals, command output, and the chunks that writers are at while the checkpoint's measure is full.</summary>
    private const long Beside = 16 << 20;

    private static readonly StormSize _small = new(300, 96 << 20, MostKills: 2);
    private static readonly StormSize _large = new(10_000, 2L << 30, MostKills: 3);

    private readonly TestFolder _folder = new();

    [Fact]
    public async Task Whoever_is_killed_whenever_everything_arrives_right_and_no_name_is_ever_partial()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "what a process wrote is read from /proc");
        int? asked = Number("FASTSHARE_KILL_ROUNDS");
        int? replayed = Number("FASTSHARE_KILL_SEED");
        int first = replayed ?? 1, rounds = asked ?? (replayed is null ? Rounds : 1);
        bool isLarge = Environment.GetEnvironmentVariable("FASTSHARE_KILL_TREE") == "large";
        StormSize size = isLarge ? _large : _small;
        var tree = new StormTree(_folder["tree"], size);
        var all = new List<StormFigures>();
        for (int seed = first; seed < first + rounds; seed++)
        {
            StormFigures figures;
            try
            {
                await using var round = new StormRound(_folder, tree, size.MostKills, seed);
                figures = await round.RunAsync();
                int kills = figures.ReceiverKills;
                long allowed = (kills * (Checkpoint + Beside)) + Beside;
                Assert.True(figures.WrittenAgain <= allowed, $"{figures.WrittenAgain} bytes came again after {kills} kills of the receiver");
            }
            catch (Exception e)
            {
                string replay = $"FASTSHARE_KILL_SEED={seed}{(isLarge ? " FASTSHARE_KILL_TREE=large" : "")}";
                throw new InvalidOperationException($"round {seed}, to be had again with {replay}: {e.Message}", e);
            }

            all.Add(figures);
            if (asked is not null) output.WriteLine($"round {seed}: {figures}"); // shown while it runs with -showLiveOutput
        }

        output.WriteLine(
            $"{all.Count} rounds, kills: sender {all.Sum(f => f.SenderKills)}, receiver {all.Sum(f => f.ReceiverKills)}; "
            + $"written again per kill of the receiver: at most {all.Max(f => f.WrittenAgain / Math.Max(1, f.ReceiverKills)) >> 20} MiB; "
            + $"sent again by the last sender of a round: at most {all.Max(f => f.SentAgain) >> 20} MiB");
        Assert.True(replayed is not null || all.Sum(f => f.SenderKills + f.ReceiverKills) >= rounds, "most kills came too late to be any");
    }

    private static int? Number(string variable) => Environment.GetEnvironmentVariable(variable) is { Length: > 0 } text
        ? int.Parse(text, CultureInfo.InvariantCulture)
        : null;

    public void Dispose() => _folder.Dispose();
}
