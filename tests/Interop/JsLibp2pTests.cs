using System.Text.Json;
using FastShare.Transport;
using FastShare.Transport.Identity;
using FastShare.Transport.Protocols;

namespace FastShare.Interop;

/// <summary>FastShare and js-libp2p over Noise.</summary>
public sealed class NoiseJsLibp2pTests() : JsLibp2pTests(SecurityMode.Noise, ProtocolIds.Noise);

/// <summary>FastShare and js-libp2p over plaintext.</summary>
public sealed class PlaintextJsLibp2pTests() : JsLibp2pTests(SecurityMode.InsecurePlaintext, ProtocolIds.Plaintext);

/// <summary>What must work between FastShare and js-libp2p whatever secures the connection and whoever dials.</summary>
public abstract class JsLibp2pTests(SecurityMode security, string securityProtocol)
{
    private const int HangLimit = 60_000;

    // js-libp2p is slow: enough to pass every initial window many times over.
    private const int PerfBytes = 32 << 20;

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Both_ends_know_each_other_and_how_they_are_connected(bool jsDials)
    {
        await using Pair pair = await Pair.ConnectAsync(security, jsDials);
        Assert.Equal(pair.Js.Id, pair.Connection.Peer);
        Assert.Equal(jsDials, pair.Connection.IsInbound);
        Assert.Equal(securityProtocol, pair.Connection.Security);
        JsonElement other = Assert.Single((await pair.Js.DoAsync("connections")).EnumerateArray());
        Assert.Equal(pair.Swarm.LocalPeer.ToString(), other.GetProperty("peer").GetString());
        Assert.Equal(jsDials ? "outbound" : "inbound", other.GetProperty("direction").GetString());
        Assert.Equal(securityProtocol, other.GetProperty("security").GetString());
        Assert.Equal(ProtocolIds.Yamux, other.GetProperty("muxer").GetString());
    }

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Both_ping_each_other(bool jsDials)
    {
        await using Pair pair = await Pair.ConnectAsync(security, jsDials);
        for (int i = 0; i < 3; i++)
        {
            Assert.True(await pair.Connection.PingAsync() > TimeSpan.Zero);
            Assert.True((await pair.Js.DoAsync("ping", new { peer = pair.Swarm.LocalPeer })).GetDouble() >= 0);
        }
    }

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Both_identify_each_other(bool jsDials)
    {
        await using Pair pair = await Pair.ConnectAsync(security, jsDials);

        PeerDescription js = await pair.Connection.IdentifyAsync();
        Assert.StartsWith("js-libp2p/", js.AgentVersion, StringComparison.Ordinal);
        Assert.Equal("ipfs/0.1.0", js.ProtocolVersion);
        Assert.Contains(InteropProtocols.Echo, js.Protocols);
        Assert.Contains(ProtocolIds.Ping, js.Protocols);
        Assert.Contains(pair.Js.Addresses[0].WithoutPeerId(), js.ListenAddresses.Select(a => a.WithoutPeerId()));
        // js sees the address that FastShare dialed from, or has as its listen address
        Assert.StartsWith("/ip4/127.0.0.1/tcp/", js.ObservedAddress?.ToString(), StringComparison.Ordinal);

        JsonElement own = await pair.Js.DoAsync("identify", new { peer = pair.Swarm.LocalPeer });
        Assert.Equal("fastshare/interop", own.GetProperty("agentVersion").GetString());
        string[] protocols = [.. own.GetProperty("protocols").EnumerateArray().Select(p => p.GetString()!)];
        Assert.Superset(
            new HashSet<string> { ProtocolIds.Ping, ProtocolIds.Identify, ProtocolIds.Perf, InteropProtocols.Echo, InteropProtocols.Digest },
            new HashSet<string>(protocols));
        Assert.Contains(
            pair.Swarm.ListenAddresses[0].ToString(),
            own.GetProperty("listenAddresses").EnumerateArray().Select(a => Multiaddr.Parse(a.GetString()!).WithoutPeerId()!.ToString()));
        Assert.StartsWith("/ip4/127.0.0.1/tcp/", own.GetProperty("observedAddress").GetString(), StringComparison.Ordinal);
    }

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Perf_runs_from_both_ends_in_both_directions(bool jsDials)
    {
        await using Pair pair = await Pair.ConnectAsync(security, jsDials);
        foreach ((int upload, int download) in new[] { (PerfBytes, 0), (0, PerfBytes), (1 << 20, 1 << 20), (0, 0) })
        {
            PerfResult own = await PerfClient.RunAsync(pair.Connection, (ulong)upload, (ulong)download);
            Assert.Equal(((ulong)upload, (ulong)download), (own.UploadBytes, own.DownloadBytes));
            JsonElement js = await pair.Js.DoAsync("perf", new { peer = pair.Swarm.LocalPeer, upload, download });
            Assert.Equal(download, js.GetProperty("received").GetInt64());
        }
    }

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Fifty_streams_at_once_echo_from_either_end(bool jsDials)
    {
        await using Pair pair = await Pair.ConnectAsync(security, jsDials);
        var random = new Random(5);
        // up to twice the initial window, with the edges
        int[] sizes = [0, 1, 262_143, 262_144, 262_145, .. Enumerable.Range(0, 45).Select(_ => random.Next(600_000))];
        Task<JsonElement> fromJs = pair.Js.DoAsync("echo", new { peer = pair.Swarm.LocalPeer, sizes });
        await Task.WhenAll(sizes.Select(async size =>
        {
            byte[] bytes = new byte[size];
            Random.Shared.NextBytes(bytes);
            await InteropProtocols.EchoAsync(await pair.OpenAsync(InteropProtocols.Echo), bytes);
        }));
        Assert.Equal(sizes.Sum(), (await fromJs).GetInt32());
    }

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_request_ended_by_half_close_is_answered(bool jsDials)
    {
        await using Pair pair = await Pair.ConnectAsync(security, jsDials);
        foreach (int size in new[] { 0, 1, 100_000, 3 << 20 })
        {
            byte[] request = new byte[size];
            Random.Shared.NextBytes(request);
            Assert.Equal(InteropProtocols.DigestOf(request), await InteropProtocols.RequestAsync(await pair.OpenAsync(InteropProtocols.Digest), request));
            JsonElement js = await pair.Js.DoAsync("digest", new { peer = pair.Swarm.LocalPeer, size });
            Assert.Equal(js.GetProperty("sent").GetString(), js.GetProperty("answered").GetString());
        }
    }

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_direction_that_ended_leaves_the_other_open(bool jsDials)
    {
        await using Pair pair = await Pair.ConnectAsync(security, jsDials);

        PeerStream stream = await pair.OpenAsync(InteropProtocols.Early);
        await using (stream)
        {
            Assert.Equal("early", await InteropProtocols.ReadTextAsync(stream.Input));
            byte[] late = new byte[1 << 20];
            Random.Shared.NextBytes(late);
            await stream.Output.WriteAsync(late);
            await stream.Output.CompleteAsync();
            JsonElement drained = await pair.Js.Process.EventAsync("drained");
            Assert.Equal(InteropProtocols.DigestOf(late), drained.GetProperty("sha256").GetString());
        }

        JsonElement js = await pair.Js.DoAsync("early", new { peer = pair.Swarm.LocalPeer, size = 1 << 20 });
        Assert.Equal("early", js.GetProperty("answered").GetString());
        Assert.Equal(js.GetProperty("sent").GetString(), await pair.DrainedAsync());
    }

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_reset_ends_one_stream_and_only_that(bool jsDials)
    {
        await using Pair pair = await Pair.ConnectAsync(security, jsDials);

        // js resets what FastShare opened
        PeerStream stream = await pair.OpenAsync(InteropProtocols.Reset);
        await using (stream)
        {
            await stream.Output.WriteAsync(new byte[1000]);
            TransportException error = await Assert.ThrowsAsync<TransportException>(() => InteropProtocols.ReadTextAsync(stream.Input));
            Assert.Equal(TransportError.StreamReset, error.Error);
        }

        // FastShare resets what js opened
        JsonElement seen = await pair.Js.DoAsync("awaitReset", new { peer = pair.Swarm.LocalPeer, protocol = InteropProtocols.Reset });
        Assert.Equal("StreamResetError", seen.GetString());

        // js resets what js opened
        await pair.Js.DoAsync("reset", new { peer = pair.Swarm.LocalPeer, protocol = InteropProtocols.Echo });
        Assert.Equal(TransportError.StreamReset, Assert.IsType<TransportException>(await pair.FailedAsync()).Error);

        await InteropProtocols.EchoAsync(await pair.OpenAsync(InteropProtocols.Echo), new byte[1000]);
        Assert.Single(pair.Swarm.Connections);
    }

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_unknown_protocol_is_refused_and_the_connection_stays(bool jsDials)
    {
        await using Pair pair = await Pair.ConnectAsync(security, jsDials);
        TransportException error = await Assert.ThrowsAsync<TransportException>(async () =>
        {
            await using PeerStream stream = await pair.OpenAsync("/interop/nobody-speaks-this/1");
            await InteropProtocols.ReadTextAsync(stream.Input);
        });
        Assert.Equal(TransportError.UnsupportedProtocol, error.Error);
        Assert.Equal("UnsupportedProtocolError", (await pair.Js.DoAsync("unsupported", new { peer = pair.Swarm.LocalPeer })).GetString());
        await InteropProtocols.EchoAsync(await pair.OpenAsync(InteropProtocols.Echo), new byte[1000]);
    }

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_connection_that_js_closes_ends_here_too(bool jsDials)
    {
        await using Pair pair = await Pair.ConnectAsync(security, jsDials);
        PeerConnection connection = pair.Connection;
        await using PeerStream open = await connection.OpenStreamAsync(InteropProtocols.Digest);
        await open.Output.WriteAsync(new byte[10]);
        await pair.Js.DoAsync("hangUp", new { peer = pair.Swarm.LocalPeer });
        await connection.Closed;
        TransportException error = await Assert.ThrowsAsync<TransportException>(() => InteropProtocols.ReadTextAsync(open.Input));
        // js resets its streams before it says goodbye; which of the two gets here first is its affair
        Assert.Contains(error.Error, new[] { TransportError.ConnectionClosed, TransportError.ConnectionReset, TransportError.StreamReset });
        Assert.Equal(
            TransportError.ConnectionClosed,
            (await Assert.ThrowsAsync<TransportException>(async () => await connection.OpenStreamAsync(InteropProtocols.Echo))).Error);

        // and the peer can be dialed again
        await pair.Swarm.ConnectAsync(pair.Js.Id, pair.Js.Addresses);
        await InteropProtocols.EchoAsync(await pair.OpenAsync(InteropProtocols.Echo), new byte[1000]);
    }

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_connection_that_FastShare_closes_ends_there_too(bool jsDials)
    {
        await using Pair pair = await Pair.ConnectAsync(security, jsDials);
        await pair.Connection.CloseAsync();
        JsonElement closed = await pair.Js.Process.EventAsync("closed");
        Assert.Equal(pair.Swarm.LocalPeer.ToString(), closed.GetProperty("peer").GetString());
        Assert.Empty(pair.Swarm.Connections);
    }

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Large_windows_of_js_are_used_and_kept(bool jsDials)
    {
        await using Pair pair = await Pair.ConnectAsync(security, jsDials, jsWindow: 8 << 20);
        byte[] request = new byte[24 << 20];
        Random.Shared.NextBytes(request);
        Assert.Equal(InteropProtocols.DigestOf(request), await InteropProtocols.RequestAsync(await pair.OpenAsync(InteropProtocols.Digest), request));
        JsonElement js = await pair.Js.DoAsync("digest", new { peer = pair.Swarm.LocalPeer, size = 24 << 20 });
        Assert.Equal(js.GetProperty("sent").GetString(), js.GetProperty("answered").GetString());
    }

    [Fact(Timeout = HangLimit)]
    public async Task Another_peer_id_than_the_dialed_one_is_refused()
    {
        await using Pair pair = await Pair.StartAsync(security);
        using PeerIdentity stranger = PeerIdentity.Generate();
        TransportException error = await Assert.ThrowsAsync<TransportException>(
            async () => await pair.Swarm.ConnectAsync(stranger.PeerId, [pair.Js.Addresses[0].WithPeerId(stranger.PeerId)]));
        Assert.Contains(TransportError.PeerIdMismatch, error.Attempts.Select(a => a.Error).Append(error.Error));
        Assert.Empty(pair.Swarm.Connections);

        await Assert.ThrowsAsync<JsPeerException>(() => pair.Js.DoAsync("dial", new { address = pair.Address.WithPeerId(stranger.PeerId) }));
        await pair.Js.DoAsync("dial", new { address = pair.Address });
    }

    [Fact(Timeout = HangLimit)]
    public async Task Fifty_requests_at_once_to_an_undialed_peer_share_one_dial()
    {
        await using Pair pair = await Pair.StartAsync(security);
        pair.Swarm.AddAddresses(pair.Js.Id, pair.Js.Addresses);
        await Task.WhenAll(Enumerable.Range(0, 50).Select(async i =>
        {
            byte[] request = new byte[i * 1000];
            Random.Shared.NextBytes(request);
            PeerStream stream = await pair.Swarm.OpenStreamAsync(pair.Js.Id, InteropProtocols.Digest);
            Assert.Equal(InteropProtocols.DigestOf(request), await InteropProtocols.RequestAsync(stream, request));
        }));
        Assert.Equal(1, pair.Swarm.DialCount(pair.Js.Id));
        Assert.Single((await pair.Js.DoAsync("connections")).EnumerateArray());
    }

    [Fact(Timeout = HangLimit)]
    public async Task Both_dialing_at_once_leaves_both_able_to_talk()
    {
        await using Pair pair = await Pair.StartAsync(security);
        Task<JsonElement> js = pair.Js.DoAsync("dial", new { address = pair.Address });
        await pair.Swarm.ConnectAsync(pair.Js.Id, pair.Js.Addresses);
        await js;
        Assert.InRange(pair.Swarm.Connections.Count, 1, 2);
        await InteropProtocols.EchoAsync(await pair.Swarm.OpenStreamAsync(pair.Js.Id, InteropProtocols.Echo), new byte[10_000]);
        await pair.Js.DoAsync("echo", new { peer = pair.Swarm.LocalPeer, sizes = (int[])[10_000] });
    }
}
