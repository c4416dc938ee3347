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

    private sealed record Settings(PeerReference? Peer, long Size, string[] Files, int Connections, TimeSpan Time, TimeSpan Wait);

    public static Command Create()
    {
        Option<PeerReference> to = PeerOptions.To(otherwise: "a second process on this machine");
        var size = new Option<long?>("--size")
        {
            HelpName = "SIZE",
            Description = "Move at most this much in each run (default: as much as its time allows)",
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
        Option<TimeSpan?> wait = PeerOptions.Wait();
        var nodeOptions = new NodeOptions();
        var command = new Command(
            "bench",
            "Measures this machine, and the way to a peer that runs 'perf listen', names the bottleneck, and says what to change.")
        {
            to, size, files, connections, seconds, wait,
        };
        nodeOptions.AddTo(command);
        CommandLine.SetAction(command, (parsed, context) => RunAsync(
            new Settings(
                parsed.GetValue(to), parsed.GetValue(size) ?? long.MaxValue, parsed.GetValue(files) ?? [],
                parsed.GetValue(connections), parsed.GetValue(seconds) ?? _defaultTime, parsed.GetValue(wait) ?? new SendOptions().WaitForPeer),
            nodeOptions.Read(parsed),
            context));
        return command;
    }

    private static async Task<int> RunAsync(Settings settings, NodeSettings nodeSettings, CommandContext context)
    {
        string[] files = FindFiles(settings.Files);
        await using NodeSession session = await NodeSession.StartAsync(nodeSettings, context, listenByDefault: false);
        await using ChildNode? other = settings.Peer is null
            ? ChildNode.Start(["perf", "listen", "--no-mdns", .. nodeSettings.Insecure ? (string[])["--insecure"] : []]) : null;
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

        var runner = new BenchRunner(session.Node.Swarm, peer, cipher, context);
        var runs = new List<BenchRun>();
        foreach (PerfDirection direction in new[] { PerfDirection.Download, PerfDirection.Upload })
        {
            foreach (int connections in new[] { 1, settings.Connections })
                runs.Add(await runner.RunAsync(direction, connections, settings.Size, settings.Time, roundTrip));
        }

        var measured = new BenchMeasurement(roundTrip, Environment.ProcessorCount, hash, cipher, disk, runs);
        Verdict verdict = Diagnosis.Of(measured);
        context.Output.Emit(BenchReport.ToEvent(peer.ToString(), security, measured, verdict));
        context.Output.Table(BenchReport.Headers, [.. runs.Select(BenchReport.Row)]);
        foreach (string line in BenchReport.Describe("Sending", verdict.Sending)) context.Output.Result(line);
        foreach (string line in BenchReport.Describe("Receiving", verdict.Receiving)) context.Output.Result(line);
        return ExitCodes.Done;
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
            files, Math.Min(settings.Size, DiskBytes), settings.Time, context.TimeProvider, context.Stop);
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
