using FastShare.Transfer;
using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Makaretu.Tests;

/// <summary>A node with the adapter and a node with the built-in mDNS on one network.</summary>
public sealed class TwoImplementationsTests
{
    private const int HangLimit = 60_000;

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Nodes_find_and_reach_each_other_whoever_starts_first(bool makaretuFirst)
    {
        LoopbackOnly.Require();
        string service = $"_fs{Guid.NewGuid():N}._udp.local";
        IPeerDiscovery adapter = new MakaretuDiscovery(new MakaretuOptions { ServiceName = service });
        IPeerDiscovery builtIn = new MdnsDiscovery(new MdnsOptions { ServiceName = service, Interfaces = ["lo"] });
        await using FastShareNode first = await StartAsync(makaretuFirst ? adapter : builtIn);
        await using FastShareNode second = await StartAsync(makaretuFirst ? builtIn : adapter);

        DiscoveryEvent ofFirst = await FoundAsync(second, first.Id), ofSecond = await FoundAsync(first, second.Id);
        Assert.Equal(first.Swarm.GetReachableAddresses(), ofFirst.Addresses);
        Assert.Equal(second.Swarm.GetReachableAddresses(), ofSecond.Addresses);

        // Each reaches the other by nothing but what discovery told.
        Assert.True(await PingAsync(first, second.Id) > TimeSpan.Zero);
        Assert.True(await PingAsync(second, first.Id) > TimeSpan.Zero);

        // And notices that it leaves.
        PeerId left = first.Id;
        await first.DisposeAsync();
        await foreach (DiscoveryEvent seen in second.WatchPeersAsync(TestContext.Current.CancellationToken))
        {
            if (seen.Kind == DiscoveryEventKind.Expired && seen.Peer == left) return;
        }
    }

    private static Task<FastShareNode> StartAsync(IPeerDiscovery discovery) => FastShareNode.StartAsync(
        new FastShareOptions { Discovery = [discovery], Listen = [Multiaddr.Parse("/ip4/127.0.0.1/tcp/0")] },
        TestContext.Current.CancellationToken);

    private static async Task<TimeSpan> PingAsync(FastShareNode node, PeerId peer)
    {
        PeerConnection connection = await node.Swarm.ConnectAsync(peer, cancellationToken: TestContext.Current.CancellationToken);
        return await connection.PingAsync(TestContext.Current.CancellationToken);
    }

    private static async Task<DiscoveryEvent> FoundAsync(FastShareNode node, PeerId peer)
    {
        await foreach (DiscoveryEvent seen in node.WatchPeersAsync(TestContext.Current.CancellationToken))
        {
            if (seen.Kind == DiscoveryEventKind.Found && seen.Peer == peer) return seen;
        }

        throw new InvalidOperationException("the watch ended");
    }
}
