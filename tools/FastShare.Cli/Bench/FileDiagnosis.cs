using System.Globalization;
using FastShare.Cli.Parsing;

namespace FastShare.Cli.Bench;

/// <summary>Names what held a file back, from disk to disk: a pure function of what was measured.</summary>
internal static class FileDiagnosis
{
    /// <summary>A part of the time, or more, that counts as mostly.</summary>
    private const double Mostly = 0.5;

    /// <summary>A file that moves at so much of the rate from memory to memory, or more, is limited by what limits that.</summary>
    private const double Same = 0.8;

    /// <summary>So busy is one core that has nothing left to give.</summary>
    private const double FullCore = 0.85;

    /// <param name="measured">With <see cref="BenchMeasurement.File"/>.</param>
    /// <param name="sending">What limits sending from memory to memory.</param>
    public static Limit Of(BenchMeasurement measured, IReadOnlyList<Limit> sending)
    {
        FileRun run = measured.File ?? throw new ArgumentException("no file was sent", nameof(measured));
        double reading = Part(run, run.Sender, "reading"), starved = Part(run, run.Sender, "waitingForChunks");
        double writing = Part(run, run.Receiver, "storing", "syncing", "publishing", "waitingForDisk");
        // A processor that has nothing left makes every stage slow; where it has, the slow stage is what waits for something else.
        if (Diagnosis.IsSaturated(run.Cores, run.MachineBusy, measured.Processors)) return Processor(measured, run);
        if (reading >= Mostly && starved >= Mostly && reading >= writing) return Reading(run, reading, starved);
        if (writing >= Mostly) return Writing(run, writing);
        if (Part(run, run.Sender, "hashing") >= FullCore) return Hashing(measured, run);
        double memory = sending.Count > 0 ? sending[0].BytesPerSecond : 0;
        bool waitsForPath = Part(run, run.Sender, "waitingForPath") >= Mostly;
        if ((waitsForPath || run.BytesPerSecond >= Same * memory) && sending is [{ Kind: not LimitKind.Unclear } first, ..])
        {
            return first with
            {
                BytesPerSecond = run.BytesPerSecond,
                Why = $"the file moved at {Rate(run.BytesPerSecond)}, its start and end included, held back by what limits {Rate(memory)} from memory to "
                    + $"memory: {first.Why}",
            };
        }

        double noCredit = Part(run, run.Sender, "waitingForWindow");
        return run.Receiver is null && noCredit >= Mostly ? Unseen(run, noCredit, memory) : Unclear(run);
    }

    private static Limit Processor(BenchMeasurement measured, FileRun run)
    {
        string busy = Percent(run.MachineBusy ?? run.Cores / measured.Processors);
        string both = run.Receiver is null ? "" : " on both sides, which are here";
        return new Limit(
            LimitKind.Processor, run.BytesPerSecond,
            string.Create(
                CultureInfo.InvariantCulture,
                $"at {Rate(run.BytesPerSecond)} {Diagnosis.AllCores(measured.Processors)} busy {busy} of the time: this program used "
                    + $"{run.Cores:0.0}{both}, {Percent(run.CipherPart)} of the sender's for the cipher; reading and writing files costs processor time too"),
            "End what else runs here, or use a faster processor, or one with more cores");
    }

    private static Limit Reading(FileRun run, double reading, double starved) => new(
        LimitKind.Disk, run.BytesPerSecond,
        $"reading the file here took {Percent(reading)} of the time, and streams had nothing to send {Percent(starved)} of it",
        "Read from a faster disk, or end what else uses this one");

    private static Limit Writing(FileRun run, double writing) => new(
        LimitKind.Writing, run.BytesPerSecond,
        $"the other side spent {Percent(writing)} of the time on writing and syncing "
            + $"(writing {Seconds(run, "storing")}, syncing {Seconds(run, "syncing")} of {Duration.Format(run.Time)})",
        "Receive onto a faster disk (--dir), or end what else uses that one");

    private static Limit Hashing(BenchMeasurement measured, FileRun run) => new(
        LimitKind.Hash, run.BytesPerSecond,
        $"hashing took {Percent(Part(run, run.Sender, "hashing"))} of the time; one core hashes {Rate(measured.HashBytesPerSecond)}",
        "Send several files at once (--mode parallel): each is hashed by a core of its own");

    private static Limit Unseen(FileRun run, double noCredit, double memory) => new(
        LimitKind.OtherSide, run.BytesPerSecond,
        $"the other side took the file at {Rate(run.BytesPerSecond)} and what it need not write at {Rate(memory)}: this machine waited for its "
            + $"credit {Percent(noCredit)} of the time",
        "See what its disk can do: run fastshare bench on that machine, without --to, with --dir on that disk");

    private static Limit Unclear(FileRun run)
    {
        // Nothing arrives here while it goes out: that waiting says nothing.
        var longest = run.Sender.Where(stage => stage.Key != "waitingForBytes").Select(stage => (Side: "here", stage.Key, stage.Value))
            .Concat((run.Receiver ?? new Dictionary<string, double>()).Select(stage => (Side: "there", stage.Key, stage.Value)))
            .OrderByDescending(stage => stage.Value).Take(2).Select(stage => $"{stage.Key} {stage.Side} {Percent(stage.Value / Total(run))}");
        return new Limit(
            LimitKind.Unclear, run.BytesPerSecond, $"the file moved at {Rate(run.BytesPerSecond)}; the longest stages: {string.Join(", ", longest)} of the time",
            "Run it again with a larger file (--size 4GiB)");
    }

    private static double Part(FileRun run, IReadOnlyDictionary<string, double>? stages, params ReadOnlySpan<string> names)
    {
        double seconds = 0;
        foreach (string name in names) seconds += stages?.GetValueOrDefault(name) ?? 0;
        return seconds / Total(run);
    }

    private static double Total(FileRun run) => Math.Max(run.Time.TotalSeconds, 1e-6);

    private static string Seconds(FileRun run, string stage) => Duration.Format(TimeSpan.FromSeconds(run.Receiver?.GetValueOrDefault(stage) ?? 0));

    // More than the whole time: several at once.
    private static string Percent(double part) => (100 * part).ToString("0", CultureInfo.InvariantCulture) + " %";

    private static string Rate(double bytesPerSecond) => ByteSize.FormatRateInBits(bytesPerSecond);
}
