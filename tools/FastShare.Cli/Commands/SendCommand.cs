using System.CommandLine;
using FastShare.Cli.Hosting;
using FastShare.Cli.Parsing;
using FastShare.Transfer;
using FastShare.Transfer.Trust;
using FastShare.Transport.Identity;

namespace FastShare.Cli.Commands;

/// <summary><c>fastshare send</c>: sends files and folders, or standard input, to a peer.</summary>
internal static class SendCommand
{
    private const string StandardInput = "-";

    // Of standard input null: as long as it lasts.
    private sealed record Sources(string[] Paths, string? As, long? Size)
    {
        public bool IsStandardInput => As is not null;
    }

    public static Command Create()
    {
        var paths = new Argument<string[]>("PATH") { Arity = ArgumentArity.OneOrMore, Description = "Files and folders; - for standard input" };
        var name = new Option<string?>("--as") { HelpName = "NAME", Description = "What standard input arrives as" };
        var size = new Option<long?>("--size")
        {
            HelpName = "SIZE",
            Description = "How much will come by standard input: less or more is a failure (default: whatever comes until its end)",
            CustomParser = result => Values.Bytes(0, long.MaxValue - 1)(result),
        };
        Option<PeerReference> to = PeerOptions.To();
        Option<TimeSpan?> wait = PeerOptions.Wait();
        var transferOptions = new TransferOptions();
        var nodeOptions = new NodeOptions();
        var command = new Command("send", "Sends files and folders to a peer; run it again to go on after an interruption.")
        {
            paths, to, wait, name, size,
        };
        transferOptions.AddTo(command);
        nodeOptions.AddTo(command);
        command.Validators.Add(result =>
        {
            if (Objection(result.GetValue(paths) ?? [], result.GetValue(name), result.GetResult(size) is not null) is { } objection) result.AddError(objection);
        });
        CommandLine.SetAction(command, (parsed, context) => RunAsync(
            new Sources(parsed.GetRequiredValue(paths), parsed.GetValue(name), parsed.GetValue(size)), parsed.GetRequiredValue(to),
            transferOptions.Read(parsed, parsed.GetValue(wait)),
            nodeOptions.Read(parsed), context));
        return command;
    }

    // Why these cannot be sent together; null: they can.
    private static string? Objection(string[] paths, string? name, bool hasSize)
    {
        if (!paths.Contains(StandardInput))
            return name is null && !hasSize ? null : "--as and --size are for standard input, which is sent as -; files keep their names.";
        if (paths.Length > 1) return "Standard input is sent alone; for a file called '-', write ./-";
        if (name is null) return "Standard input has no name: say with --as NAME what it is to arrive as; for a file called '-', write ./-";
        try
        {
            _ = TransferSource.FromStream(Stream.Null, name);
            return null;
        }
        catch (TransferException e)
        {
            return e.Message;
        }
    }

    // A name says nothing before it is bound to a key: the first time a person compares, from then on the key is compared.
    private static async Task MeetAsync(string name, PeerId peer, KnownPeers known, CommandContext context)
    {
        if (known.FindByName(name) is not null) return;
        string met = $"'{PeerText.Escape(name)}' is peer {peer}, met here for the first time.";
        if (context.Output.CanAsk)
        {
            if (!await context.Output.ConfirmAsync(
                [met, "Compare that id with what the other machine shows (fastshare id)."], "Send to it?", context.Stop))
            {
                throw new TransferException(TransferError.Cancelled, "nothing was sent") { Peer = peer };
            }
        }
        else
        {
            context.Output.Say(met);
        }

        if (known.Find(peer) is null) known.Remember(peer, name, PeerTrust.Met);
    }

    private static async Task<int> RunAsync(
        Sources sources, PeerReference to, SendOptions options, NodeSettings settings, CommandContext context)
    {
        // said at once, rather than after waiting for the peer
        string? missing = sources.IsStandardInput ? null : sources.Paths.FirstOrDefault(path => !Path.Exists(path) && new FileInfo(path).LinkTarget is null);
        if (missing is not null)
        {
            string message = $"there is no file or folder '{PeerText.Escape(missing)}'";
            throw new TransferException(TransferError.SourceNotFound, message) { Path = missing };
        }

        await using NodeSession session = await NodeSession.StartAsync(settings, context, listenByDefault: true);
        string does = to.Address is null ? "Looking for" : "Connecting to";
        context.Output.Say($"{does} {PeerText.Escape(to.ToString(), 60)} (up to {Duration.Format(options.WaitForPeer)})");
        PeerId peer = await to.ResolveAsync(session.Node, options.WaitForPeer, session.KnownPeers, context.Stop);
        if (to.Name is { } name && session.KnownPeers is { } known) await MeetAsync(name, peer, known, context);
        // Not read before the other side wants it; a read that hangs ends with the process.
        Transfer.Transfer transfer = sources.As is { } arrivesAs
            ? session.Node.Send(peer, TransferSource.FromStream(Console.OpenStandardInput(), arrivesAs, sources.Size), options)
            : session.Node.Send(peer, sources.Paths, options);
        string title = $"To {PeerText.Escape(to.Name ?? peer.ToShortString(), 24)}";
        try
        {
            TransferResult result = await TransferReporter.FollowAsync(transfer, title, session, context);
            if (options.CongestionControl is { } asked && transfer.Statistics.CongestionControl is { } used && used != asked)
                context.Output.Warn($"The kernel does not let this process use the congestion control '{asked}': '{used}' was used.");
            return ExitCodes.ForSent(result.Failures);
        }
        catch (TransferException e) when (e.Error == TransferError.Cancelled && sources.IsStandardInput)
        {
            throw new TransferException(e.Error, "stopped; nothing was delivered: standard input has to be sent from its start", e) { Peer = peer };
        }
        catch (TransferException e) when (e.Error == TransferError.Cancelled)
        {
            const string Resume = "stopped; what arrived is kept: run the same command again to go on";
            throw new TransferException(e.Error, Resume, e) { Peer = peer };
        }
        catch (TransferException e)
            when (!sources.IsStandardInput && (e.Error is TransferError.ConnectionLost or TransferError.CancelledByPeer))
        {
            CommandLine.Report(e, context.Output);
            context.Output.Say("What arrived is kept: run the same command again to go on.");
            return ExitCodes.For(e);
        }
    }
}
