using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using FastShare.Testing;
using FastShare.Testing.Sockets;
using FastShare.Transport.Identity;
using FastShare.Transport.Telemetry;

namespace FastShare.Transport.Tests.Connections;

/// <summary>What docs/telemetry.md promises.</summary>
public sealed class TelemetryTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_dial_its_connection_and_streams_are_counted_with_documented_tags()
    {
        using var meters = new Meters();
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a", meters.Configure), b = await nodes.StartAsync("b");
        b.Handle(Questions.Echo, Questions.EchoAsync);
        Assert.Equal(1, await Questions.AskAsync(a, await AddAsync(a, b), 1, Token));
        Assert.Equal(1, meters.Sum("fastshare.dial.started"));
        Assert.Equal(0, meters.Sum("fastshare.dial.failed"));
        await Eventually.BecomesTrueAsync(
            () => meters.Sum("fastshare.connection.active", "fastshare.direction=outbound") == 1, "the connection is counted");
        Assert.Equal(1, meters.Sum("fastshare.stream.opened", "fastshare.direction=outbound", $"fastshare.protocol={Questions.Echo}"));
        Assert.Equal(1, meters.Count("fastshare.connection.handshake.duration", "fastshare.direction=outbound"));
        await Eventually.BecomesTrueAsync(() => meters.Count("fastshare.dial.duration") == 1, "the dial's end is counted");
        await a.DisconnectAsync(b.LocalPeer, Token);
        Assert.Equal(0, meters.Sum("fastshare.connection.active", "fastshare.direction=outbound"));
        Assert.Equal(1, meters.Sum("fastshare.connection.closed", "fastshare.connection.close.cause=closed_here"));
    }

    [Fact]
    public async Task What_fails_is_counted_by_its_error()
    {
        using var meters = new Meters();
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a", meters.Configure), b = await nodes.StartAsync("b");
        using PeerIdentity nobody = PeerIdentity.Generate();
        await Assert.ThrowsAsync<TransportException>(
            async () => await a.ConnectAsync(nobody.PeerId, [Multiaddr.Parse("/memory/nobody")], Token));
        await Eventually.BecomesTrueAsync(() => meters.Sum("fastshare.dial.failed", "error.type=dial_failure") == 1, "it is counted");
        Assert.Equal(1, meters.Count("fastshare.dial.duration", "error.type=dial_failure"));
        PeerConnection connection = await a.ConnectAsync(await AddAsync(a, b), null, Token);
        await Assert.ThrowsAsync<TransportException>(async () => await connection.OpenStreamAsync("/nobody/has/this/1", Token));
        Assert.Equal(
            1, meters.Sum("fastshare.stream.failed", "fastshare.protocol=/nobody/has/this/1", "error.type=unsupported_protocol"));
        a.Handle("/test/broken/1", (_, _) => throw new InvalidOperationException("this handler is broken"));
        PeerConnection back = b.Connections[0];
        await Assert.ThrowsAnyAsync<TransportException>(async () =>
        {
            PeerStream stream = await back.OpenStreamAsync("/test/broken/1", Token);
            await stream.Input.ReadAtLeastAsync(1, Token);
        });
        await Eventually.BecomesTrueAsync(
            () => meters.Sum("fastshare.stream.failed", "fastshare.direction=inbound", "error.type=unknown") == 1, "it is counted");
    }

    [Fact]
    public async Task A_dial_is_an_activity_with_its_handshake_beneath_it()
    {
        var ended = new ConcurrentQueue<Activity>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == TransportInstruments.Name,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = ended.Enqueue,
        };
        ActivitySource.AddActivityListener(listener);
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        using PeerIdentity nobody = PeerIdentity.Generate();
        await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        await Assert.ThrowsAsync<TransportException>(
            async () => await a.ConnectAsync(nobody.PeerId, [Multiaddr.Parse("/memory/nobody")], Token));
        Activity? failed = null, dial = null;
        await Eventually.BecomesTrueAsync(
            () => (dial = DialTo(b.LocalPeer)) is not null && (failed = DialTo(nobody.PeerId)) is not null, "both dials ended");
        Assert.Equal(ActivityStatusCode.Unset, dial!.Status);
        Assert.Equal(1, dial.GetTagItem("fastshare.dial.addresses"));
        Activity handshake = Assert.Single(ended, one => one.OperationName == "fastshare.handshake" && one.ParentId == dial.Id);
        Assert.Equal(b.LocalPeer.ToString(), handshake.GetTagItem("fastshare.peer.id"));
        Assert.Equal(ActivityStatusCode.Error, failed!.Status);
        Assert.Equal("dial_failure", failed.GetTagItem("error.type"));

        Activity? DialTo(PeerId peer) => ended.FirstOrDefault(
            one => one.OperationName == "fastshare.dial" && (string?)one.GetTagItem("fastshare.peer.id") == peer.ToString());
    }

    [Fact]
    public void Every_metric_and_tag_value_is_documented()
    {
        using var meters = new Meters();
        _ = new TransportInstruments(meters.Create(new MeterOptions(TransportInstruments.Name)));
        string document = File.ReadAllText(Repository.PathOf("docs", "telemetry.md"));
        Assert.NotEmpty(meters.Names);
        foreach ((string name, string? unit) in meters.Names)
        {
            string row = Assert.Single(document.Split('\n'), line => line.StartsWith($"| `{name}` |", StringComparison.Ordinal));
            Assert.Contains($"`{unit}`", row, StringComparison.Ordinal);
        }

        foreach (string cause in new[] { "closed_here", "closed_by_peer", "idle", "surplus", "lost" })
            Assert.Contains($"`{cause}`", document, StringComparison.Ordinal);
        foreach (string stage in ConnectionTotals.StageNames) Assert.Contains($" | `{stage}` | connections | ", document, StringComparison.Ordinal);
        Assert.Equal("unsupported_protocol", TransportInstruments.ErrorType(TransportError.UnsupportedProtocol));
    }

    private static async Task<PeerId> AddAsync(Swarm to, Swarm peer)
    {
        await Task.Yield();
        to.AddAddresses(peer.LocalPeer, peer.ListenAddresses);
        return peer.LocalPeer;
    }
}
