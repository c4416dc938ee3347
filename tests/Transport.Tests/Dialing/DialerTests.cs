using FastShare.Testing.Dialing;
using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Dialing;

/// <summary>The dialer over a scripted network in virtual time.</summary>
public sealed class DialerTests
{
    private static readonly PeerId Peer = PeerId.Parse("12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA");
    private static readonly PeerId Other = PeerId.Parse("12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static Multiaddr Address(int n) => Multiaddr.Parse($"/ip4/192.168.0.{n}/tcp/4001");

    private static DialCandidate Near(int n) => new(Address(n), AddressScope.Private);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(99)]
    [InlineData(1000)]
    public async Task Concurrent_callers_share_one_dial_and_one_connection(int callers)
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsConnect();
        List<Task<string>> waiting =
            [.. Enumerable.Range(0, callers).Select(_ => Task.Run(() => net.ConnectAsync(Peer, [Near(1)], Token)))];
        await net.At(Address(1)).Connecting;
        await net.WhenWaitingAsync(Peer, callers);
        net.At(Address(1)).LetConnect();
        string[] connections = await Task.WhenAll(waiting);
        Assert.Single(connections.Distinct());
        Assert.Equal(1, net.Dialer.Table.DialCount(Peer));
        Assert.Equal(1, net.At(Address(1)).Connects);
        Assert.Equal(connections[0], await net.ConnectAsync(Peer, [], Token));
    }

    [Fact]
    public async Task A_callers_token_ends_only_its_own_wait()
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsConnect();
        using var cancellation = new CancellationTokenSource();
        Task<string> leaving = net.ConnectAsync(Peer, [Near(1)], cancellation.Token);
        Task<string> staying = net.ConnectAsync(Peer, [Near(1)], Token);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leaving);
        Assert.False(staying.IsCompleted);
        net.At(Address(1)).LetConnect();
        Assert.NotNull(await staying);
        Assert.Equal(1, net.Dialer.Table.DialCount(Peer));
    }

    [Fact]
    public async Task The_last_waiter_to_leave_cancels_the_dial()
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsConnect();
        using var first = new CancellationTokenSource();
        using var second = new CancellationTokenSource();
        Task<string> a = net.ConnectAsync(Peer, [Near(1)], first.Token);
        Task<string> b = net.ConnectAsync(Peer, [Near(1)], second.Token);
        await net.At(Address(1)).Connecting;
        await first.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => a);
        Assert.False(net.At(Address(1)).ConnectCancelled.IsCompleted);
        await second.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => b);
        await net.At(Address(1)).ConnectCancelled;

        // The next caller is not affected: a dial of its own.
        net.At(Address(1)).LetConnect();
        Assert.NotNull(await net.ConnectAsync(Peer, [Near(1)], Token));
        Assert.Equal(2, net.Dialer.Table.DialCount(Peer));
    }

    [Fact]
    public async Task The_last_waiter_to_leave_ends_a_handshake_too()
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsUpgrade();
        using var cancellation = new CancellationTokenSource();
        Task<string> only = net.ConnectAsync(Peer, [Near(1)], cancellation.Token);
        await net.At(Address(1)).Upgrading;
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => only);
        await net.At(Address(1)).UpgradeCancelled;
        Assert.Empty(net.Dialer.Table.Connections);
    }

    [Fact]
    public async Task A_connection_from_the_peer_completes_the_pending_dial()
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsConnect();
        Task<string> waiting = net.ConnectAsync(Peer, [Near(1)], Token);
        await net.At(Address(1)).Connecting;
        Assert.Equal(new Establishment(1, false, null), net.Dialer.Table.Establish(Peer, "inbound", null));
        Assert.Equal("inbound", await waiting);
        await net.At(Address(1)).ConnectCancelled; // it had said nothing yet: no loss to anybody
    }

    [Fact]
    public async Task A_handshake_under_way_when_the_peers_connection_comes_goes_on_and_is_kept()
    {
        // The remote side may have finished the same handshake already and given that connection to its own callers.
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsUpgrade();
        Task<string> waiting = net.ConnectAsync(Peer, [Near(1)], Token);
        await net.At(Address(1)).Upgrading;
        net.Dialer.Table.Establish(Peer, "inbound", null);
        Assert.Equal("inbound", await waiting);
        Task<int> established = net.WhenEstablishedAsync();
        net.At(Address(1)).LetUpgrade();
        Assert.Equal(2, await established);
        Assert.Equal(2, net.Dialer.Table.Connections.Count);
        Assert.Empty(net.Discarded);
        Assert.Equal("inbound", await net.ConnectAsync(Peer, [], Token)); // the oldest, again and again
    }

    [Fact]
    public async Task Another_peers_connection_completes_nothing()
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsConnect();
        Task<string> waiting = net.ConnectAsync(Peer, [Near(1)], Token);
        net.Dialer.Table.Establish(Other, "inbound", null);
        await net.At(Address(1)).Connecting;
        Assert.False(waiting.IsCompleted);
        net.At(Address(1)).LetConnect();
        Assert.NotEqual("inbound", await waiting);
    }

    [Fact]
    public async Task Refused_addresses_do_not_matter_while_one_works()
    {
        await using var net = new ScriptedDials();
        foreach (int n in new[] { 1, 2, 4, 5 }) net.At(Address(n)).Fails(TransportError.ConnectionRefused, "refused");
        string connection = await net.ConnectAsync(Peer, [.. Enumerable.Range(1, 5).Select(Near)], Token);
        Assert.StartsWith(Address(3).ToString(), connection, StringComparison.Ordinal);
        Assert.Equal([Address(1), Address(2)], net.FailedAddresses);
        Assert.Equal(0, net.At(Address(4)).Connects); // not needed any more
    }

    [Fact]
    public async Task When_all_fail_every_cause_is_told()
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).Fails(TransportError.ConnectionRefused, "refused by the host");
        net.At(Address(2)).Fails(TransportError.Unreachable, "no route");
        net.At(Address(3)).FailsUpgrade(TransportError.PeerIdMismatch, "somebody else answered");
        Task<string> dial = net.ConnectAsync(Peer, [Near(1), Near(2), Near(3)], Token);
        Task<string> joined = net.ConnectAsync(Peer, [], Token);
        var error = await Assert.ThrowsAsync<TransportException>(() => dial);
        Assert.Same(error, await Assert.ThrowsAsync<TransportException>(() => joined));
        Assert.Equal(TransportError.DialFailure, error.Error);
        Assert.Equal(Peer, error.Peer);
        Assert.Equal(
            [
                new DialAttempt(Address(1), TransportError.ConnectionRefused, "refused by the host"),
                new DialAttempt(Address(2), TransportError.Unreachable, "no route"),
                new DialAttempt(Address(3), TransportError.PeerIdMismatch, "somebody else answered"),
            ],
            error.Attempts);
        foreach (DialAttempt attempt in error.Attempts)
        {
            Assert.Contains(attempt.Address.ToString(), error.Message, StringComparison.Ordinal);
            Assert.Contains(attempt.Message, error.Message, StringComparison.Ordinal);
        }

        Assert.Contains(Peer.ToString(), error.Message, StringComparison.Ordinal);
        Assert.Same(error, await net.FirstFailureAsync());
        Assert.Single(net.Failures);
    }

    [Fact]
    public async Task Without_addresses_nothing_is_dialed()
    {
        await using var net = new ScriptedDials();
        var error = await Assert.ThrowsAsync<TransportException>(async () => await net.ConnectAsync(Peer, [], Token));
        Assert.Equal(TransportError.NoAddresses, error.Error);
        Assert.Equal(0, net.Dialer.Table.DialCount(Peer));
    }

    [Fact]
    public async Task Addresses_that_become_known_join_the_dial_under_way()
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsConnect();
        Task<string> waiting = net.ConnectAsync(Peer, [Near(1)], Token);
        await net.At(Address(1)).Connecting;
        net.Dialer.Learn(Peer, [Near(2)], isNews: true);
        net.Time.Advance(DialPlan.PrivateStagger);
        Assert.StartsWith(Address(2).ToString(), await waiting, StringComparison.Ordinal);
        await net.At(Address(1)).ConnectCancelled;
    }

    [Fact]
    public async Task A_second_callers_addresses_join_the_dial_under_way()
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsConnect();
        Task<string> first = net.ConnectAsync(Peer, [Near(1)], Token);
        await net.At(Address(1)).Connecting;
        Task<string> second = net.ConnectAsync(Peer, [Near(2)], Token);
        net.Time.Advance(DialPlan.PrivateStagger);
        Assert.Equal(await first, await second);
        Assert.Equal(1, net.Dialer.Table.DialCount(Peer));
    }

    [Fact]
    public async Task Losers_are_closed_unheard()
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsConnect();
        net.At(Address(2)).HoldsUpgrade();
        net.At(Address(3)).HoldsConnect();
        Task<string> waiting = net.ConnectAsync(Peer, [Near(1), Near(2), Near(3)], Token);
        await net.At(Address(1)).Connecting;
        net.Time.Advance(DialPlan.PrivateStagger);
        await net.At(Address(2)).Upgrading;
        net.At(Address(1)).LetConnect();
        await net.At(Address(1)).Connected;
        net.At(Address(2)).LetUpgrade();
        Assert.StartsWith(Address(2).ToString(), await waiting, StringComparison.Ordinal);
        await net.At(Address(1)).Aborted; // connected, never secured
        Assert.Equal(0, net.At(Address(1)).Upgrades);
        Assert.Equal(0, net.At(Address(3)).Connects);
    }

    [Fact]
    public async Task A_silent_address_fails_after_its_own_deadline()
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsConnect();
        Task<string> waiting = net.ConnectAsync(Peer, [Near(1)], Token);
        await net.At(Address(1)).Connecting;
        net.Time.Advance(ScriptedDials.ConnectTimeout);
        var error = await Assert.ThrowsAsync<TransportException>(() => waiting);
        Assert.Equal(TransportError.DialFailure, error.Error);
        Assert.Equal(TransportError.Timeout, Assert.Single(error.Attempts).Error);
    }

    [Fact]
    public async Task A_dial_ends_at_its_deadline_with_every_address_accounted_for()
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsUpgrade();
        net.At(Address(2)).HoldsUpgrade();
        Task<string> waiting = net.ConnectAsync(Peer, [Near(1), Near(2)], Token);
        await net.At(Address(1)).Upgrading;
        net.Time.Advance(DialPlan.UpgradeHold);
        await net.At(Address(2)).Upgrading;
        net.Time.Advance(ScriptedDials.DialTimeout);
        var error = await Assert.ThrowsAsync<TransportException>(() => waiting);
        Assert.Equal(TransportError.DialFailure, error.Error);
        Assert.Equal([TransportError.Timeout, TransportError.Timeout], error.Attempts.Select(a => a.Error));
        await Task.WhenAll(net.At(Address(1)).UpgradeCancelled, net.At(Address(2)).UpgradeCancelled);
    }

    [Fact]
    public async Task A_lane_is_an_extra_connection_that_others_do_not_get()
    {
        await using var net = new ScriptedDials();
        string main = await net.ConnectAsync(Peer, [Near(1)], Token);
        string lane = await net.ConnectLaneAsync(Peer, [Near(1)], Token);
        Assert.NotEqual(main, lane);
        Assert.Equal(2, net.Dialer.Table.Connections.Count);
        Assert.Equal(1, net.Dialer.Table.DialCount(Peer));
        net.Lose(Peer, main);
        string next = await net.ConnectAsync(Peer, [Near(1)], Token);
        Assert.NotEqual(lane, next);
        Assert.Equal(2, net.Dialer.Table.DialCount(Peer));
    }

    [Fact]
    public async Task A_lanes_dial_is_not_shared()
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsConnect();
        Task<string> lane = net.ConnectLaneAsync(Peer, [Near(1)], Token);
        Task<string> main = net.ConnectAsync(Peer, [Near(2)], Token);
        Assert.StartsWith(Address(2).ToString(), await main, StringComparison.Ordinal);
        Assert.False(lane.IsCompleted); // neither does another connection complete it
        net.At(Address(1)).LetConnect();
        Assert.StartsWith(Address(1).ToString(), await lane, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_dead_connection_is_not_handed_out()
    {
        await using var net = new ScriptedDials();
        string first = await net.ConnectAsync(Peer, [Near(1)], Token);
        net.Kill(first); // its end has not been noticed by its owner yet
        Assert.NotEqual(first, await net.ConnectAsync(Peer, [Near(1)], Token));
    }

    [Fact]
    public async Task Closing_fails_those_who_wait_and_those_who_come()
    {
        var net = new ScriptedDials();
        net.At(Address(1)).HoldsConnect();
        net.At(Address(2)).HoldsUpgrade();
        Task<string> connecting = net.ConnectAsync(Peer, [Near(1)], Token);
        Task<string> upgrading = net.ConnectAsync(Other, [Near(2)], Token);
        Task<string> lane = net.ConnectLaneAsync(Other, [Near(2)], Token);
        await net.At(Address(1)).Connecting;
        await net.At(Address(2)).Upgrading;
        await net.DisposeAsync();
        foreach (Task<string> waiting in new[] { connecting, upgrading, lane })
            Assert.Equal(TransportError.Aborted, (await Assert.ThrowsAsync<TransportException>(() => waiting)).Error);
        Assert.Equal(
            TransportError.Aborted, (await Assert.ThrowsAsync<TransportException>(
                async () => await net.ConnectAsync(Peer, [Near(1)], Token))).Error);
        Assert.Equal(TransportError.Aborted, net.Dialer.Table.Establish(Peer, "late", null).Refused!.Error);
    }

    [Fact]
    public async Task Connections_lost_and_made_leave_the_table_true()
    {
        await using var net = new ScriptedDials();
        for (int i = 1; i <= 50; i++)
        {
            string connection = await net.ConnectAsync(Peer, [Near(1)], Token);
            Assert.Equal(connection, Assert.Single(net.Dialer.Table.Connections));
            net.Lose(Peer, connection);
            Assert.Empty(net.Dialer.Table.Connections);
            Assert.Equal(i, net.Dialer.Table.DialCount(Peer));
        }
    }
}
