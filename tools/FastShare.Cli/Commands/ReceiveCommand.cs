using System.CommandLine;
using FastShare.Cli.Hosting;
using FastShare.Cli.Output;
using FastShare.Cli.Parsing;
using FastShare.Transfer;
using FastShare.Transfer.Trust;
using FastShare.Transport.Identity;

namespace FastShare.Cli.Commands;

/// <summary><c>fastshare receive</c>: takes what peers offer into a folder.</summary>
internal static class ReceiveCommand
{
    private sealed record Settings(
        string Folder, bool Yes, PeerId[] Trusted, bool Once, bool Replace, long Quota, bool ExitWithStandardInput);

    public static Command Create()
    {
        var folder = new Argument<string>("DIR") { Description = "Where files go", DefaultValueFactory = _ => "." };
        var yes = new Option<bool>("--yes", "-y") { Description = "Accept every offer of every peer" };
        var trust = new Option<PeerId[]>("--trust")
        {
            HelpName = "PEER",
            Description = "Accept every offer of the peer with this id; repeatable",
            CustomParser = Values.ParseAll<PeerId>(Values.TryParsePeerId),
        };
        var once = new Option<bool>("--once") { Description = "End after one accepted transfer" };
        var replace =
            new Option<bool>("--replace") { Description = "Replace existing files of the same name (otherwise those files fail)" };
        var quota = new Option<long?>("--quota")
        {
            HelpName = "SIZE",
            Description = "Refuse larger offers (default: no limit)",
            CustomParser = result => Values.Bytes(0)(result),
        };
        Option<bool> exitWithStandardInput = Interruption.ExitWithStandardInput();
        var nodeOptions = new NodeOptions();
        var command = new Command("receive", "Waits for offers and takes them into a folder, asking first.")
        {
            folder, yes, trust, once, replace, quota, exitWithStandardInput,
        };
        nodeOptions.AddTo(command);
        CommandLine.SetAction(command, (parsed, context) => RunAsync(
            new Settings(
                Path.GetFullPath(parsed.GetRequiredValue(folder)),
                parsed.GetValue(yes), parsed.GetValue(trust) ?? [], parsed.GetValue(once),
                parsed.GetValue(replace), parsed.GetValue(quota) ?? long.MaxValue, parsed.GetValue(exitWithStandardInput)),
            nodeOptions.Read(parsed),
            context));
        return command;
    }

    private static async Task<int> RunAsync(Settings settings, NodeSettings nodeSettings, CommandContext context)
    {
        if (File.Exists(settings.Folder))
            throw new TransferException(TransferError.DestinationExists, $"'{PeerText.Escape(settings.Folder)}' is a file, not a folder");
        if (settings.ExitWithStandardInput) context.Interruption.FollowStandardInput();
        var terms = new OfferTerms(settings.Folder, settings.Replace, settings.Quota);
        KnownPeers? known = nodeSettings.OpenKnownPeers();
        var consent = new OfferConsent(terms, settings.Yes, settings.Trusted, known, context.Output);
        await using NodeSession session = await NodeSession.StartAsync(nodeSettings, context, listenByDefault: true, consent.DecideAsync);
        bool expectsSomebody = settings.Trusted.Length > 0 || known?.All.Any(peer => peer.Trust == PeerTrust.Trusted) == true;
        Explain(settings, expectsSomebody, nodeSettings, session.Node, context.Output);
        return await ReceiveAsync(settings.Once, consent, session, context);
    }

    private static void Explain(Settings settings, bool expectsSomebody, NodeSettings nodeSettings, FastShareNode node, OutputWriter output)
    {
        output.Say($"Receiving into {PeerText.Escape(settings.Folder)}");
        output.Say($"This node is '{PeerText.Escape(node.Name)}', peer {node.Id}");
        output.Say("On the other machine, type:");
        string insecure = nodeSettings.Insecure ? " --insecure" : "";
        if (nodeSettings.Mdns)
        {
            output.Say($"  fastshare send FILE --to {node.Id}{insecure}");
            output.Say("or, where machines do not find each other:");
        }

        foreach (Multiaddr address in node.Swarm.GetReachableAddresses().Take(nodeSettings.Mdns ? 1 : 3))
            output.Say($"  fastshare send FILE --to {address}{insecure}");
        if (settings.Yes) output.Say("Every offer is accepted (--yes).");
        else if (!output.CanAsk && !expectsSomebody)
        {
            output.Warn(
                "Nobody can be asked here, so every offer will be refused. To take them, start with --yes, or with --trust and a peer id.");
        }
    }

    // Follows every incoming transfer until the user stops the command or, with once, an accepted one ends.
    private static async Task<int> ReceiveAsync(bool once, OfferConsent consent, NodeSession session, CommandContext context)
    {
        var following = new List<Task>();
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(context.Stop);
        int code = ExitCodes.Interrupted;
        try
        {
            await foreach (Transfer.Transfer transfer in session.Node.IncomingAsync(enough.Token))
            {
                following.RemoveAll(earlier => earlier.IsCompletedSuccessfully);
                following.Add(FollowAsync(transfer));
            }
        }
        catch (OperationCanceledException) when (enough.IsCancellationRequested)
        {
        }

        await Task.WhenAll(following);
        return code;

        async Task FollowAsync(Transfer.Transfer transfer)
        {
            int? ended = await FollowOneAsync(transfer, consent, session, context);
            if (!once || ended is null || enough.IsCancellationRequested) return;
            code = ended.Value;
            await enough.CancelAsync();
        }
    }

    // The exit code of a transfer that was, or would have been, accepted; null for one that is not to count.
    private static async Task<int?> FollowOneAsync(
        Transfer.Transfer transfer, OfferConsent consent, NodeSession session, CommandContext context)
    {
        try
        {
            TransferResult result = await TransferReporter.FollowAsync(transfer, $"From {transfer.Peer.ToShortString()}", session, context);
            return ExitCodes.For(result.Failures);
        }
        catch (TransferException e) when (e.Error == TransferError.Cancelled && context.Stop.IsCancellationRequested)
        {
            const string Resume = "stopped; what arrived is kept: start both sides again to go on";
            CommandLine.Report(new TransferException(e.Error, Resume, e) { Peer = transfer.Peer }, context.Output);
            return ExitCodes.Interrupted;
        }
        catch (TransferException e)
        {
            bool accepted = consent.HasAccepted(transfer.Peer);
            // an offer refused for want of consent was reported when it was refused
            if (accepted || e.Error != TransferError.Refused) CommandLine.Report(e, context.Output);
            return accepted ? ExitCodes.For(e) : null;
        }
    }
}
