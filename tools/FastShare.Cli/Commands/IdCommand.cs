using System.CommandLine;
using FastShare.Cli.Hosting;
using FastShare.Cli.Output;
using FastShare.Transport.Identity;

namespace FastShare.Cli.Commands;

/// <summary><c>fastshare id</c>: who this node is. Starts no node.</summary>
internal static class IdCommand
{
    public static Command Create()
    {
        var nodeOptions = new NodeOptions();
        var command = new Command("id", "Shows this node's peer id, name, key file and listen addresses.");
        nodeOptions.AddTo(command);
        CommandLine.SetAction(command, (parsed, context) => Task.FromResult(Run(nodeOptions.Read(parsed), context.Output)));
        return command;
    }

    private static int Run(NodeSettings settings, OutputWriter output)
    {
        using PeerIdentity identity = settings.OpenIdentity();
        string name = settings.Name ?? Environment.MachineName;
        IReadOnlyList<Multiaddr> listen = settings.Listen ?? NodeSettings.DefaultListen;
        IReadOnlyList<string> addresses = NodeSession.Texts(listen.Select(address => address.WithPeerId(identity.PeerId)));
        output.Emit(new IdentityEvent(identity.PeerId.ToString(), name, settings.KeyFile, addresses));
        output.Table(
            ["this node", ""],
            [
                ["peer id", identity.PeerId.ToString()],
                ["name", PeerText.Escape(name)],
                ["key file", settings.KeyFile is null ? "none (--ephemeral)" : PeerText.Escape(settings.KeyFile)],
                .. listen.Select(address => (IReadOnlyList<string>)["listens on", Describe(address)]),
            ]);
        return ExitCodes.Done;
    }

    private static string Describe(Multiaddr address) =>
        address.TryGetTcpEndPoint(out System.Net.IPEndPoint? endpoint) && endpoint.Port == 0
            ? $"{address} (a port chosen by the system)"
            : address.ToString();
}
