using System.Globalization;
using FastShare.Cli.Hosting;
using FastShare.Cli.Parsing;

namespace FastShare.Cli.Bench;

/// <summary>What can hold a transfer back.</summary>
internal enum LimitKind
{
    /// <summary>Reading the files.</summary>
    Disk,

    /// <summary>Writing and syncing files at the other side.</summary>
    Writing,

    /// <summary>Hashing chunks.</summary>
    Hash,

    /// <summary>All cores of this machine.</summary>
    Processor,

    /// <summary>One core of this machine: a connection does not use more.</summary>
    OneCore,

    /// <summary>What one connection may have on its way: buffers, receive windows, the congestion window.</summary>
    Window,

    /// <summary>Lost segments, which congestion control takes for congestion.</summary>
    Loss,

    /// <summary>The other machine.</summary>
    OtherSide,

    /// <summary>The rate of the path.</summary>
    Network,

    /// <summary>The path or the other machine: from here they look the same.</summary>
    Beyond,

    /// <summary>Nothing stands out.</summary>
    Unclear,
}

/// <summary>Something that holds transfers back.</summary>
/// <param name="Kind">What.</param>
/// <param name="BytesPerSecond">What it lets through.</param>
/// <param name="Why">How that shows in the measurements; a sentence without its full stop.</param>
/// <param name="Advice">What to change; likewise.</param>
internal sealed record Limit(LimitKind Kind, double BytesPerSecond, string Why, string Advice);

/// <summary>What holds each direction back, from memory to memory: one limit, or two that are about equal, the lower first.</summary>
internal sealed record Verdict(IReadOnlyList<Limit> Sending, IReadOnlyList<Limit> Receiving)
{
    /// <summary>What holds files back, from disk to disk; null: none was sent.</summary>
    public Limit? Files { get; init; }
}

/// <summary>Names the bottleneck: a pure function of what was measured.</summary>
internal static class Diagnosis
{
    /// <summary>Limits that differ by less than this part are about equal.</summary>
    private const double Tie = 0.1;

    /// <summary>Several connections have to carry so many times as much as one, to be worth it.</summary>
    private const double WorthIt = 1.3;

    /// <summary>A part of the time, or more, that counts as mostly, and one that is worth mentioning.</summary>
    private const double Mostly = 0.5, Noticeable = 0.3;

    /// <summary>So busy is a machine, or one core, that has nothing left to give.</summary>
    private const double Full = 0.92, FullCore = 0.85;

    /// <summary>A machine that is busy is the bottleneck only if this process has a fair part in it: so much of all cores.</summary>
    private const double FairPart = 0.2;

    /// <summary>Bytes a second that one core encrypts with AES instructions, at least.</summary>
    private const double SlowCipher = 1.5e9;

    /// <summary>Lost segments from which on loss-based congestion control is held back, of all.</summary>
    private const double Lossy = 0.0005;

    /// <summary>Round trips below this are of the same machine or a wired local network.</summary>
    private static readonly TimeSpan _near = TimeSpan.FromMilliseconds(2);

    /// <summary>From this round trip on, auto opens further connections by itself (docs/modes.md).</summary>
    private static readonly TimeSpan _auto = TimeSpan.FromMilliseconds(5);

    public static Verdict Of(BenchMeasurement measured)
    {
        Limit up = Way(measured, PerfDirection.Upload), down = Way(measured, PerfDirection.Download);
        // What arrives as fast as it goes out, where the path is what limits that, is limited by the path as well.
        if (down.Kind == LimitKind.Beyond && up.Kind == LimitKind.Network && Near(up.BytesPerSecond, down.BytesPerSecond, 0.25))
        {
            string why = $"the path carries {Rate(down.BytesPerSecond)} in this direction too, and this machine waits for what arrives";
            down = up with { BytesPerSecond = down.BytesPerSecond, Why = why };
        }

        List<Limit> sending = Lowest([up, .. Local(measured, up.BytesPerSecond)]);
        return new Verdict(sending, Lowest([down])) { Files = measured.File is null ? null : FileDiagnosis.Of(measured, sending) };
    }

    private static IEnumerable<Limit> Local(BenchMeasurement measured, double path)
    {
        if (measured.DiskBytesPerSecond is { } disk)
        {
            yield return new Limit(
                LimitKind.Disk, disk, $"the files can be read at {Rate(disk)}, and the way to the other side carries {Rate(path)}",
                "Read from a faster disk, or end what else uses this one");
        }

        yield return new Limit(
            LimitKind.Hash, measured.HashBytesPerSecond,
            $"one core hashes {Rate(measured.HashBytesPerSecond)}, and the way to the other side carries {Rate(path)}",
            "Send several files at once (--mode parallel): each is hashed by a core of its own");
    }

    private static List<Limit> Lowest(IEnumerable<Limit> limits)
    {
        Limit[] sorted = [.. limits.OrderBy(static limit => limit.BytesPerSecond)];
        return [.. sorted.Where(limit => limit.BytesPerSecond <= sorted[0].BytesPerSecond * (1 + Tie)).Take(2)];
    }

    /// <summary>What limits one direction, memory to memory.</summary>
    private static Limit Way(BenchMeasurement measured, PerfDirection direction)
    {
        BenchRun[] runs = [.. measured.Runs.Where(run => run.Direction == direction).OrderBy(static run => run.Connections)];
        if (runs.Length == 0 || runs.All(static run => run.Bytes == 0))
            return new Limit(LimitKind.Unclear, 0, "nothing was moved in this direction", "Run it again for longer (--seconds 10)");
        BenchRun one = runs[0], best = runs.MaxBy(static run => run.BytesPerSecond)!;
        bool several = best != one && best.BytesPerSecond >= one.BytesPerSecond * WorthIt;
        bool far = measured.RoundTrip >= _near;
        // Several connections that carry more over a far path say more than a processor that others keep busy.
        if (several && far && one.Cores < FullCore) return one.Repeated >= Lossy ? Loss(measured, one, best) : Window(measured, one, best);
        if (IsSaturated(best, measured.Processors)) return Processor(measured, best);
        bool oneCore = one.Connections == 1 && one.Cores >= FullCore && Waiting(one) < Noticeable;
        if (several && oneCore) return OneCore(one, best);
        if (several && far) return Window(measured, one, best);
        if (one.SendBufferLimited >= Mostly && far) return Window(measured, one, best);
        if (oneCore) return OneCore(one, best);
        return direction == PerfDirection.Upload ? Upload(measured, one, best) : Download(one, best);
    }

    private static Limit Upload(BenchMeasurement measured, BenchRun one, BenchRun best)
    {
        double noCredit = Math.Max(one.WaitingForWindow, one.ReceiveWindowLimited ?? 0);
        double noRoom = Math.Max(one.WaitingForPath, best.WaitingForPath);
        // What queues on the path takes longer; a machine that reads slowly still acknowledges at once.
        bool queues = one.LoadedRoundTrip is { } loaded && loaded >= 1.5 * measured.RoundTrip + TimeSpan.FromMilliseconds(0.5);
        bool pathIsFull = noRoom >= Mostly && (one.ReceiveWindowLimited ?? 0) < Noticeable;
        if (pathIsFull || (queues && noRoom + noCredit >= Mostly))
        {
            string queue = queues ? $"; the round trip rose from {Milliseconds(measured.RoundTrip)} to {Milliseconds(one.LoadedRoundTrip!.Value)}" : "";
            return new Limit(
                LimitKind.Network, best.BytesPerSecond,
                $"the path carries {Rate(best.BytesPerSecond)}, and one connection fills it: this machine waited for it "
                    + $"{Percent(Math.Min(1, noRoom + one.WaitingForWindow))} of the time and used {Cores(one)}{queue}",
                "A faster link, or a quieter one: neither more connections nor a faster machine help");
        }

        if (noCredit >= Mostly)
        {
            return new Limit(
                LimitKind.OtherSide, best.BytesPerSecond,
                $"the other side takes {Rate(best.BytesPerSecond)}: this machine waited for its credit {Percent(noCredit)} of the time and "
                    + $"used {Cores(one)}",
                "Look there: run fastshare bench on that machine too, and see what keeps its processor busy");
        }

        return Unclear(one, best);
    }

    private static Limit Download(BenchRun one, BenchRun best) => Math.Max(one.WaitingForBytes, best.WaitingForBytes) >= Mostly
        ? new Limit(
            LimitKind.Beyond, best.BytesPerSecond,
            $"{Rate(best.BytesPerSecond)} arrive, and this machine waited for more {Percent(Math.Max(one.WaitingForBytes, best.WaitingForBytes))} of the time",
            "Run fastshare bench on the other machine as well: sending, it can tell the network from itself")
        : Unclear(one, best);

    private static Limit Processor(BenchMeasurement measured, BenchRun best)
    {
        string busy = best.MachineBusy is { } machine ? Percent(machine) : Percent(best.Cores / measured.Processors);
        double others = Math.Max(0, (best.MachineBusy ?? 0) * measured.Processors - best.Cores - best.OtherCores);
        string here = best.OtherCores > 0 ? string.Create(CultureInfo.InvariantCulture, $", the other side here {best.OtherCores:0.0}") : "";
        string rest = others >= Noticeable ? string.Create(CultureInfo.InvariantCulture, $", other programs {others:0.0}") : "";
        string advice = best.CipherPart >= Mostly && measured.CipherBytesPerSecond < SlowCipher
            ? "Use processors with AES instructions on both sides, or more cores"
            : others >= best.Cores + best.OtherCores ? "End what else runs here, or use a faster processor" : "Use a faster processor, or one with more cores";
        return new Limit(
            LimitKind.Processor, best.BytesPerSecond,
            string.Create(
                CultureInfo.InvariantCulture,
                $"at {Rate(best.BytesPerSecond)} {AllCores(measured.Processors)} busy {busy} of the time: this program used "
                    + $"{best.Cores:0.0}, {Percent(best.CipherPart)} of that for the cipher{here}{rest}"),
            advice);
    }

    private static Limit OneCore(BenchRun one, BenchRun best)
    {
        bool several = best.BytesPerSecond >= one.BytesPerSecond * WorthIt;
        string gain = several ? $"; {Several(best)} carried {Rate(best.BytesPerSecond)}" : "";
        return new Limit(
            LimitKind.OneCore, best.BytesPerSecond,
            $"one connection keeps a core busy {Percent(Math.Min(1, one.Cores))} of the time, {Percent(one.CipherPart)} of that for the cipher, "
                + $"and carried {Rate(one.BytesPerSecond)}{gain}",
            several ? $"Use --connections {best.Connections} (auto does, with four processors or more)" : "Use a processor with faster cores");
    }

    private static Limit Window(BenchMeasurement measured, BenchRun one, BenchRun best)
    {
        bool upload = one.Direction == PerfDirection.Upload;
        string needed = ByteSize.Format((long)(2 * best.BytesPerSecond * measured.RoundTrip.TotalSeconds));
        (string what, string change) = true switch
        {
            _ when upload && one.SendBufferLimited >= Noticeable => (
                $"its send buffer was full {Percent(one.SendBufferLimited!.Value)} of the time",
                $", or let the kernel's send buffers grow to {needed} (net.ipv4.tcp_wmem)"),
            _ when upload && one.ReceiveWindowLimited >= Noticeable => (
                $"the other side's TCP window was full {Percent(one.ReceiveWindowLimited!.Value)} of the time",
                $", or let the other side's receive buffers grow to {needed} (net.ipv4.tcp_rmem)"),
            _ when upload && one.WaitingForWindow >= Noticeable => (
                $"its stream waited for credit {Percent(one.WaitingForWindow)} of the time", ""),
            _ when upload => ("its congestion window", ""),
            _ => ("the other side's send buffer, its congestion window, or this side's receive buffer", ""),
        };
        string gain = best.BytesPerSecond >= one.BytesPerSecond * WorthIt
            ? $"; {Several(best)} carried {Rate(best.BytesPerSecond)}" : $"; {Several(best)} did no better";
        return new Limit(
            LimitKind.Window, best.BytesPerSecond,
            $"one connection carried {Rate(one.BytesPerSecond)} over {Milliseconds(measured.RoundTrip)}, held back by what it may have on its way "
                + $"({what}){gain}",
            $"{By(upload)} {(best.Connections > one.Connections ? $"--mode parallel --connections {best.Connections}" : "more connections")}"
                + $"{(measured.RoundTrip >= _auto ? ": --mode auto does so by itself" : "")}{change}");
    }

    private static Limit Loss(BenchMeasurement measured, BenchRun one, BenchRun best) => new(
        LimitKind.Loss, best.BytesPerSecond,
        $"{Percent(one.Repeated!.Value, "0.00")} of the segments were sent again, which holds one connection back to {Rate(one.BytesPerSecond)} over "
            + $"{Milliseconds(measured.RoundTrip)}; {Several(best)} carried {Rate(best.BytesPerSecond)}",
        "Find what loses packets (wireless, cables, a rate limiter); where the kernel has BBR (modprobe tcp_bbr), transfers use it by themselves, and "
            + "--mode auto opens more connections");

    private static Limit Unclear(BenchRun one, BenchRun best) => new(
        LimitKind.Unclear, best.BytesPerSecond,
        string.Create(
            CultureInfo.InvariantCulture,
            $"{Rate(best.BytesPerSecond)} went through; this machine used {Cores(one)} and waited {Percent(Waiting(one))} of the time, so neither its "
                + $"processor nor what it waits for stands out"),
        "Run it again for longer (--seconds 10), and from the other side");

    private static bool IsSaturated(BenchRun run, int processors) => IsSaturated(run.Cores + run.OtherCores, run.MachineBusy, processors);

    /// <summary>Whether a machine has nothing left to give, and this process, with the other side if that is here too, has a fair part in that.</summary>
    internal static bool IsSaturated(double cores, double? machineBusy, int processors) =>
        cores >= Full * processors || (machineBusy >= Full && cores >= FairPart * processors);

    /// <summary>The processor, as a subject with its verb.</summary>
    internal static string AllCores(int processors) => processors == 1
        ? "the only core of this machine is" : string.Create(CultureInfo.InvariantCulture, $"the {processors} cores of this machine are");

    private static double Waiting(BenchRun run) =>
        run.Direction == PerfDirection.Upload ? Math.Max(run.WaitingForPath, run.WaitingForWindow) : run.WaitingForBytes;

    private static bool Near(double a, double b, double part) => Math.Abs(a - b) <= part * Math.Max(a, b);

    private static string By(bool upload) => upload ? "Send with" : "Let the other side send with";

    private static string Several(BenchRun run) => string.Create(
        CultureInfo.InvariantCulture, $"{run.Connections} connection{(run.Connections == 1 ? "" : "s")}");

    private static string Cores(BenchRun run) => string.Create(CultureInfo.InvariantCulture, $"{run.Cores:0.0} cores");

    private static string Percent(double part, string format = "0") =>
        $"{(100 * part).ToString(format, CultureInfo.InvariantCulture)} %";

    private static string Milliseconds(TimeSpan time) => Duration.FormatMilliseconds(time);

    private static string Rate(double bytesPerSecond) => ByteSize.FormatRateInBits(bytesPerSecond);
}
