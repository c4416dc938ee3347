using System.CommandLine;
using FastShare.Cli.Hosting;
using FastShare.Cli.Output;
using FastShare.Cli.Parsing;
using FastShare.Transfer;
using FastShare.Transfer.Trust;
using FastShare.Transport.Identity;

namespace FastShare.Cli.Commands;

/// <summary><c>fastshare known</c>: the peers met before, and what is thought of them. Starts no node.</summary>
internal static class KnownCommand
{
    public static Command Create()
    {
        var command = new Command("known", "Lists the peers met before; their names stand for the keys they were first seen with.");
        Option<string?> file = NodeOptions.KnownPeersFile();
        command.Add(file);
        CommandLine.SetAction(command, (parsed, context) => Task.FromResult(List(Open(parsed.GetValue(file)), context.Output)));
        command.Add(CreateTrust());
        command.Add(CreateForget());
        return command;
    }

    private static Command CreateTrust()
    {
        var peer = new Argument<PeerReference>("PEER")
        {
            Description = "A peer id, or the name of a known peer",
            CustomParser = Values.Parse<PeerReference>(PeerReference.TryParse),
        };
        var name = new Option<string?>("--name") { HelpName = "NAME", Description = "What to call it (default: the end of its peer id)" };
        Option<string?> file = NodeOptions.KnownPeersFile();
        var command = new Command("trust", "Takes the offers of a peer without asking, from now on.") { peer, name, file };
        command.Validators.Add(result =>
        {
            if (result.GetValue(name) is { } given && !PeerReference.IsName(given))
                result.AddError($"--name takes 1 to {PeerReference.MaxNameBytes} bytes.");
        });
        CommandLine.SetAction(command, (parsed, context) =>
        {
            KnownPeers known = Open(parsed.GetValue(file));
            PeerId id = Resolve(parsed.GetRequiredValue(peer), known);
            known.Remember(id, parsed.GetValue(name) ?? "", PeerTrust.Trusted);
            context.Output.Say($"Offers of '{PeerText.Escape(known.Find(id)!.Name)}' (peer {id}) are taken without a question.");
            return Task.FromResult(ExitCodes.Done);
        });
        return command;
    }

    private static Command CreateForget()
    {
        var peer = new Argument<PeerReference>("PEER")
        {
            Description = "A peer id, or the name of a known peer",
            CustomParser = Values.Parse<PeerReference>(PeerReference.TryParse),
        };
        Option<string?> file = NodeOptions.KnownPeersFile();
        var command = new Command("forget", "Forgets a peer: its name is free, and its offers are asked about again.") { peer, file };
        CommandLine.SetAction(command, (parsed, context) =>
        {
            KnownPeers known = Open(parsed.GetValue(file));
            PeerId id = Resolve(parsed.GetRequiredValue(peer), known);
            if (!known.Forget(id)) throw Unknown(id.ToString());
            context.Output.Say($"Peer {id} is forgotten.");
            return Task.FromResult(ExitCodes.Done);
        });
        return command;
    }

    private static int List(KnownPeers known, OutputWriter output)
    {
        foreach (KnownPeer peer in known.All)
        {
            output.Emit(new KnownPeerEvent(peer.Id.ToString(), peer.Name, peer.Trust == PeerTrust.Trusted, $"{peer.Since:yyyy-MM-dd}"));
        }

        if (known.All.Count == 0) output.Say("Nobody yet. A peer is remembered when you send to it by name, or take its offer.");
        else output.Table(["name", "peer id", "offers", "since"], [.. known.All.Select(Row)]);
        return ExitCodes.Done;
    }

    private static IReadOnlyList<string> Row(KnownPeer peer) =>
        [PeerText.Escape(peer.Name), peer.Id.ToString(), peer.Trust == PeerTrust.Trusted ? "taken" : "asked about", $"{peer.Since:yyyy-MM-dd}"];

    private static KnownPeers Open(string? file) => KnownPeers.Open(file ?? NodeSettings.DefaultKnownPeersFile);

    private static PeerId Resolve(PeerReference reference, KnownPeers known) =>
        reference.Peer ?? known.FindByName(reference.ToString())?.Id ?? throw Unknown(reference.ToString());

    private static TransferException Unknown(string what) =>
        new(TransferError.PeerNotReachable, $"'{PeerText.Escape(what)}' is not known here; fastshare known lists who is");
}
