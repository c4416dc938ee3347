using System.IO.Pipelines;
using System.Text.Json;
using FastShare.Transport;
using FastShare.Transport.Identity;
using FastShare.Transport.Protocols;

namespace FastShare.Interop;

/// <summary>FastShare and js-libp2p over Noise.</summary>
public sealed class NoiseJsLibp2pTests(JsPeers peers) : JsLibp2pTests(SecurityMode.Noise, ProtocolIds.Noise, peers);

/// <summary>FastShare and js-libp2p over plaintext.</summary>
public sealed class PlaintextJsLibp2pTests(JsPeers peers) : JsLibp2pTests(SecurityMode.InsecurePlaintext, ProtocolIds.Plaintext, peers);

/// <summary>What must work between FastShare and js-libp2p whatever secures the connection and whoever dials.</summary>
public abstract class JsLibp2pTests(SecurityMode security, string securityProtocol, JsPeers peers) : IClassFixture<JsPeers>
{
    private const int HangLimit = 60_000;

    // js-libp2p is slow: enough to pass every initial window many times over.
    private const int PerfBytes = 32 << 20;

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Both_ends_know_each_other_and_how_they_are_connected(bool jsDials)
    {
        await using Pair pair = await ConnectAsync(jsDials);
        Assert.Equal(pair.Js.Id, pair.Connection.Peer);
        Assert.Equal(jsDials, pair.Connection.IsInbound);
        Assert.Equal(securityProtocol, pair.Connection.Security);
        JsonElement other = Assert.Single((await pair.DoAsync("connections")).EnumerateArray());
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
        await using Pair pair = await ConnectAsync(jsDials);
        for (int i = 0; i < 3; i++)
        {
            Assert.True(await pair.Connection.PingAsync() > TimeSpan.Zero);
            Assert.True((await pair.DoAsync("ping")).GetDouble() >= 0);
        }
    }

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Both_identify_each_other(bool jsDials)
    {
        await using Pair pair = await ConnectAsync(jsDials);

        PeerDescription js = await pair.Connection.IdentifyAsync();
        Assert.StartsWith("js-libp2p/", js.AgentVersion, StringComparison.Ordinal);
        Assert.Equal("ipfs/0.1.0", js.ProtocolVersion);
        Assert.Contains(InteropProtocols.Echo, js.Protocols);
        Assert.Contains(ProtocolIds.Ping, js.Protocols);
        Assert.Contains(pair.Js.Addresses[0].WithoutPeerId(), js.ListenAddresses.Select(a => a.WithoutPeerId()));
        // js sees the address that FastShare dialed from, or has as its listen address
        Assert.StartsWith("/ip4/127.0.0.1/tcp/", js.ObservedAddress?.ToString(), StringComparison.Ordinal);

        JsonElement own = await pair.DoAsync("identify");
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
        await using Pair pair = await ConnectAsync(jsDials);
        foreach ((int upload, int download) in new[] { (PerfBytes, 0), (0, PerfBytes), (1 << 20, 1 << 20), (0, 0) })
        {
            PerfResult own = await PerfClient.RunAsync(pair.Connection, (ulong)upload, (ulong)download);
            Assert.Equal(((ulong)upload, (ulong)download), (own.UploadBytes, own.DownloadBytes));
            JsonElement js = await pair.DoAsync("perf", new { upload, download });
            Assert.Equal(download, js.GetProperty("received").GetInt64());
        }
    }

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Fifty_streams_at_once_echo_from_either_end(bool jsDials)
    {
        await using Pair pair = await ConnectAsync(jsDials);
        var random = new Random(5);
        // up to twice the initial window, with the edges
        int[] sizes = [0, 1, 262_143, 262_144, 262_145, .. Enumerable.Range(0, 45).Select(_ => random.Next(600_000))];
        Task<JsonElement> fromJs = pair.DoAsync("echo", new { sizes });
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
        await using Pair pair = await ConnectAsync(jsDials);
        foreach (int size in new[] { 0, 1, 100_000, 3 << 20 })
        {
            byte[] request = new byte[size];
            Random.Shared.NextBytes(request);
            Assert.Equal(InteropProtocols.DigestOf(request), await InteropProtocols.RequestAsync(await pair.OpenAsync(InteropProtocols.Digest), request));
            JsonElement js = await pair.DoAsync("digest", new { size });
            Assert.Equal(js.GetProperty("sent").GetString(), js.GetProperty("answered").GetString());
        }
    }

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_direction_that_ended_leaves_the_other_open(bool jsDials)
    {
        await using Pair pair = await ConnectAsync(jsDials);

        PeerStream stream = await pair.OpenAsync(InteropProtocols.Early);
        await using (stream)
        {
            Assert.Equal("early", await InteropProtocols.ReadTextAsync(stream.Input));
            byte[] late = new byte[1 << 20];
            Random.Shared.NextBytes(late);
            await stream.Output.WriteAsync(late);
            await stream.Output.CompleteAsync();
            JsonElement drained = await pair.EventAsync("drained");
            Assert.Equal(InteropProtocols.DigestOf(late), drained.GetProperty("sha256").GetString());
        }

        JsonElement js = await pair.DoAsync("early", new { size = 1 << 20 });
        Assert.Equal("early", js.GetProperty("answered").GetString());
        Assert.Equal(js.GetProperty("sent").GetString(), await pair.DrainedAsync());
    }

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_reset_ends_one_stream_and_only_that(bool jsDials)
    {
        await using Pair pair = await ConnectAsync(jsDials);

        // js resets what FastShare opened
        PeerStream stream = await pair.OpenAsync(InteropProtocols.Reset);
        await using (stream)
        {
            await stream.Output.WriteAsync(new byte[1000]);
            TransportException error = await Assert.ThrowsAsync<TransportException>(() => InteropProtocols.ReadTextAsync(stream.Input));
            Assert.Equal(TransportError.StreamReset, error.Error);
        }

        // FastShare resets what js opened
        JsonElement seen = await pair.DoAsync("awaitReset", new { protocol = InteropProtocols.Reset });
        Assert.Equal("StreamResetError", seen.GetString());

        // js resets what js opened
        await pair.DoAsync("reset", new { protocol = InteropProtocols.Echo });
        Assert.Equal(TransportError.StreamReset, Assert.IsType<TransportException>(await pair.FailedAsync()).Error);

        await InteropProtocols.EchoAsync(await pair.OpenAsync(InteropProtocols.Echo), new byte[1000]);
        Assert.Single(pair.Swarm.Connections);
    }

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_unknown_protocol_is_refused_and_the_connection_stays(bool jsDials)
    {
        await using Pair pair = await ConnectAsync(jsDials);
        TransportException error = await Assert.ThrowsAsync<TransportException>(async () =>
        {
            await using PeerStream stream = await pair.OpenAsync("/interop/nobody-speaks-this/1");
            await InteropProtocols.ReadTextAsync(stream.Input);
        });
        Assert.Equal(TransportError.UnsupportedProtocol, error.Error);
        Assert.Equal("UnsupportedProtocolError", (await pair.DoAsync("unsupported")).GetString());
        await InteropProtocols.EchoAsync(await pair.OpenAsync(InteropProtocols.Echo), new byte[1000]);
    }

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_connection_that_js_closes_ends_here_too(bool jsDials)
    {
        await using Pair pair = await ConnectAsync(jsDials);
        PeerConnection connection = pair.Connection;
        await using PeerStream open = await connection.OpenStreamAsync(InteropProtocols.Digest);
        await open.Output.WriteAsync(new byte[10]);
        await pair.DoAsync("hangUp");
        await connection.Closed;
        // js ends or resets its streams before it says goodbye, as it is in the mood; a read never hangs
        if (await Record.ExceptionAsync(() => InteropProtocols.ReadTextAsync(open.Input)) is { } error)
        {
            Assert.Contains(
                Assert.IsType<TransportException>(error).Error,
                new[] { TransportError.ConnectionClosed, TransportError.ConnectionReset, TransportError.StreamReset });
        }

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
        await using Pair pair = await ConnectAsync(jsDials);
        await pair.Connection.CloseAsync();
        JsonElement closed = await pair.EventAsync("closed");
        Assert.Equal(pair.Swarm.LocalPeer.ToString(), closed.GetProperty("peer").GetString());
        Assert.Empty(pair.Swarm.Connections);
    }

    [Theory(Timeout = HangLimit)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_stream_whose_reader_waits_holds_up_no_other_and_loses_nothing(bool jsDials)
    {
        const string Patient = "/interop/patient/1";
        await using Pair pair = await ConnectAsync(jsDials);
        var stalled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var proceed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        pair.Swarm.Handle(Patient, async (stream, cancellationToken) =>
        {
            ReadResult first = await stream.Input.ReadAsync(cancellationToken);
            stream.Input.AdvanceTo(first.Buffer.Start, first.Buffer.Start);
            stalled.SetResult();
            await proceed.Task.WaitAsync(cancellationToken);
            await InteropProtocols.AnswerDigestAsync(stream, cancellationToken);
        });

        Task<JsonElement> request = pair.DoAsync("digest", new { protocol = Patient, size = 16 << 20 });
        await stalled.Task;
        await pair.DoAsync("echo", new { sizes = (int[])[1_000_000] });
        await InteropProtocols.EchoAsync(await pair.OpenAsync(InteropProtocols.Echo), new byte[1_000_000]);
        Assert.False(request.IsCompleted);
        proceed.SetResult();
        JsonElement digest = await request;
        Assert.Equal(digest.GetProperty("sent").GetString(), digest.GetProperty("answered").GetString());
    }

    [Fact(Timeout = HangLimit)]
    public async Task Another_peer_id_than_the_dialed_one_is_refused()
    {
        await using Pair pair = await StartAsync();
        using PeerIdentity stranger = PeerIdentity.Generate();
        TransportException error = await Assert.ThrowsAsync<TransportException>(
            async () => await pair.Swarm.ConnectAsync(stranger.PeerId, [pair.Js.Addresses[0].WithPeerId(stranger.PeerId)]));
        Assert.Contains(TransportError.PeerIdMismatch, error.Attempts.Select(a => a.Error).Append(error.Error));
        Assert.Empty(pair.Swarm.Connections);

        await Assert.ThrowsAsync<JsPeerException>(() => pair.DoAsync("dial", new { address = pair.Address.WithPeerId(stranger.PeerId) }));
        await pair.DoAsync("dial", new { address = pair.Address });
    }

    [Fact(Timeout = HangLimit)]
    public async Task Fifty_requests_at_once_to_an_undialed_peer_share_one_dial()
    {
        await using Pair pair = await StartAsync();
        pair.Swarm.AddAddresses(pair.Js.Id, pair.Js.Addresses);
        await Task.WhenAll(Enumerable.Range(0, 50).Select(async i =>
        {
            byte[] request = new byte[i * 1000];
            Random.Shared.NextBytes(request);
            PeerStream stream = await pair.Swarm.OpenStreamAsync(pair.Js.Id, InteropProtocols.Digest);
            Assert.Equal(InteropProtocols.DigestOf(request), await InteropProtocols.RequestAsync(stream, request));
        }));
        Assert.Equal(1, pair.Swarm.DialCount(pair.Js.Id));
        Assert.Single((await pair.DoAsync("connections")).EnumerateArray());
    }

    [Fact(Timeout = HangLimit)]
    public async Task Both_dialing_at_once_leaves_both_able_to_talk()
    {
        await using Pair pair = await StartAsync();
        Task<JsonElement> js = pair.DoAsync("dial", new { address = pair.Address });
        await pair.Swarm.ConnectAsync(pair.Js.Id, pair.Js.Addresses);
        await js;
        Assert.InRange(pair.Swarm.Connections.Count, 1, 2);
        await InteropProtocols.EchoAsync(await pair.Swarm.OpenStreamAsync(pair.Js.Id, InteropProtocols.Echo), new byte[10_000]);
        await pair.DoAsync("echo", new { sizes = (int[])[10_000] });
    }

    private async Task<Pair> StartAsync() => await Pair.StartAsync(security, await peers.GetAsync(security));

    private async Task<Pair> ConnectAsync(bool jsDials) => await Pair.ConnectAsync(security, await peers.GetAsync(security), jsDials);
}
