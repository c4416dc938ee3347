using FastShare.Testing.Dialing;
using FastShare.Testing.Sockets;
using FastShare.Transport.Dialing;
using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;

namespace FastShare.Transport.Tests.Dialing;

/// <summary>The order of a dial: condition, veto, addresses; and what a policy may deny.</summary>
public sealed class DialOrderTests
{
    private static readonly PeerId Peer = PeerId.Parse("12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static Multiaddr Address(int n) => Multiaddr.Parse($"/ip4/192.168.0.{n}/tcp/4001");

    private static DialCandidate Near(int n) => new(Address(n), AddressScope.Private);

    private static TransportException Denial(string why) => new(TransportError.ConnectionDenied, why);

    [Fact]
    public async Task A_veto_comes_before_addresses_and_starts_nothing()
    {
        await using var net = new ScriptedDials { Veto = _ => throw Denial("not this one") };
        var error = await Assert.ThrowsAsync<TransportException>(() => net.ConnectAsync(Peer, [], Token));
        Assert.Equal(TransportError.ConnectionDenied, error.Error);
        error = await Assert.ThrowsAsync<TransportException>(() => net.ConnectLaneAsync(Peer, [Near(1)], Token));
        Assert.Equal(TransportError.ConnectionDenied, error.Error);
        Assert.Empty(net.Dialed);
        Assert.Equal(0, net.Dialer.Table.PendingCount(Peer));
    }

    [Fact]
    public async Task The_condition_comes_before_the_veto()
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsConnect();
        Task<string> first = net.ConnectAsync(Peer, [Near(1)], Token);
        await net.At(Address(1)).Connecting;
        net.Veto = _ => throw Denial("no new dials");
        Task<string> second = net.ConnectAsync(Peer, [Near(2)], Token); // joins: nothing is started
        net.At(Address(1)).LetConnect();
        Assert.Equal(await first, await second);
        Assert.Equal(await first, await net.ConnectAsync(Peer, DialCondition.Disconnected, [], Token));
        await Assert.ThrowsAsync<TransportException>(() => net.ConnectAsync(Peer, DialCondition.Always, [Near(2)], Token));
    }

    [Fact]
    public async Task Given_and_known_addresses_are_tried_each_once()
    {
        await using var net = new ScriptedDials();
        net.Know(Peer, Near(2), Near(1), Near(3));
        foreach (int n in new[] { 1, 2, 3, 4 }) net.At(Address(n)).Fails(TransportError.ConnectionRefused, "refused");
        var error = await Assert.ThrowsAsync<TransportException>(() => net.ConnectAsync(Peer, [Near(4), Near(2)], Token));
        Assert.Equal([Address(4), Address(2), Address(1), Address(3)], error.Attempts.Select(a => a.Address));
        Assert.All(new[] { 1, 2, 3, 4 }, n => Assert.Equal(1, net.At(Address(n)).Connects));
    }

    [Fact]
    public async Task Known_addresses_can_be_left_out()
    {
        await using var net = new ScriptedDials();
        net.Know(Peer, Near(2));
        net.At(Address(1)).Fails(TransportError.ConnectionRefused, "refused");
        var request = new DialRequest(DialCondition.DisconnectedAndNotDialing, [Near(1)], ScriptedDials.DialTimeout) { UsesKnown = false };
        var error = await Assert.ThrowsAsync<TransportException>(async () => await net.Dialer.ConnectAsync(Peer, request, Token));
        Assert.Equal([Address(1)], error.Attempts.Select(a => a.Address));
        error = await Assert.ThrowsAsync<TransportException>(
            async () => await net.Dialer.ConnectAsync(Peer, request with { Candidates = [] }, Token));
        Assert.Equal(TransportError.NoAddresses, error.Error);
    }

    [Fact]
    public async Task A_time_out_of_ones_own_ends_the_dial_that_it_started()
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsConnect();
        var request = new DialRequest(DialCondition.DisconnectedAndNotDialing, [Near(1)], TimeSpan.FromSeconds(2));
        Task<string> waiting = net.Dialer.ConnectAsync(Peer, request, Token).AsTask();
        await net.At(Address(1)).Connecting;
        net.Time.Advance(TimeSpan.FromSeconds(2));
        var error = await Assert.ThrowsAsync<TransportException>(() => waiting);
        Assert.Equal(TransportError.Timeout, Assert.Single(error.Attempts).Error);
    }

    [Fact]
    public async Task Own_listen_addresses_are_not_dialed()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartTcpAsync(), b = await nodes.StartTcpAsync();
        var error = await Assert.ThrowsAsync<TransportException>(
            async () => await a.ConnectAsync(b.LocalPeer, a.ListenAddresses, Token));
        Assert.Equal(TransportError.NoAddresses, error.Error);
        PeerConnection connection = await a.ConnectAsync(b.LocalPeer, [.. a.ListenAddresses, .. b.ListenAddresses], Token);
        Assert.Equal(b.ListenAddresses[0], connection.RemoteAddress);
    }

    [Fact]
    public async Task A_denied_connection_is_one_failed_address_and_the_next_one_is_tried()
    {
        await using var net = new ScriptedDials();
        net.Deny = connection =>
        {
            if (!connection.StartsWith(Address(3).ToString(), StringComparison.Ordinal)) throw Denial("wrong network");
        };
        Task<string>[] waiting = [.. Enumerable.Range(0, 10).Select(_ => net.ConnectAsync(Peer, [Near(1), Near(2), Near(3)], Token))];
        foreach (Task<string> one in waiting)
            Assert.StartsWith(Address(3).ToString(), await one, StringComparison.Ordinal);
        Assert.Equal(2, net.Discarded.Count);
        Assert.Single(net.Dialer.Table.Connections);
        Assert.Empty(net.FailedAddresses); // they led to the peer: no reason to forget them
    }

    [Fact]
    public async Task When_the_policy_denies_all_connections_the_failure_says_so_for_each_address()
    {
        await using var net = new ScriptedDials { Deny = _ => throw Denial("wrong network") };
        net.At(Address(2)).Fails(TransportError.ConnectionRefused, "refused");
        var error = await Assert.ThrowsAsync<TransportException>(() => net.ConnectAsync(Peer, [Near(1), Near(2)], Token));
        Assert.Equal(TransportError.DialFailure, error.Error);
        Assert.Equal(
            [new DialAttempt(Address(1), TransportError.ConnectionDenied, "wrong network"),
                new DialAttempt(Address(2), TransportError.ConnectionRefused, "refused")],
            error.Attempts);
    }

    [Fact]
    public async Task A_connection_that_comes_in_and_is_denied_does_not_swallow_those_who_wait()
    {
        await using var nodes = new TestNodes();
        var policy = new Policy { DeniesInbound = true };
        Swarm a = await nodes.StartAsync("a", (identity, transport) => Options(identity, transport, policy));
        Swarm b = await nodes.StartAsync("b");
        Multiaddr silent = Multiaddr.Parse("/memory/silent"); // connects, and never says a word
        await using IListener listener = await nodes.Memory.ListenAsync(silent, Token);
        Task<PeerConnection>[] waiting =
            [.. Enumerable.Range(0, 20).Select(_ => a.ConnectAsync(b.LocalPeer, [silent], Token).AsTask())];
        await listener.AcceptAsync(Token);
        PeerConnection denied = await b.ConnectAsync(a.LocalPeer, a.ListenAddresses, Token);
        await denied.Closed;
        Assert.All(waiting, one => Assert.False(one.IsCompleted));
        a.AddAddresses(b.LocalPeer, b.ListenAddresses);
        foreach (Task<PeerConnection> one in waiting) Assert.False((await one).IsInbound);
        Assert.Equal(1, a.DialCount(b.LocalPeer));
        Assert.Contains((b.LocalPeer, true), policy.Asked);
    }

    [Fact]
    public async Task A_dial_that_the_policy_denies_is_served_by_a_connection_that_comes_in()
    {
        await using var nodes = new TestNodes();
        var policy = new Policy { DeniesOutbound = true };
        Swarm a = await nodes.StartAsync("a", (identity, transport) => Options(identity, transport, policy));
        Swarm b = await nodes.StartAsync("b");
        Multiaddr silent = Multiaddr.Parse("/memory/silent");
        await using IListener listener = await nodes.Memory.ListenAsync(silent, Token);
        Task<PeerConnection> waiting = a.ConnectAsync(b.LocalPeer, [.. b.ListenAddresses, silent], Token).AsTask();
        await policy.DeniedOne;

        // To b the denied connection was one that came in; it may not have seen its end yet.
        PeerConnection fromB = await b.ConnectAsync(a.LocalPeer, a.ListenAddresses, Token);
        while (fromB.IsInbound)
        {
            await fromB.Closed;
            fromB = await b.ConnectAsync(a.LocalPeer, a.ListenAddresses, Token);
        }

        Assert.True((await waiting).IsInbound);
    }

    [Fact]
    public async Task The_policys_reason_reaches_the_caller()
    {
        await using var nodes = new TestNodes();
        var policy = new Policy { DeniesOutbound = true };
        Swarm a = await nodes.StartAsync("a", (identity, transport) => Options(identity, transport, policy));
        Swarm b = await nodes.StartAsync("b");
        var error = await Assert.ThrowsAsync<TransportException>(async () => await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token));
        DialAttempt attempt = Assert.Single(error.Attempts);
        Assert.Equal(TransportError.ConnectionDenied, attempt.Error);
        Assert.Contains("outbound is closed", attempt.Message, StringComparison.Ordinal);
        policy.VetoesDials = true;
        error = await Assert.ThrowsAsync<TransportException>(async () => await a.ConnectAsync(b.LocalPeer, null, Token));
        Assert.Equal(TransportError.ConnectionDenied, error.Error);
        Assert.Contains("no dials today", error.Message, StringComparison.Ordinal);
        Assert.Empty(a.Connections);
    }

    [Fact]
    public async Task A_policy_that_fails_lets_nobody_in()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a", (identity, transport) => Options(identity, transport, new BrokenPolicy()));
        Swarm b = await nodes.StartAsync("b");
        var error = await Assert.ThrowsAsync<TransportException>(async () => await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token));
        Assert.Equal(TransportError.ConnectionDenied, Assert.Single(error.Attempts).Error);
        Assert.Contains("database is gone", error.Message, StringComparison.Ordinal);
    }

    private static SwarmOptions Options(PeerIdentity identity, ITransport transport, IConnectionPolicy policy) =>
        new() { Identity = identity, Transports = [transport], ConnectionPolicy = policy };

    private sealed class Policy : IConnectionPolicy
    {
        private readonly TaskCompletionSource _denied = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly System.Collections.Concurrent.ConcurrentQueue<(PeerId Peer, bool IsInbound)> _asked = new();

        public bool DeniesInbound { get; init; }

        public bool DeniesOutbound { get; init; }

        public bool VetoesDials { get; set; }

        public Task DeniedOne => _denied.Task;

        public IReadOnlyCollection<(PeerId Peer, bool IsInbound)> Asked => _asked;

        public ConnectionVerdict BeforeDial(PeerId peer) =>
            VetoesDials ? ConnectionVerdict.Denied("no dials today") : ConnectionVerdict.Allowed;

        public ConnectionVerdict BeforeUse(PeerId peer, Multiaddr remoteAddress, bool isInbound)
        {
            _asked.Enqueue((peer, isInbound));
            if (!(isInbound ? DeniesInbound : DeniesOutbound)) return ConnectionVerdict.Allowed;
            _denied.TrySetResult();
            return ConnectionVerdict.Denied(isInbound ? "inbound is closed" : "outbound is closed");
        }
    }

    private sealed class BrokenPolicy : IConnectionPolicy
    {
        public ConnectionVerdict BeforeUse(PeerId peer, Multiaddr remoteAddress, bool isInbound) =>
            throw new InvalidOperationException("the database is gone");
    }
}
