using System.Text.Json;

namespace FastShare.Interop;

/// <summary>mDNS on interfaces that come and go while it runs, on a network of two hosts.</summary>
public sealed class ComingAndGoingInterfacesTests : IDisposable
{
    private const int HangLimit = 120_000;
    private readonly string _folder = Directory.CreateTempSubdirectory("fastshare-interop-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact(Timeout = HangLimit)]
    public async Task A_node_started_without_network_says_so_and_finds_its_peers_once_there_is_one()
    {
        await using TwoHosts lan = await TwoHosts.CreateAsync();
        await IpAsync(lan.B, "link", "set", "eth0", "down");
        await using LineProcess receive = TwoHosts.FastShare(lan.A, "receive", _folder, "--yes", "--ephemeral");
        string peer = (await receive.EventAsync("listening")).GetProperty("peer").GetString()!;
        await using LineProcess watch = TwoHosts.FastShare(lan.B, "peers", "--watch", "--ephemeral");
        await watch.ErrorTextAsync("no network interface of this machine is up");
        await IpAsync(lan.B, "link", "set", "eth0", "up");
        await FoundAsync(watch, peer, "10.77.0.1");
    }

    [Fact(Timeout = HangLimit)]
    public async Task Peers_expire_when_the_cable_is_pulled_and_are_found_again_when_it_is_back()
    {
        await using TwoHosts lan = await TwoHosts.CreateAsync();
        await using LineProcess receive = TwoHosts.FastShare(lan.A, "receive", _folder, "--yes", "--ephemeral");
        string peer = (await receive.EventAsync("listening")).GetProperty("peer").GetString()!;
        await using LineProcess watch = TwoHosts.FastShare(lan.B, "peers", "--watch", "--ephemeral");
        await FoundAsync(watch, peer, "10.77.0.1");

        await IpAsync(lan.B, "link", "set", "eth0", "down"); // and host a loses its carrier
        await ExpiredAsync(watch, peer, "10.77.0.1");
        await IpAsync(lan.B, "link", "set", "eth0", "up");
        await FoundAsync(watch, peer, "10.77.0.1", times: 2);
    }

    [Fact(Timeout = HangLimit)]
    public async Task An_address_that_comes_is_announced_and_one_that_goes_expires()
    {
        await using TwoHosts lan = await TwoHosts.CreateAsync();
        await using LineProcess receive = TwoHosts.FastShare(lan.A, "receive", _folder, "--yes", "--ephemeral");
        string peer = (await receive.EventAsync("listening")).GetProperty("peer").GetString()!;
        await using LineProcess watch = TwoHosts.FastShare(lan.B, "peers", "--watch", "--ephemeral");
        await FoundAsync(watch, peer, "10.77.0.1");

        await IpAsync(lan.A, "address", "add", "10.77.0.91/24", "dev", "eth0");
        await FoundAsync(watch, peer, "10.77.0.91");
        await IpAsync(lan.A, "address", "del", "10.77.0.91/24", "dev", "eth0");
        await ExpiredAsync(watch, peer, "10.77.0.91");
        Assert.DoesNotContain(watch.Events("peerExpired"), e => Names(e, peer, "10.77.0.1"));
    }

    [Fact(Timeout = HangLimit)]
    public async Task A_second_interface_is_used_as_soon_as_it_is_there()
    {
        await using TwoHosts lan = await TwoHosts.CreateAsync();
        await using LineProcess receive = TwoHosts.FastShare(lan.A, "receive", _folder, "--yes", "--ephemeral");
        string peer = (await receive.EventAsync("listening")).GetProperty("peer").GetString()!;
        await using LineProcess watch = TwoHosts.FastShare(lan.B, "peers", "--watch", "--ephemeral");
        await FoundAsync(watch, peer, "10.77.0.1");

        await IpAsync(lan.A, "link", "add", "eth1", "type", "veth", "peer", "name", "eth1", "netns", lan.B);
        foreach ((string host, string address) in new[] { (lan.A, "10.88.0.1/24"), (lan.B, "10.88.0.2/24") })
        {
            await IpAsync(host, "address", "add", address, "dev", "eth1");
            await IpAsync(host, "link", "set", "eth1", "up");
        }

        await FoundAsync(watch, peer, "10.88.0.1");
        await IpAsync(lan.A, "link", "del", "eth1");
        await ExpiredAsync(watch, peer, "10.88.0.1");
        Assert.DoesNotContain(watch.Events("peerExpired"), e => Names(e, peer, "10.77.0.1"));
    }

    [Fact(Timeout = HangLimit)]
    public async Task Discovery_over_IPv6_alone()
    {
        await using TwoHosts lan = await TwoHosts.CreateAsync();
        await IpAsync(lan.A, "address", "flush", "dev", "eth0", "scope", "global");
        await IpAsync(lan.B, "address", "flush", "dev", "eth0", "scope", "global");
        await using LineProcess receive = TwoHosts.FastShare(lan.A, "receive", _folder, "--yes", "--ephemeral", "--listen", "/ip6/::/tcp/0");
        string peer = (await receive.EventAsync("listening")).GetProperty("peer").GetString()!;
        await using LineProcess ping = TwoHosts.FastShare(lan.B, "ping", peer, "--count", "1", "--ephemeral", "--listen", "/ip6/::/tcp/0");
        (int exit, string errors) = await ping.ExitAsync();
        Assert.True(exit == 0, errors);
        JsonElement found = Assert.Single(ping.Events("peerFound"), e => e.GetProperty("peer").GetString() == peer);
        Assert.All(found.GetProperty("addresses").EnumerateArray(), address =>
        {
            Assert.StartsWith("/ip6zone/", address.GetString(), StringComparison.Ordinal); // link-local, on the interface that heard it
            Assert.Contains("/ip6/fe80:", address.GetString()!, StringComparison.Ordinal);
        });
    }

    private static bool Names(JsonElement e, string peer, string ip) =>
        e.GetProperty("peer").GetString() == peer
        && e.GetProperty("addresses").ToString().Contains($"/ip4/{ip}/tcp/", StringComparison.Ordinal);

    private static async Task FoundAsync(LineProcess watch, string peer, string ip, int times = 1)
    {
        int seen = 0;
        // The event is looked for from the first on: the n-th that matches is what counts.
        await watch.EventAsync("peerFound", e => Names(e, peer, ip) && ++seen == times);
    }

    private static Task ExpiredAsync(LineProcess watch, string peer, string ip) =>
        watch.EventAsync("peerExpired", e => Names(e, peer, ip));

    private static async Task IpAsync(string host, params string[] arguments)
    {
        await using LineProcess ip = LineProcess.Start("ip", ["-n", host, .. arguments]);
        (int exit, string errors) = await ip.ExitAsync();
        Assert.True(exit == 0, $"ip {string.Join(' ', arguments)}: {errors}");
    }
}
