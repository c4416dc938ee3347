using System.CommandLine;
using FastShare.Cli.Demo;
using FastShare.Cli.Hosting;
using FastShare.Cli.Output;
using FastShare.Cli.Parsing;
using FastShare.Transfer;
using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;

namespace FastShare.Cli.Commands;

/// <summary>
/// <c>fastshare demo</c>: two nodes in two processes on this machine. The sender queues six transfers at once, before there is
/// any connection, and shows that one dial serves them all and that every byte arrives.
/// </summary>
internal static class DemoCommand
{
    /// <summary>As <see cref="MdnsOptions.Interfaces"/> calls the loopback interface on every system.</summary>
    private const string Loopback = "lo";

    private const long DefaultSize = 1L << 30;

    /// <summary>How long mDNS may take before the address is used instead.</summary>
    private static readonly TimeSpan _discoveryLimit = TimeSpan.FromSeconds(10);

    private sealed record Settings(long Size, string? Folder, SendOptions Send, NodeSettings Node);

    public static Command Create()
    {
        var size = new Option<long?>("--size")
        {
            HelpName = "SIZE",
            Description = "Size of the large file (default: 1GiB)",
            CustomParser = result => Values.Bytes(1)(result),
        };
        var folder = new Option<string?>("--dir") { HelpName = "DIR", Description = "Work here and leave the files there" };
        var noMdns = new Option<bool>("--no-mdns") { Description = "Do not look for the receiver; use its address" };
        var insecure = new Option<bool>("--insecure") { Description = "No encryption and no authentication, to see what they cost" };
        var transferOptions = new TransferOptions();
        var command = new Command("demo", "Shows a transfer between two nodes on this machine.") { size, folder, noMdns, insecure };
        transferOptions.AddTo(command);
        CommandLine.SetAction(command, (parsed, context) => RunAsync(
            new Settings(
                parsed.GetValue(size) ?? DefaultSize, parsed.GetValue(folder), transferOptions.Read(parsed, _discoveryLimit),
                new NodeSettings(
                    [Multiaddr.Parse("/ip4/127.0.0.1/tcp/0")], !parsed.GetValue(noMdns), parsed.GetValue(noMdns) ? [] : [Loopback],
                    KeyFile: null, parsed.GetValue(insecure), "demo-sender", KnownPeersFile: null)),
            context));
        return command;
    }

    private static async Task<int> RunAsync(Settings settings, CommandContext context)
    {
        string folder = settings.Folder is null
            ? Path.Combine(Path.GetTempPath(), $"fastshare-demo-{Guid.NewGuid():N}"[..28])
            : Path.GetFullPath(settings.Folder);
        string sent = Path.Combine(folder, "sent"), received = Path.Combine(folder, "received");
        if (Path.Exists(sent) || Path.Exists(received))
        {
            throw new TransferException(
                TransferError.DestinationExists,
                $"'{PeerText.Escape(folder)}' holds the files of an earlier demonstration; remove them or choose another --dir");
        }

        Directory.CreateDirectory(sent);
        try
        {
            IReadOnlyList<DemoFile> files = DemoFiles.List(settings.Size);
            DemoFiles.CheckRoom(folder, files);
            await DemoFiles.CreateAsync(sent, files, context.Output, context.TimeProvider, context.Stop);
            return await TransferAsync(settings, sent, received, files, context);
        }
        finally
        {
            if (settings.Folder is null) Directory.Delete(folder, recursive: true);
            else context.Output.Say($"The files are in {PeerText.Escape(folder)}");
        }
    }

    private static async Task<int> TransferAsync(
        Settings settings, string sent, string received, IReadOnlyList<DemoFile> files, CommandContext context)
    {
        PeerIdentity identity = PeerIdentity.Generate();
        string[] receiverOptions =
        [
            "--name", "demo-receiver", .. settings.Node.Interfaces.SelectMany(name => (string[])["--interface", name]),
            .. settings.Node.Mdns ? Array.Empty<string>() : ["--no-mdns"], .. settings.Node.Insecure ? (string[])["--insecure"] : [],
        ];
        await using NodeSession session = await NodeSession.StartAsync(settings.Node, context, listenByDefault: true, identity: identity);
        await using var sightings = new Sightings(session.Node);
        await using ChildNode receiver = ChildNode.Start(["receive", received, "--trust", identity.PeerId.ToString(), .. receiverOptions]);
        context.Output.Say($"Sender: process {Environment.ProcessId}, peer {identity.PeerId}");
        PeerId peer = await FindAsync(receiver, sightings, session, settings.Node.Mdns, context);

        long start = context.TimeProvider.GetTimestamp();
        // all of them before there is a connection: this is what must cost one dial and no failed request
        Transfer.Transfer[] transfers = [.. files.Select(file => session.Node.Send(peer, [Path.Combine(sent, file.Name)], settings.Send))];
        context.Output.Say($"Queued {EventText.Count(transfers.Length, "transfer")} at once, before any connection");
        TransferResult[] results = await TransferReporter.FollowAllAsync(transfers, "Sending", context);
        var total = new TransferResult(
            results.Sum(result => result.Files), results.Sum(result => result.Bytes), results.Sum(result => result.BytesResent),
            context.TimeProvider.GetElapsedTime(start), [.. results.SelectMany(result => result.Failures)]);
        await TransferReporter.ReportCompletedAsync(peer, total, session, context.Output);
        int dials = session.Node.Swarm.DialCount(peer);
        context.Output.Say($"Dials: {dials}{(dials == 1 ? ", shared by all transfers" : "")}");
        return await VerifyAsync(sent, received, files, context) ? ExitCodes.For(total.Failures) : ExitCodes.VerificationFailed;
    }

    // Waits until mDNS shows the receiver, or tells the node its address where mDNS does not.
    private static async Task<PeerId> FindAsync(
        ChildNode receiver, Sightings sightings, NodeSession session, bool mdns, CommandContext context)
    {
        (PeerId peer, IReadOnlyList<Multiaddr> addresses) = await receiver.WaitUntilListeningAsync(context.Stop);
        context.Output.Say($"Receiver: process {receiver.ProcessId}, peer {peer}");
        string why = mdns ? "mDNS does not work here" : "mDNS is off";
        if (mdns && !session.MdnsFailed)
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(context.Stop);
            limit.CancelAfter(_discoveryLimit);
            try
            {
                DiscoveryEvent seen = await sightings.WaitForAsync(peer, limit.Token);
                context.Output.Say(
                    $"Found by {seen.Source} {Duration.FormatMilliseconds(receiver.Age)} after its process started, "
                    + $"at {PeerText.Escape(seen.Addresses[0].ToString())}");
                return peer;
            }
            catch (OperationCanceledException) when (!context.Stop.IsCancellationRequested)
            {
                why = $"mDNS found nothing within {Duration.Format(_discoveryLimit)} (is multicast possible on this machine?)";
            }
        }

        context.Output.Say($"{why}: using the receiver's address {addresses[0]}");
        session.Node.Swarm.AddAddresses(peer, addresses);
        return peer;
    }

    // Reads both sides again; what was reported about a transfer counts for nothing here.
    private static async Task<bool> VerifyAsync(string sent, string received, IReadOnlyList<DemoFile> files, CommandContext context)
    {
        bool all = true;
        foreach (DemoFile file in files)
        {
            // at the same time, each on a core of its own
            Task<string?> source = Task.Run(() => DemoFiles.Sha256Async(Path.Combine(sent, file.Name), context.Stop));
            Task<string?> copy = Task.Run(() => DemoFiles.Sha256Async(Path.Combine(received, file.Name), context.Stop));
            await Task.WhenAll(source, copy);
            bool matches = await source is { } digest && digest == await copy;
            all &= matches;
            context.Output.Emit(new VerifiedEvent(file.Name, file.Length, await copy ?? "missing", matches));
        }

        if (all) context.Output.Say($"All {files.Count} SHA-256 digests match.");
        else context.Output.Warn("What arrived is not what was sent.");
        return all;
    }
}
