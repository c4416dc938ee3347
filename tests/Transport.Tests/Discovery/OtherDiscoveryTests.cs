using System.Collections.Concurrent;
using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Discovery;

public sealed class OtherDiscoveryTests
{
    private static Multiaddr Address(string text, int peer) => Multiaddr.Parse(text).WithPeerId(Peers.Id(peer));

    [Fact]
    public async Task A_fixed_list_reports_each_peer_once_with_all_its_addresses()
    {
        await using var discovery = new StaticDiscovery(
        [
            Address("/ip4/10.0.0.2/tcp/1", 2), Address("/ip4/10.0.0.3/tcp/1", 3), Address("/ip4/10.0.0.2/tcp/2", 2),
            Address("/ip4/10.0.0.2/tcp/1", 2), Address("/ip4/10.0.0.1/tcp/1", 1),
        ]);
        var events = new List<DiscoveryEvent>();
        await discovery.StartAsync(Peers.Id(1), [], events.Add, TestContext.Current.CancellationToken);
        Assert.Equal([Peers.Id(2), Peers.Id(3)], events.Select(e => e.Peer));
        Assert.Equal([Address("/ip4/10.0.0.2/tcp/1", 2), Address("/ip4/10.0.0.2/tcp/2", 2)], events[0].Addresses);
        Assert.All(events, e => Assert.Equal((DiscoveryEventKind.Found, "static"), (e.Kind, e.Source)));
    }

    [Fact]
    public void A_fixed_list_refuses_an_address_without_a_peer()
    {
        TransportException error = Assert.Throws<TransportException>(() => new StaticDiscovery([Multiaddr.Parse("/ip4/10.0.0.2/tcp/1")]));
        Assert.Equal(TransportError.InvalidAddress, error.Error);
    }

    [Fact]
    public async Task Nodes_of_one_hub_find_each_other_and_notice_who_leaves()
    {
        var hub = new InMemoryDiscoveryHub();
        var events = new BlockingCollection<DiscoveryEvent>();
        await using var a = new InMemoryDiscovery(hub);
        await using var b = new InMemoryDiscovery(hub);
        await a.StartAsync(Peers.Id(1), [Multiaddr.Parse("/memory/a")], events.Add, TestContext.Current.CancellationToken);
        await b.StartAsync(Peers.Id(2), [Multiaddr.Parse("/memory/b")], _ => { }, TestContext.Current.CancellationToken);
        Assert.Equal([Address("/memory/b", 2)], Next(events).Addresses);
        hub.Announce(Peers.Id(2), Multiaddr.Parse("/memory/b"), Multiaddr.Parse("/memory/c"));
        Assert.Equal([Address("/memory/c", 2)], Next(events).Addresses);
        await b.DisposeAsync();
        DiscoveryEvent gone = Next(events);
        Assert.Equal((DiscoveryEventKind.Expired, Peers.Id(2), 2), (gone.Kind, gone.Peer, gone.Addresses.Count));
    }

    [Fact]
    public async Task A_hub_expires_and_announces_a_running_node_at_will()
    {
        var hub = new InMemoryDiscoveryHub();
        var events = new BlockingCollection<DiscoveryEvent>();
        await using var a = new InMemoryDiscovery(hub);
        await using var b = new InMemoryDiscovery(hub);
        await a.StartAsync(Peers.Id(1), [], events.Add, TestContext.Current.CancellationToken);
        Multiaddr[] listen = [Multiaddr.Parse("/ip4/0.0.0.0/tcp/7"), Multiaddr.Parse("/ip6/::/tcp/7")];
        await b.StartAsync(Peers.Id(2), listen, _ => { }, TestContext.Current.CancellationToken);
        Assert.Equal([Address("/ip4/127.0.0.1/tcp/7", 2), Address("/ip6/::1/tcp/7", 2)], Next(events).Addresses);
        hub.Expire(Peers.Id(2));
        Assert.Equal(DiscoveryEventKind.Expired, Next(events).Kind);
        hub.Announce(Peers.Id(2), listen);
        Assert.Equal(DiscoveryEventKind.Found, Next(events).Kind);
        Assert.Empty(events);
    }

    private static DiscoveryEvent Next(BlockingCollection<DiscoveryEvent> events)
    {
        Assert.True(events.TryTake(out DiscoveryEvent? observation, TimeSpan.FromSeconds(30)));
        return observation;
    }
}
