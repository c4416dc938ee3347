using FastShare.Cli.Hosting;
using FastShare.Cli.Output;
using FastShare.Cli.Parsing;
using FastShare.Transfer;
using FastShare.Transport;
using FastShare.Transport.Identity;

namespace FastShare.Cli.Bench;

/// <summary>One file from this side's disk to the other's. Parts are of the time measured; stages add up over what works at the same time.</summary>
/// <param name="Bytes">Its size.</param>
/// <param name="Time">From the offer to the other side's word that the whole file stands there under its name.</param>
/// <param name="Cores">Cores that this process kept busy, and the other one if that is on this machine too.</param>
/// <param name="MachineBusy">Part of all cores' time that was used, by whatever program; null where the system does not tell.</param>
/// <param name="CipherPart">Part of this process's processor time that went into the cipher.</param>
/// <param name="Connections">Over how many connections.</param>
/// <param name="Sender">Seconds in each stage here, by its name in docs/telemetry.md.</param>
/// <param name="Receiver">The same of the other side; null: it is not on this machine, and did not tell.</param>
internal sealed record FileRun(
    long Bytes, TimeSpan Time, double Cores, double? MachineBusy, double CipherPart, int Connections,
    IReadOnlyDictionary<string, double> Sender, IReadOnlyDictionary<string, double>? Receiver)
{
    public double BytesPerSecond => Time > TimeSpan.Zero ? Bytes / Time.TotalSeconds : 0;
}

/// <summary>Makes a file, sends it to a node that takes such files (<c>perf listen --accept</c>), and removes it.</summary>
/// <param name="session">This side's node.</param>
/// <param name="peer">The other side.</param>
/// <param name="context">What the command runs with.</param>
internal sealed class BenchFile(NodeSession session, PeerId peer, CommandContext context)
{
    /// <summary>How names of such files begin: the other side takes no others.</summary>
    public const string NamePrefix = "fastshare-bench-";

    /// <summary>Room that is left beside the file.</summary>
    private const long Margin = 64L << 20;

    private static readonly TimeSpan _patience = TimeSpan.FromSeconds(10);

    /// <summary>Sends a file of so many random bytes from a folder; null: the other side takes none.</summary>
    /// <param name="folder">Where it stands while it is sent.</param>
    /// <param name="bytes">Its size.</param>
    /// <param name="other">The other side, if it is a process of this command's.</param>
    /// <exception cref="TransferException">No room, or the transfer failed.</exception>
    public async Task<FileRun?> RunAsync(string folder, long bytes, ChildNode? other)
    {
        string path = Path.Combine(folder, $"{NamePrefix}{Guid.NewGuid():N}.bin");
        CheckRoom(folder, other is null ? bytes : 2 * bytes);
        try
        {
            await Demo.DemoFiles.CreateAsync(
                folder, [new Demo.DemoFile(Path.GetFileName(path), bytes)], context.Output, context.TimeProvider, context.Stop);
            return await SendAsync(path, bytes, other);
        }
        catch (TransferException e) when (e.Error == TransferError.Refused || (e.InnerException as TransportException)?.Error == TransportError.UnsupportedProtocol)
        {
            return null;
        }
        finally
        {
            File.Delete(path);
        }
    }

    private async Task<FileRun> SendAsync(string path, long bytes, ChildNode? other)
    {
        var clock = new ProcessorClock();
        var meter = new RunMeter();
        long start = context.TimeProvider.GetTimestamp();
        Transfer.Transfer transfer = session.Node.Send(peer, [path]);
        TransferResult result = (await TransferReporter.FollowAllAsync([transfer], $"File of {ByteSize.Format(bytes)}", context))[0];
        TimeSpan elapsed = context.TimeProvider.GetElapsedTime(start);
        var now = new ProcessorClock();
        if (result.Failures.Count > 0) throw result.Failures[0];
        StatisticsEvent sent = meter.Read(transfer);
        StatisticsEvent? received = other is null ? null : await other.NextStatisticsAsync(_patience, context.Stop);
        TimeSpan here = now.ProcessSince(clock), used = here + TimeSpan.FromSeconds(received?.ProcessorSeconds ?? 0);
        IReadOnlyDictionary<string, double> stages = Seconds(sent);
        double cipher = stages.GetValueOrDefault("sealing") + stages.GetValueOrDefault("opening");
        return new FileRun(
            result.Bytes, elapsed, used / elapsed, now.MachineSince(clock), here > TimeSpan.Zero ? Math.Min(1, cipher / here.TotalSeconds) : 0,
            sent.Connections, stages, received is null ? null : Seconds(received));
    }

    private static Dictionary<string, double> Seconds(StatisticsEvent statistics) =>
        statistics.Stages.ToDictionary(stage => stage.Stage, stage => stage.Seconds);

    private static void CheckRoom(string folder, long bytes)
    {
        long free = new DriveInfo(folder).AvailableFreeSpace;
        if (free >= bytes + Margin) return;
        throw new TransferException(
            TransferError.StorageFull,
            $"this needs {ByteSize.Format(bytes + Margin)} in '{PeerText.Escape(folder)}', and {ByteSize.Format(free)} are free; choose a smaller "
                + "--size or another --dir");
    }
}
