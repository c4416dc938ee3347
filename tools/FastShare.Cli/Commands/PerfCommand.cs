using System.CommandLine;
using System.CommandLine.Parsing;
using FastShare.Cli.Bench;
using FastShare.Cli.Hosting;
using FastShare.Cli.Output;
using FastShare.Cli.Parsing;
using FastShare.Transfer;
using FastShare.Transport;
using FastShare.Transport.Identity;
using FastShare.Transport.Watching;

namespace FastShare.Cli.Commands;

/// <summary><c>fastshare perf</c>: the libp2p perf protocol, memory to memory, with any libp2p peer.</summary>
internal static class PerfCommand
{
    /// <summary>A second or so on a fast network.</summary>
    private const long DefaultBytes = 1L << 30;

    private sealed record Settings(PeerReference Peer, long? UploadBytes, long? DownloadBytes, TimeSpan? Duration, TimeSpan Wait);

    public static Command Create()
    {
        Argument<PeerReference> peer = PeerOptions.Argument();
        peer.Arity = ArgumentArity.ZeroOrOne; // `perf listen` has none
        var upload = new Option<long?>("--upload-bytes")
        {
            HelpName = "N",
            Description = "Send this much (default, without --download-bytes: 1GiB)",
            CustomParser = result => Values.Bytes(0)(result),
        };
        var download = new Option<long?>("--download-bytes")
        {
            HelpName = "N",
            Description = "Have this much sent back (default, without --upload-bytes: 1GiB)",
            CustomParser = result => Values.Bytes(0)(result),
        };
        var duration = new Option<TimeSpan?>("--duration")
        {
            HelpName = "S",
            Description = "Stop each direction after this time; without sizes, move as much as it allows",
            CustomParser = result => Values.Span(TimeSpan.FromMilliseconds(1))(result),
        };
        Option<TimeSpan?> wait = PeerOptions.Wait();
        var nodeOptions = new NodeOptions();
        var command = new Command("perf", "Measures throughput from memory to memory with a libp2p peer.")
        {
            peer, upload, download, duration, wait,
        };
        nodeOptions.AddTo(command);
        command.Validators.Add(result =>
        {
            bool listens = result.Children.OfType<CommandResult>().Any();
            if (!listens && result.GetResult(peer) is not { Tokens.Count: > 0 })
                result.AddError("Say which peer to measure with, or 'perf listen'.");
        });
        CommandLine.SetAction(command, (parsed, context) => MeasureAsync(
            new Settings(
                parsed.GetRequiredValue(peer), parsed.GetValue(upload), parsed.GetValue(download), parsed.GetValue(duration),
                parsed.GetValue(wait) ?? new SendOptions().WaitForPeer),
            nodeOptions.Read(parsed),
            context));
        command.Add(CreateListen());
        return command;
    }

    private static Command CreateListen()
    {
        var nodeOptions = new NodeOptions();
        Option<bool> exitWithStandardInput = Interruption.ExitWithStandardInput();
        var accept = new Option<string?>("--accept")
        {
            HelpName = "DIR",
            Description = "Also take the files that 'fastshare bench' sends, one at a time, into a folder of their own in DIR, and remove each at its end",
        };
        var command = new Command("listen", "Serves the perf protocol until stopped.") { accept, exitWithStandardInput };
        nodeOptions.AddTo(command);
        CommandLine.SetAction(command, (parsed, context) =>
        {
            if (parsed.GetValue(exitWithStandardInput)) context.Interruption.FollowStandardInput();
            return ListenAsync(parsed.GetValue(accept), nodeOptions.Read(parsed), context);
        });
        return command;
    }

    private static async Task<int> ListenAsync(string? accept, NodeSettings settings, CommandContext context)
    {
        if (accept is not null && !Directory.Exists(accept))
            throw new TransferException(TransferError.SourceNotFound, $"there is no folder '{PeerText.Escape(accept)}'") { Path = accept };
        BenchFileTaker? taker = accept is null ? null : new BenchFileTaker(Path.GetFullPath(accept));
        await using NodeSession session = await NodeSession.StartAsync(
            settings, context, listenByDefault: true, taker is null ? null : taker.DecideAsync, prepare: node => node.Swarm.EnablePerf(),
            limits: BenchFileTaker.Limits);
        context.Output.Say("On the other machine, type:");
        foreach (string address in NodeSession.Texts(session.Node.Swarm.GetReachableAddresses()).Take(3))
            context.Output.Say($"  fastshare perf {address}{(settings.Insecure ? " --insecure" : "")}");
        context.Output.Say("or, to learn what limits transfers between the two, the same with: fastshare bench --to");
        await Task.WhenAll(taker?.FollowAsync(session, context) ?? Task.CompletedTask, TellServedAsync(session, context));
        return ExitCodes.Done;
    }

    // Until the user stops the command.
    private static async Task TellServedAsync(NodeSession session, CommandContext context)
    {
        long before = GC.GetTotalAllocatedBytes();
        await foreach (PeerState state in session.Node.Swarm.WatchPeersAsync(context.Stop))
        {
            if (state is not { Status: PeerStatus.Disconnected, LastDisconnect: not null }) continue;
            long now = GC.GetTotalAllocatedBytes();
            context.Output.Emit(new ServedEvent(state.Peer.ToString(), now - before));
            before = now;
        }
    }

    private static async Task<int> MeasureAsync(Settings settings, NodeSettings nodeSettings, CommandContext context)
    {
        await using NodeSession session = await NodeSession.StartAsync(nodeSettings, context, listenByDefault: false);
        PeerConnection connection = await session.ConnectAsync(settings.Peer, settings.Wait, context);
        long @default = 0; // of a direction that was not asked for, when the other was
        if (settings is { UploadBytes: null, DownloadBytes: null }) @default = settings.Duration is null ? DefaultBytes : long.MaxValue;
        PerfMeasurement upload = await PerfMeasurement.RunAsync(
            connection, PerfDirection.Upload, settings.UploadBytes ?? @default, settings.Duration, context);
        PerfMeasurement download = await PerfMeasurement.RunAsync(
            connection, PerfDirection.Download, settings.DownloadBytes ?? @default, settings.Duration, context);

        context.Output.Emit(new PerfEvent(
            connection.Peer.ToString(), upload.Bytes, download.Bytes,
            Math.Round(upload.Time.TotalSeconds, 6), Math.Round(download.Time.TotalSeconds, 6),
            Math.Round(upload.BytesPerSecond), Math.Round(download.BytesPerSecond), GC.GetTotalAllocatedBytes()));
        context.Output.Table(
            ["", "BYTES", "TIME", "RATE"],
            [.. Rows("upload", upload), .. Rows("download", download)]);
        var whole = new TransferResult(0, upload.Bytes + download.Bytes, 0, upload.Time + download.Time, []);
        await TransferReporter.ReportCompletedAsync(connection.Peer, whole, session, context.Output);
        return ExitCodes.Done;
    }

    private static IReadOnlyList<string>[] Rows(string name, PerfMeasurement run) => run.Bytes == 0
        ? []
        : [[name, ByteSize.Format(run.Bytes), Duration.Format(run.Time), ByteSize.FormatRate(run.BytesPerSecond)]];
}
