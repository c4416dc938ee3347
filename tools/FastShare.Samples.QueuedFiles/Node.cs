using System.Threading.Channels;
using FastShare.Transport;
using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;
using FastShare.Transport.Requests;

namespace FastShare.Samples.QueuedFiles;

/// <summary>A node that finds others through mDNS and sends files to them, or receives files.</summary>
internal sealed class Node : IAsyncDisposable
{
    private readonly MdnsDiscovery _discovery;
    private readonly Channel<PeerId> _found = Channel.CreateUnbounded<PeerId>();

    private Node(PeerIdentity identity, string? interfaceName, RequestHandler<FileRequest, FileReceipt>? receive)
    {
        Swarm = new Swarm(new SwarmOptions { Identity = identity });
        _discovery = new MdnsDiscovery(new MdnsOptions { Interfaces = interfaceName is null ? null : [interfaceName] });
        Files = new RequestResponse<FileRequest, FileReceipt>(
            Swarm, FileProtocol.For(receive is null ? RequestDirection.Outbound : RequestDirection.Inbound), receive);
    }

    public Swarm Swarm { get; }

    public RequestResponse<FileRequest, FileReceipt> Files { get; }

    /// <summary>Peers as mDNS finds them, their addresses already known to the swarm. A peer with new addresses comes again.</summary>
    public ChannelReader<PeerId> Found => _found.Reader;

    /// <summary>Starts to listen, to announce itself and to look for others.</summary>
    /// <param name="identity">Who it is; the caller's.</param>
    /// <param name="listen">Where it listens.</param>
    /// <param name="interfaceName">The interface for mDNS; null: every one.</param>
    /// <param name="receive">What it does with files that come; null: it only sends.</param>
    public static async Task<Node> StartAsync(
        PeerIdentity identity, Multiaddr listen, string? interfaceName, RequestHandler<FileRequest, FileReceipt>? receive)
    {
        var node = new Node(identity, interfaceName, receive);
        await node.Swarm.ListenAsync(listen);
        await node._discovery.StartAsync(node.Swarm.LocalPeer, node.Swarm.ListenAddresses, node.OnDiscovery, CancellationToken.None);
        return node;
    }

    public async ValueTask DisposeAsync()
    {
        await _discovery.DisposeAsync(); // says goodbye
        await Files.DisposeAsync();
        await Swarm.DisposeAsync();
        _found.Writer.TryComplete();
    }

    private void OnDiscovery(DiscoveryEvent seen)
    {
        // What is no longer announced may still be there: the addresses stay until a dial finds out.
        if (seen.Kind != DiscoveryEventKind.Found) return;
        Swarm.AddAddresses(seen.Peer, seen.Addresses);
        _found.Writer.TryWrite(seen.Peer);
    }
}
