using System.CommandLine;
using FastShare.Cli.Hosting;
using FastShare.Cli.Parsing;
using FastShare.Transfer;
using FastShare.Transfer.Trust;
using FastShare.Transport.Identity;

namespace FastShare.Cli.Commands;

/// <summary><c>fastshare send</c>: sends files and folders to a peer.</summary>
internal static class SendCommand
{
    public static Command Create()
    {
        var paths = new Argument<string[]>("PATH") { Arity = ArgumentArity.OneOrMore, Description = "Files and folders" };
        Option<PeerReference> to = PeerOptions.To();
        Option<TimeSpan?> wait = PeerOptions.Wait();
        var transferOptions = new TransferOptions();
        var nodeOptions = new NodeOptions();
        var command = new Command("send", "Sends files and folders to a peer; run it again to go on after an interruption.")
        {
            paths, to, wait,
        };
        transferOptions.AddTo(command);
        nodeOptions.AddTo(command);
        command.Validators.Add(result =>
        {
            if (result.GetValue(paths) is { } given && given.Contains("-"))
                result.AddError("Standard input cannot be sent; for a file called '-', write ./-");
        });
        CommandLine.SetAction(command, (parsed, context) => RunAsync(
            parsed.GetRequiredValue(paths), parsed.GetRequiredValue(to), transferOptions.Read(parsed, parsed.GetValue(wait)),
            nodeOptions.Read(parsed), context));
        return command;
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
        string[] paths, PeerReference to, SendOptions options, NodeSettings settings, CommandContext context)
    {
        // said at once, rather than after waiting for the peer
        string? missing = paths.FirstOrDefault(path => !Path.Exists(path) && new FileInfo(path).LinkTarget is null);
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
        Transfer.Transfer transfer = session.Node.Send(peer, paths, options);
        string title = $"To {PeerText.Escape(to.Name ?? peer.ToShortString(), 24)}";
        try
        {
            TransferResult result = await TransferReporter.FollowAsync(transfer, title, session, context);
            return ExitCodes.ForSent(result.Failures);
        }
        catch (TransferException e) when (e.Error == TransferError.Cancelled)
        {
            const string Resume = "stopped; what arrived is kept: run the same command again to go on";
            throw new TransferException(e.Error, Resume, e) { Peer = peer };
        }
        catch (TransferException e) when (e.Error is TransferError.ConnectionLost or TransferError.CancelledByPeer)
        {
            CommandLine.Report(e, context.Output);
            context.Output.Say("What arrived is kept: run the same command again to go on.");
            return ExitCodes.For(e);
        }
    }
}
