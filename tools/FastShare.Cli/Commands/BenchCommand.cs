using System.CommandLine;
using FastShare.Cli.Bench;
using FastShare.Cli.Hosting;
using FastShare.Cli.Output;
using FastShare.Cli.Parsing;
using FastShare.Transfer;
using FastShare.Transport;
using FastShare.Transport.Identity;

namespace FastShare.Cli.Commands;

/// <summary><c>fastshare bench</c>: measures both machines' and the network's limits, names the bottleneck and says what to change.</summary>
internal static class BenchCommand
{
    private const int DefaultConnections = 4, RoundTrips = 5;

    /// <summary>Reading more than this says nothing new.</summary>
    private const long DiskBytes = 4L << 30;

    private static readonly TimeSpan _defaultTime = TimeSpan.FromSeconds(3);

    /// <summary>The file that is sent from disk to disk: as much as the way carries in the time of a run, between these two.</summary>
    private const long LeastFile = 16L << 20, MostFile = 1L << 30;

    /// <param name="Peer">The other side; null: a second process on this machine.</param>
    /// <param name="Size">Bytes of a run, and of the file; null: as the time allows.</param>
    /// <param name="Files">What is read.</param>
    /// <param name="Connections">Of the second run of each direction.</param>
    /// <param name="Time">A run's.</param>
    /// <param name="Wait">For the peer.</param>
    /// <param name="Folder">Where the file that is sent stands, and on this machine where it arrives; null: none is sent.</param>
    /// <param name="Compare">Whether other programs have a turn.</param>
    /// <param name="Report">Where the HTML report goes; null: nowhere.</param>
    private sealed record Settings(
        PeerReference? Peer, long? Size, string[] Files, int Connections, TimeSpan Time, TimeSpan Wait, string? Folder, bool Compare, string? Report);

    public static Command Create()
    {
        Option<PeerReference> to = PeerOptions.To(otherwise: "a second process on this machine");
        var size = new Option<long?>("--size")
        {
            HelpName = "SIZE",
            Description = "Move at most this much in each run, and send a file of this size (default: as much as the time allows, of the file 1GiB at most)",
            CustomParser = result => Values.Bytes(1)(result),
        };
        var files = new Option<string[]>("--file")
        {
            HelpName = "PATH",
            Description = "Also measure how fast these files and folders can be read; repeatable",
            Arity = ArgumentArity.OneOrMore,
            AllowMultipleArgumentsPerToken = true,
        };
        var connections = new Option<int>("--connections")
        {
            HelpName = "N",
            Description = "How many connections the second run of each direction has, 2 to 32",
            DefaultValueFactory = _ => DefaultConnections,
            CustomParser = Values.Integer(2, SendOptions.MaxConnections),
        };
        var seconds = new Option<TimeSpan?>("--seconds")
        {
            HelpName = "S",
            Description = "How long each run counts, after its start (default: 3s)",
            CustomParser = result => Values.Span(TimeSpan.FromMilliseconds(100))(result),
        };
        var folder = new Option<string?>("--dir")
        {
            HelpName = "DIR",
            Description = "Where the file stands that is sent from disk to disk, and without --to where it arrives (default: the system's folder for temporary files)",
        };
        var noFile = new Option<bool>("--no-file") { Description = "Send no file: from memory to memory only" };
        var compare = new Option<bool>("--compare") { Description = "Also let cp, rsync and iperf3 move as much on this machine, where they are installed" };
        var report = new Option<string?>("--report") { HelpName = "FILE", Description = "Write all of it as one HTML file" };
        Option<TimeSpan?> wait = PeerOptions.Wait();
        Argument<PeerReference> peer = PeerOptions.Argument();
        peer.Arity = ArgumentArity.ZeroOrOne; // as with --to
        var nodeOptions = new NodeOptions();
        var command = new Command(
            "bench",
            "Measures this machine, and the way to a peer that runs 'perf listen', names the bottleneck, and says what to change.")
        {
            peer, to, size, files, connections, seconds, folder, noFile, compare, report, wait,
        };
        nodeOptions.AddTo(command);
        command.Validators.Add(result =>
        {
            bool hasPeer = result.GetResult(peer) is { Tokens.Count: > 0 }, hasTo = result.GetResult(to) is { Tokens.Count: > 0 };
            if (hasPeer && hasTo) result.AddError("Say which peer once: as the argument or with --to.");
            if ((hasPeer || hasTo) && result.GetValue(compare)) result.AddError("--compare is for this machine: leave out the peer.");
            if (result.GetValue(noFile) && result.GetValue(folder) is not null) result.AddError("--dir is for the file that --no-file leaves out.");
        });
        CommandLine.SetAction(command, (parsed, context) => RunAsync(
            new Settings(
                parsed.GetValue(to) ?? parsed.GetValue(peer), parsed.GetValue(size), parsed.GetValue(files) ?? [],
                parsed.GetValue(connections), parsed.GetValue(seconds) ?? _defaultTime, parsed.GetValue(wait) ?? new SendOptions().WaitForPeer,
                parsed.GetValue(noFile) ? null : Path.GetFullPath(parsed.GetValue(folder) ?? Path.GetTempPath()), parsed.GetValue(compare),
                parsed.GetValue(report)),
            nodeOptions.Read(parsed),
            context));
        return command;
    }

    private static async Task<int> RunAsync(Settings settings, NodeSettings nodeSettings, CommandContext context)
    {
        string[] files = FindFiles(settings.Files);
        CheckFolders(settings);
        await using NodeSession session = await NodeSession.StartAsync(nodeSettings, context, listenByDefault: false);
        await using ChildNode? other = settings.Peer is null
            ? ChildNode.Start([
                "perf", "listen", "--no-mdns", .. nodeSettings.Insecure ? (string[])["--insecure"] : [],
                .. settings.Folder is { } folder ? (string[])["--accept", folder] : [],
            ])
            : null;
        PeerConnection connection = other is null
            ? await session.ConnectAsync(settings.Peer!, settings.Wait, context) : await ConnectAsync(other, session, context);
        using IDisposable kept = connection.KeepAlive();
        PeerId peer = connection.Peer;
        string security = connection.Security;

        context.Output.Say("Measuring this machine");
        // away from this thread: the node has work to do meanwhile
        (double hash, double? cipher, double? disk) = await Task.Run(() => MeasureMachine(security, files, settings, context), context.Stop);
        context.Output.Say(Describe(hash, cipher, disk));
        TimeSpan roundTrip = await PingAsync(connection, context);
        context.Output.Say($"Round trip: {Duration.FormatMilliseconds(roundTrip)}, the fastest of {RoundTrips}");

        var runner = new BenchRunner(session.Node.Swarm, peer, cipher, other, context);
        var runs = new List<BenchRun>();
        foreach (PerfDirection direction in new[] { PerfDirection.Download, PerfDirection.Upload })
        {
            foreach (int connections in new[] { 1, settings.Connections })
                runs.Add(await runner.RunAsync(direction, connections, settings.Size ?? long.MaxValue, settings.Time, roundTrip));
        }

        var measured = new BenchMeasurement(roundTrip, Environment.ProcessorCount, hash, cipher, disk, runs);
        if (settings.Folder is { } place)
        {
            long bytes = settings.Size ?? FileSize(runs, settings.Time);
            measured = measured with { File = await new BenchFile(session, peer, context).RunAsync(place, bytes, other) };
            if (measured.File is null)
                context.Output.Say("No file was sent: the other side takes none. There, type: fastshare perf listen --accept DIR");
            if (settings.Compare) measured = measured with { Others = await new OtherTools(place, bytes, context).RunAsync() };
        }

        Verdict verdict = Diagnosis.Of(measured);
        BenchEvent report = BenchReport.ToEvent(peer.ToString(), security, measured, verdict);
        context.Output.Emit(report);
        Tell(measured, verdict, context.Output);
        if (settings.Report is { } path)
        {
            await File.WriteAllTextAsync(path, BenchHtml.Create(report, measured, verdict, context.TimeProvider.GetUtcNow()), context.Stop);
            context.Output.Say($"The report is in {PeerText.Escape(path)}");
        }

        return ExitCodes.Done;
    }

    private static void Tell(BenchMeasurement measured, Verdict verdict, OutputWriter output)
    {
        output.Table(BenchReport.Headers, [.. measured.Runs.Select(BenchReport.Row)]);
        if (measured.File is { } file)
        {
            foreach (string line in BenchReport.Describe(file)) output.Result(line);
        }

        foreach (string line in BenchReport.Describe("Sending", verdict.Sending)) output.Result(line);
        foreach (string line in BenchReport.Describe("Receiving", verdict.Receiving)) output.Result(line);
        if (verdict.Files is { } limit)
        {
            foreach (string line in BenchReport.Describe("A file from disk to disk", [limit])) output.Result(line);
        }

        if (measured.Others.Count > 0) output.Result("Other programs here, once each with as much:");
        foreach (OtherTool tool in measured.Others) output.Result(BenchReport.Describe(tool, measured));
    }

    private static long FileSize(IEnumerable<BenchRun> runs, TimeSpan time)
    {
        double rate = runs.Where(static run => run.Direction == PerfDirection.Upload).Max(static run => run.BytesPerSecond);
        return Math.Clamp((long)(rate * time.TotalSeconds), LeastFile, MostFile);
    }

    // Before anything is measured that would then be lost.
    private static void CheckFolders(Settings settings)
    {
        string? report = settings.Report is null ? null : Path.GetDirectoryName(Path.GetFullPath(settings.Report));
        foreach (string? folder in (string?[])[settings.Folder, report])
        {
            if (folder is not null && !Directory.Exists(folder))
                throw new TransferException(TransferError.SourceNotFound, $"there is no folder '{PeerText.Escape(folder)}'") { Path = folder };
        }
    }

    private static async Task<PeerConnection> ConnectAsync(ChildNode other, NodeSession session, CommandContext context)
    {
        (PeerId peer, IReadOnlyList<Multiaddr> addresses) = await other.WaitUntilListeningAsync(context.Stop);
        return await session.Node.Swarm.ConnectAsync(peer, addresses, context.Stop);
    }

    private static (double Hash, double? Cipher, double? Disk) MeasureMachine(
        string security, string[] files, Settings settings, CommandContext context)
    {
        double hash = LocalLimits.Hash(context.TimeProvider, context.Stop);
        double? cipher = LocalLimits.Cipher(security, context.TimeProvider, context.Stop);
        if (files.Length == 0) return (hash, cipher, null);
        (double disk, long read) = LocalLimits.Disk(
            files, Math.Min(settings.Size ?? DiskBytes, DiskBytes), settings.Time, context.TimeProvider, context.Stop);
        return (hash, cipher, read > 0 ? disk : null);
    }

    private static string Describe(double hash, double? cipher, double? disk)
    {
        string text = $"This machine: {EventText.Count(Environment.ProcessorCount, "core")}, one hashes {ByteSize.FormatRate(hash)}";
        if (cipher is { } encrypts) text += $" and encrypts {ByteSize.FormatRate(encrypts)}";
        return disk is { } reads ? $"{text}; the files are read at {ByteSize.FormatRate(reads)}" : text;
    }

    private static async Task<TimeSpan> PingAsync(PeerConnection connection, CommandContext context)
    {
        TimeSpan fastest = TimeSpan.MaxValue;
        for (int i = 0; i < RoundTrips; i++)
        {
            TimeSpan time = await connection.PingAsync(context.Stop);
            if (time < fastest) fastest = time;
        }

        return fastest;
    }

    private static string[] FindFiles(string[] paths)
    {
        var files = new List<string>();
        foreach (string path in paths)
        {
            if (File.Exists(path)) files.Add(path);
            else if (Directory.Exists(path))
            {
                files.AddRange(Directory.EnumerateFiles(
                    path, "*", new EnumerationOptions { RecurseSubdirectories = true, IgnoreInaccessible = true }));
            }
            else
            {
                string message = $"there is no file or folder '{PeerText.Escape(path)}'";
                throw new TransferException(TransferError.SourceNotFound, message) { Path = path };
            }
        }

        return [.. files];
    }
}
