using System.Text.Json;
using FastShare.Transport.Identity;

namespace FastShare.Interop;

/// <summary>FastShare's mDNS with js-libp2p's and with Avahi, on a network of two hosts.</summary>
public sealed class MdnsInteropTests : IDisposable
{
    private const int HangLimit = 60_000;
    private readonly string _folder = Directory.CreateTempSubdirectory("fastshare-interop-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task FastShare_and_js_find_each_other_whoever_starts_first(bool jsFirst)
    {
        await using TwoHosts lan = await TwoHosts.CreateAsync();
        JsPeer? js = null;
        LineProcess? fastshare = null;
        try
        {
            if (jsFirst) js = await StartJsAsync(lan);
            fastshare = TwoHosts.FastShare(lan.A, "receive", _folder, "--yes", "--ephemeral");
            JsonElement listening = await fastshare.EventAsync("listening");
            js ??= await StartJsAsync(lan);
            string id = listening.GetProperty("peer").GetString()!;

            JsonElement found = await js.Process.EventAsync("found", e => e.GetProperty("peer").GetString() == id);
            Multiaddr[] addresses = [.. found.GetProperty("addresses").EnumerateArray().Select(a => Multiaddr.Parse(a.GetString()!))];
            Multiaddr reachable = Assert.Single(addresses, a => a.ToString().StartsWith("/ip4/10.77.0.1/tcp/", StringComparison.Ordinal));
            Assert.DoesNotContain(addresses, a => a.ToString().Contains("127.0.0.1", StringComparison.Ordinal));

            // What js announced is what FastShare found.
            await using LineProcess peers = TwoHosts.FastShare(lan.A, "peers", "--watch", "--ephemeral");
            JsonElement seen = await peers.EventAsync("peerFound", e => e.GetProperty("peer").GetString() == js.Id.ToString());
            Assert.Contains("/ip4/10.77.0.2/tcp/", seen.GetProperty("addresses").ToString(), StringComparison.Ordinal);

            // The hint is good: js connects to what it found.
            await js.DoAsync("dial", PeerId.Parse(id), new { address = reachable.WithPeerId(PeerId.Parse(id)) });
            Assert.True((await js.DoAsync("ping", PeerId.Parse(id))).GetDouble() >= 0);
        }
        finally
        {
            if (js is not null) await js.DisposeAsync();
            if (fastshare is not null) await fastshare.DisposeAsync();
        }
    }

    [Fact(Timeout = HangLimit)]
    public async Task FastShare_pings_a_js_peer_that_it_found_by_mdns()
    {
        await using TwoHosts lan = await TwoHosts.CreateAsync();
        await using JsPeer js = await StartJsAsync(lan);
        await using LineProcess ping = TwoHosts.FastShare(lan.A, "ping", js.Id.ToString(), "--count", "2", "--ephemeral");
        (int exit, string errors) = await ping.ExitAsync();
        Assert.True(exit == 0, errors);
        await js.Process.EventAsync("opened");
    }

    [Fact(Timeout = HangLimit)]
    public async Task Avahi_resolves_FastShare()
    {
        await using TwoHosts lan = await TwoHosts.CreateAsync();
        Prerequisite.Require(Prerequisite.FindProgram("avahi-daemon") is not null, "avahi-daemon is not installed");
        Prerequisite.Require(Prerequisite.FindProgram("avahi-browse") is not null, "avahi-browse (package avahi-utils) is not installed");
        Prerequisite.Require(Prerequisite.FindProgram("dbus-daemon") is not null, "dbus-daemon (package dbus) is not installed");
        await using LineProcess fastshare = TwoHosts.FastShare(lan.A, "receive", _folder, "--yes", "--ephemeral");
        JsonElement listening = await fastshare.EventAsync("listening");

        await using LineProcess browse = LineProcess.Start("bash", TwoHosts.Script("netns-avahi-browse.sh"), lan.B, "_p2p._udp", "20");
        (int exit, string errors) = await browse.ExitAsync();
        Assert.True(exit == 0, errors);
        // =;eth0;IPv4;INSTANCE;_p2p._udp;local;HOST.local;10.77.0.1;PORT;"dnsaddr=…" "dnsaddr=…"
        string[] resolved = [.. browse.OtherLines().Where(line => line.StartsWith("=;eth0;IPv4;", StringComparison.Ordinal))];
        string[] fields = Assert.Single(resolved).Split(';');
        Assert.Equal("10.77.0.1", fields[7]);
        string port = fields[8];
        Assert.Contains($"dnsaddr=/ip4/10.77.0.1/tcp/{port}/p2p/{listening.GetProperty("peer").GetString()}", fields[9], StringComparison.Ordinal);
        Assert.Contains($"/tcp/{port}", listening.GetProperty("addresses").ToString(), StringComparison.Ordinal);
    }

    private static Task<JsPeer> StartJsAsync(TwoHosts lan) =>
        JsPeer.StartAsync(new { mdns = true, listen = (string[])["/ip4/0.0.0.0/tcp/0"] }, TwoHosts.On(lan.B));
}
