using System.CommandLine;
using FastShare.Cli.Hosting;
using FastShare.Cli.Output;
using FastShare.Cli.Parsing;
using FastShare.Transfer;
using FastShare.Transport;
using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;

namespace FastShare.Cli.Commands;

/// <summary><c>fastshare peers</c>: who is on the local network.</summary>
internal static class PeersCommand
{
    private static readonly TimeSpan _defaultSeconds = TimeSpan.FromSeconds(3);

    /// <summary>How long a peer may take to tell its name and echo a ping; longer where more time was given to look.</summary>
    private static readonly TimeSpan _contactLimit = TimeSpan.FromSeconds(3);

    public static Command Create()
    {
        var watch = new Option<bool>("--watch") { Description = "Go on and tell of peers that come and go" };
        var seconds = new Option<TimeSpan?>("--seconds")
        {
            HelpName = "N",
            Description = "How long to look (default: 3)",
            CustomParser = result => Values.Span(TimeSpan.Zero)(result),
        };
        var nodeOptions = new NodeOptions();
        var command = new Command("peers", "Lists the peers on the local network.") { watch, seconds };
        nodeOptions.AddTo(command);
        command.Validators.Add(result =>
        {
            if (result.GetValue(watch) && result.GetValue(seconds) is not null)
                result.AddError("--watch and --seconds exclude each other.");
        });
        CommandLine.SetAction(command, (parsed, context) =>
            RunAsync(parsed.GetValue(watch) ? null : parsed.GetValue(seconds) ?? _defaultSeconds, nodeOptions.Read(parsed), context));
        return command;
    }

    private static async Task<int> RunAsync(TimeSpan? look, NodeSettings settings, CommandContext context)
    {
        if (!settings.Mdns) throw new UsageException("peers looks on the local network: --no-mdns leaves nothing to do");
        await using NodeSession session = await NodeSession.StartAsync(settings, context, listenByDefault: false);
        if (look is null)
        {
            context.Output.Say("Watching the local network; Ctrl-C ends it.");
            await WatchAsync(session.Node, context);
        }
        else
        {
            context.Output.Say($"Looking for {Duration.Format(look.Value)}");
            await Task.Delay(look.Value, context.TimeProvider, context.Stop);
            await ListAsync(session.Node, look > _contactLimit ? look.Value : _contactLimit, context);
        }

        return ExitCodes.Done;
    }

    private static async Task ListAsync(FastShareNode node, TimeSpan patience, CommandContext context)
    {
        IReadOnlyList<DiscoveredPeer> peers = node.DiscoveredPeers;
        PeerEvent[] rows = await Task.WhenAll(
            peers.Select(peer => ContactAsync(node, peer.Peer, NodeSession.Texts(peer.Addresses), patience, context)));
        foreach (PeerEvent row in rows) context.Output.Emit(row);
        if (rows.Length == 0) context.Output.Say("No peer was found.");
        else context.Output.Table(["PEER", "NAME", "RTT", "ADDRESSES"], [.. rows.Select(Row)]);
    }

    private static async Task WatchAsync(FastShareNode node, CommandContext context)
    {
        var contacted = new HashSet<PeerId>();
        await foreach (DiscoveryEvent seen in node.WatchPeersAsync(context.Stop))
        {
            bool here = node.DiscoveredPeers.Any(peer => peer.Peer == seen.Peer);
            if (!here)
            {
                if (contacted.Remove(seen.Peer)) context.Output.Say($"gone   {seen.Peer}");
            }
            else if (contacted.Add(seen.Peer))
            {
                PeerEvent row = await ContactAsync(node, seen.Peer, NodeSession.Texts(seen.Addresses), _contactLimit, context);
                context.Output.Emit(row);
                context.Output.Say($"found  {string.Join("  ", Row(row)).Replace('\n', ' ')}");
            }
        }
    }

    private static IReadOnlyList<string> Row(PeerEvent row) =>
    [
        row.Peer,
        row.Name is null ? "" : PeerText.Escape(row.Name, 32),
        row.RttMs is { } time ? Duration.FormatMilliseconds(TimeSpan.FromMilliseconds(time)) : "no answer",
        string.Join('\n', row.Addresses.Select(address => Short(address))),
    ];

    // The peer id that the row has already; and addresses may come with a name in them.
    private static string Short(string address)
    {
        int peer = address.LastIndexOf("/p2p/", StringComparison.Ordinal);
        return PeerText.Escape(peer > 0 ? address[..peer] : address);
    }

    // Asks the peer for its name and an echo; a peer that does not answer is listed without.
    private static async Task<PeerEvent> ContactAsync(
        FastShareNode node, PeerId peer, IReadOnlyList<string> addresses, TimeSpan patience, CommandContext context)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(context.Stop);
        limit.CancelAfter(patience);
        string? name = null;
        TimeSpan? roundTrip = null;
        try
        {
            PeerConnection connection = await node.Swarm.ConnectAsync(peer, cancellationToken: limit.Token);
            roundTrip = await connection.PingAsync(limit.Token);
            name = await node.GetPeerNameAsync(peer, limit.Token);
        }
        catch (Exception e) when (
            e is TransportException or TransferException || (e is OperationCanceledException && !context.Stop.IsCancellationRequested))
        {
            // not reachable, or no node of this kind: shown as it was found
        }

        return new PeerEvent(peer.ToString(), name, addresses, roundTrip is { } time ? Math.Round(time.TotalMilliseconds, 3) : null);
    }
}
