using FastShare.Testing;
using FastShare.Testing.Dialing;
using FastShare.Testing.Sockets;
using FastShare.Transport.Dialing;
using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Dialing;

public sealed class ConnectionLimitsTests
{
    private static readonly PeerId Peer = PeerIdOf(0);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static PeerId PeerIdOf(int n)
    {
        byte[] multihash = new byte[34];
        (multihash[0], multihash[1]) = (0x12, 32);
        BitConverter.TryWriteBytes(multihash.AsSpan(2), n + 1);
        return PeerId.FromBytes(multihash);
    }

    private static Multiaddr Address(int n) => Multiaddr.Parse($"/ip4/192.168.0.{n}/tcp/4001");

    private static DialCandidate Near(int n) => new(Address(n), AddressScope.Private);

    private static async Task ExceedsAsync(string limit, Func<Task> connect)
    {
        var error = await Assert.ThrowsAsync<TransportException>(connect);
        Assert.Equal(TransportError.LimitExceeded, error.Error);
        Assert.Contains(limit, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Dials_beyond_the_limit_wait_in_line_first_come_first_served()
    {
        await using var net = new ScriptedDials(new ConnectionLimits { PendingOutbound = 2 });
        var waiting = new List<Task<string>>();
        for (int n = 0; n < 5; n++)
        {
            net.At(Address(n)).HoldsConnect();
            waiting.Add(net.ConnectAsync(PeerIdOf(n), [Near(n)], Token));
            await net.WhenDialedOrInLineAsync(n + 1);
        }

        for (int n = 0; n < 5; n++)
        {
            await Eventually.BecomesTrueAsync(() => net.Dialed.Count == Math.Min(5, n + 2), "those whose turn it is are dialed");
            Assert.Equal(Enumerable.Range(0, Math.Min(5, n + 2)).Select(PeerIdOf).Order(PeerOrder), net.Dialed.Order(PeerOrder));
            net.At(Address(n)).LetConnect();
            Assert.StartsWith(Address(n).ToString(), await waiting[n], StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Time_in_the_line_is_not_taken_from_the_dial()
    {
        await using var net = new ScriptedDials(new ConnectionLimits { PendingOutbound = 1 });
        net.At(Address(1)).HoldsUpgrade();
        net.At(Address(2)).HoldsUpgrade();
        Task<string> first = net.ConnectAsync(PeerIdOf(1), [Near(1)], Token);
        await net.At(Address(1)).Upgrading;
        Task<string> second = net.ConnectAsync(PeerIdOf(2), [Near(2)], Token);
        await net.WhenDialedOrInLineAsync(2);
        net.Time.Advance(ScriptedDials.DialTimeout);
        await Assert.ThrowsAsync<TransportException>(() => first);
        await net.At(Address(2)).Upgrading;
        net.Time.Advance(ScriptedDials.DialTimeout - TimeSpan.FromSeconds(1));
        Assert.False(second.IsCompleted);
        net.At(Address(2)).LetUpgrade();
        Assert.NotNull(await second);
    }

    [Fact]
    public async Task Those_who_leave_the_line_hold_up_nobody()
    {
        await using var net = new ScriptedDials(new ConnectionLimits { PendingOutbound = 1 });
        net.At(Address(1)).HoldsConnect();
        using var cancellation = new CancellationTokenSource();
        Task<string> first = net.ConnectAsync(PeerIdOf(1), [Near(1)], Token);
        await net.At(Address(1)).Connecting;
        Task<string> leaving = net.ConnectAsync(PeerIdOf(2), [Near(2)], cancellation.Token);
        await net.WhenDialedOrInLineAsync(2);
        Task<string> third = net.ConnectAsync(PeerIdOf(3), [Near(3)], Token);
        await net.WhenDialedOrInLineAsync(3);
        net.Dialer.Table.Establish(PeerIdOf(2), "inbound", null); // serves one that stands in line
        Assert.Equal("inbound", await leaving);
        await cancellation.CancelAsync();
        net.At(Address(1)).LetConnect();
        await first;
        Assert.NotNull(await third);
        Assert.Equal([PeerIdOf(1), PeerIdOf(3)], net.Dialed);
    }

    [Fact]
    public async Task Exempt_peers_do_not_stand_in_line()
    {
        var limits = new ConnectionLimits { PendingOutbound = 1, Outbound = 1 };
        await using var net = new ScriptedDials(limits);
        net.At(Address(1)).HoldsConnect();
        Task<string> first = net.ConnectAsync(PeerIdOf(1), [Near(1)], Token);
        await net.At(Address(1)).Connecting;
        limits.Exempt(PeerIdOf(2));
        Assert.NotNull(await net.ConnectAsync(PeerIdOf(2), [Near(2)], Token));
        Assert.Equal(2, net.Dialed.Count);
        limits.EndExemption(PeerIdOf(2));
        await ExceedsAsync("MaxOutboundConnections", () => net.ConnectAsync(PeerIdOf(3), [Near(3)], Token));
        Assert.False(first.IsCompleted);
    }

    [Fact]
    public async Task Outbound_connections_are_limited()
    {
        await using var net = new ScriptedDials(new ConnectionLimits { Outbound = 1 });
        net.Dialer.Table.Establish(PeerIdOf(9), "inbound", null);
        string first = await net.ConnectAsync(PeerIdOf(1), [Near(1)], Token);
        await ExceedsAsync("MaxOutboundConnections (1)", () => net.ConnectAsync(PeerIdOf(2), [Near(2)], Token));
        await ExceedsAsync("MaxOutboundConnections (1)", () => net.ConnectLaneAsync(PeerIdOf(1), [Near(1)], Token));
        Assert.Equal(first, await net.ConnectAsync(PeerIdOf(1), [Near(1)], Token)); // nothing new is needed
        net.Kill(first); // over, though its owner has not reported it yet
        Assert.NotNull(await net.ConnectAsync(PeerIdOf(2), [Near(2)], Token));
    }

    [Fact]
    public async Task Connections_with_one_peer_are_limited()
    {
        await using var net = new ScriptedDials(new ConnectionLimits { PerPeer = 2 });
        await net.ConnectAsync(Peer, [Near(1)], Token);
        await net.ConnectLaneAsync(Peer, [Near(1)], Token);
        await ExceedsAsync("MaxConnectionsPerPeer (2)", () => net.ConnectAsync(Peer, DialCondition.Always, [Near(1)], Token));
        TransportException? refused = net.Dialer.Table.Establish(Peer, "inbound", null).Refused;
        Assert.Equal(TransportError.LimitExceeded, refused!.Error);
        Assert.NotNull(await net.ConnectAsync(PeerIdOf(1), [Near(1)], Token));
    }

    [Fact]
    public async Task All_connections_together_are_limited()
    {
        await using var net = new ScriptedDials(new ConnectionLimits { Total = 2, Inbound = 100, Outbound = 100 });
        net.Dialer.Table.Establish(PeerIdOf(1), "inbound", null);
        string second = await net.ConnectAsync(PeerIdOf(2), [Near(2)], Token);
        Assert.True(net.Dialer.Table.IsFullForInbound);
        await ExceedsAsync("MaxConnections (2)", () => net.ConnectAsync(PeerIdOf(3), [Near(3)], Token));
        net.Lose(PeerIdOf(2), second);
        Assert.False(net.Dialer.Table.IsFullForInbound);
        Assert.NotNull(await net.ConnectAsync(PeerIdOf(3), [Near(3)], Token));
    }

    [Fact]
    public async Task A_connection_that_turns_out_to_be_one_too_many_is_a_failed_address()
    {
        await using var net = new ScriptedDials(new ConnectionLimits { PerPeer = 1 });
        net.At(Address(1)).HoldsUpgrade();
        Task<string> waiting = net.ConnectAsync(Peer, DialCondition.Always, [Near(1)], Token);
        await net.At(Address(1)).Upgrading;
        net.Dialer.Table.Establish(Peer, "inbound", null);
        net.At(Address(1)).LetUpgrade();
        var error = await Assert.ThrowsAsync<TransportException>(() => waiting);
        Assert.Equal(TransportError.DialFailure, error.Error);
        Assert.Equal(TransportError.LimitExceeded, Assert.Single(error.Attempts).Error);
        Assert.Single(net.Discarded);
        Assert.Equal(["inbound"], net.Dialer.Table.Connections);
    }

    [Fact]
    public async Task Inbound_connections_are_limited_but_not_for_exempt_peers()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync(null), b = await nodes.StartAsync(null), c = await nodes.StartAsync(null);
        Swarm busy = await nodes.StartAsync("busy", (identity, transport) => new SwarmOptions
        {
            Identity = identity,
            Transports = [transport],
            MaxInboundConnections = 1,
            ExemptPeers = [b.LocalPeer],
        });
        PeerConnection first = await a.ConnectAsync(busy.LocalPeer, busy.ListenAddresses, Token);
        await first.PingAsync(Token);
        PeerConnection exempt = await b.ConnectAsync(busy.LocalPeer, busy.ListenAddresses, Token);
        await exempt.PingAsync(Token);
        await RefusedAsync(c, busy);
        busy.ExemptFromLimits(c.LocalPeer);
        await (await c.ConnectAsync(busy.LocalPeer, null, Token)).PingAsync(Token);
        await first.PingAsync(Token);
        Assert.Equal(3, busy.Connections.Count);
    }

    [Fact]
    public async Task Inbound_connections_beyond_the_limit_are_closed_at_once()
    {
        await using var nodes = new TestNodes();
        Swarm busy = await nodes.StartAsync(
            "busy", (identity, transport) => new SwarmOptions { Identity = identity, Transports = [transport], MaxInboundConnections = 1 });
        Swarm a = await nodes.StartAsync(null), b = await nodes.StartAsync(null);
        PeerConnection first = await a.ConnectAsync(busy.LocalPeer, busy.ListenAddresses, Token);
        await first.PingAsync(Token);
        await RefusedAsync(b, busy);
        await using IAsyncEnumerator<SwarmEvent> events = busy.WatchAsync(Token).GetAsyncEnumerator(Token);
        await first.CloseAsync(Token);
        do Assert.True(await events.MoveNextAsync());
        while (events.Current is not SwarmEvent.Disconnected);
        await (await b.ConnectAsync(busy.LocalPeer, null, Token)).PingAsync(Token);
    }

    // The refused side may have finished the handshake: then it sees a connection that is closed.
    private static async Task RefusedAsync(Swarm from, Swarm busy)
    {
        try
        {
            await (await from.ConnectAsync(busy.LocalPeer, busy.ListenAddresses, Token)).Closed.WaitAsync(Token);
        }
        catch (TransportException e)
        {
            Assert.Equal(TransportError.DialFailure, e.Error);
        }
    }

    private static readonly IComparer<PeerId> PeerOrder =
        Comparer<PeerId>.Create((x, y) => string.CompareOrdinal(x.ToString(), y.ToString()));
}
