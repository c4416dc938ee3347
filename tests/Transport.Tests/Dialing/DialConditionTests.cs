using FastShare.Testing;
using FastShare.Testing.Dialing;
using FastShare.Transport.Dialing;
using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Dialing;

/// <summary>When a caller gets a dial of its own, and what several dials to one peer do for those who wait.</summary>
public sealed class DialConditionTests
{
    private static readonly PeerId Peer = PeerId.Parse("12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static Multiaddr Address(int n) => Multiaddr.Parse($"/ip4/192.168.0.{n}/tcp/4001");

    private static DialCandidate Near(int n) => new(Address(n), AddressScope.Private);

    [Theory]
    [InlineData(DialCondition.DisconnectedAndNotDialing)]
    [InlineData(DialCondition.Disconnected)]
    [InlineData(DialCondition.NotDialing)]
    [InlineData(DialCondition.Always)]
    public async Task A_peer_that_is_neither_connected_nor_dialed_is_dialed(DialCondition condition)
    {
        await using var net = new ScriptedDials();
        Assert.StartsWith(Address(1).ToString(), await net.ConnectAsync(Peer, condition, [Near(1)], Token), StringComparison.Ordinal);
        Assert.Equal(1, net.Dialer.Table.DialCount(Peer));
    }

    [Theory]
    [InlineData(DialCondition.DisconnectedAndNotDialing, false)]
    [InlineData(DialCondition.Disconnected, false)]
    [InlineData(DialCondition.NotDialing, true)]
    [InlineData(DialCondition.Always, true)]
    public async Task A_connected_peer_is_dialed_only_if_the_condition_does_not_ask_for_disconnected(DialCondition condition, bool dials)
    {
        await using var net = new ScriptedDials();
        string first = await net.ConnectAsync(Peer, [Near(1)], Token);
        string second = await net.ConnectAsync(Peer, condition, [Near(1)], Token);
        Assert.Equal(dials, first != second);
        Assert.Equal(dials ? 2 : 1, net.Dialer.Table.DialCount(Peer));
        Assert.Equal(dials ? [first, second] : [first], net.Dialer.Table.ConnectionsTo(Peer));
    }

    [Theory]
    [InlineData(DialCondition.DisconnectedAndNotDialing, false)]
    [InlineData(DialCondition.Disconnected, true)]
    [InlineData(DialCondition.NotDialing, false)]
    [InlineData(DialCondition.Always, true)]
    public async Task A_dial_under_way_is_joined_unless_the_condition_wants_another_one(DialCondition condition, bool dials)
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsConnect();
        Task<string> first = net.ConnectAsync(Peer, [Near(1)], Token);
        await net.At(Address(1)).Connecting;
        Task<string> second = net.ConnectAsync(Peer, condition, [Near(2)], Token);
        if (dials)
        {
            Assert.StartsWith(Address(2).ToString(), await second, StringComparison.Ordinal);
            Assert.Equal(2, net.Dialer.Table.DialCount(Peer));
            Assert.Equal(await second, await first); // any connection serves the first caller
            return;
        }

        net.Time.Advance(DialPlan.PrivateStagger); // the address of the second caller has joined the first one's dial
        Assert.StartsWith(Address(2).ToString(), await second, StringComparison.Ordinal);
        Assert.Equal(await first, await second);
        Assert.Equal(1, net.Dialer.Table.DialCount(Peer));
    }

    [Fact]
    public async Task A_condition_that_is_not_met_fails_nobody_not_even_without_addresses()
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsConnect();
        Task<string> first = net.ConnectAsync(Peer, [Near(1)], Token);
        await net.At(Address(1)).Connecting;
        Task<string>[] others = [.. Enum.GetValues<DialCondition>().Select(condition => net.ConnectAsync(Peer, condition, [], Token))];
        await net.WhenWaitingAsync(Peer, 5);
        net.At(Address(1)).LetConnect();
        foreach (Task<string> other in others) Assert.Equal(await first, await other);
    }

    [Fact]
    public async Task Always_returns_the_connection_that_its_own_dial_made()
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsUpgrade();
        Task<string> own = net.ConnectAsync(Peer, DialCondition.Always, [Near(1)], Token);
        Task<string> any = net.ConnectAsync(Peer, [], Token);
        await net.At(Address(1)).Upgrading;
        await net.WhenWaitingAsync(Peer, 2);
        net.Dialer.Table.Establish(Peer, "inbound", null);
        Assert.Equal("inbound", await any);
        Assert.False(own.IsCompleted);
        Assert.Equal(1, net.Dialer.Table.WaiterCount(Peer));
        net.At(Address(1)).LetUpgrade();
        Assert.StartsWith(Address(1).ToString(), await own, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_dial_that_fails_does_not_fail_those_whom_another_dial_can_serve()
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsConnect();
        net.At(Address(2)).HoldsConnect();
        Task<string>[] first = [.. Enumerable.Range(0, 20).Select(_ => net.ConnectAsync(Peer, [Near(1)], Token))];
        await net.At(Address(1)).Connecting;
        Task<string> second = net.ConnectAsync(Peer, DialCondition.Always, [Near(2)], Token);
        await net.At(Address(2)).Connecting;
        net.At(Address(1)).Fails(TransportError.ConnectionRefused, "refused");
        net.At(Address(1)).LetConnect();
        await Eventually.BecomesTrueAsync(() => net.Failures.Count == 1, "the first dial failed");
        Assert.All(first, waiting => Assert.False(waiting.IsCompleted));
        Assert.Equal(21, net.Dialer.Table.WaiterCount(Peer));
        net.At(Address(2)).LetConnect();
        string connection = await second;
        foreach (Task<string> waiting in first) Assert.Equal(connection, await waiting);
    }

    [Fact]
    public async Task The_last_of_several_dials_to_fail_tells_what_all_of_them_tried()
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsConnect();
        net.At(Address(1)).Fails(TransportError.ConnectionRefused, "refused");
        net.At(Address(2)).HoldsConnect();
        net.At(Address(2)).Fails(TransportError.Unreachable, "no route");
        Task<string> first = net.ConnectAsync(Peer, [Near(1)], Token);
        await net.At(Address(1)).Connecting;
        Task<string> second = net.ConnectAsync(Peer, DialCondition.Disconnected, [Near(2)], Token);
        await net.At(Address(2)).Connecting;
        net.At(Address(1)).LetConnect();
        await Eventually.BecomesTrueAsync(() => net.Failures.Count == 1, "the first dial failed");
        net.At(Address(2)).LetConnect();
        var error = await Assert.ThrowsAsync<TransportException>(() => first);
        Assert.Equal(TransportError.DialFailure, error.Error);
        Assert.Equal([Address(1), Address(2)], error.Attempts.Select(a => a.Address));
        Assert.Contains("refused", error.Message, StringComparison.Ordinal);
        Assert.Contains("no route", error.Message, StringComparison.Ordinal);
        error = await Assert.ThrowsAsync<TransportException>(() => second);
        Assert.Equal([Address(2)], error.Attempts.Select(a => a.Address));
    }

    [Fact]
    public async Task Callers_that_went_over_to_another_dial_still_end_it_when_the_last_of_them_leaves()
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsConnect();
        net.At(Address(1)).Fails(TransportError.ConnectionRefused, "refused");
        net.At(Address(2)).HoldsConnect();
        using var one = new CancellationTokenSource();
        using var two = new CancellationTokenSource();
        Task<string> first = net.ConnectAsync(Peer, [Near(1)], one.Token);
        await net.At(Address(1)).Connecting;
        Task<string> second = net.ConnectAsync(Peer, DialCondition.Always, [Near(2)], two.Token);
        await net.At(Address(2)).Connecting;
        net.At(Address(1)).LetConnect();
        await Eventually.BecomesTrueAsync(() => net.Failures.Count == 1, "the first dial failed");
        await two.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
        Assert.False(net.At(Address(2)).ConnectCancelled.IsCompleted);
        await one.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        await net.At(Address(2)).ConnectCancelled;
        Assert.Equal(0, net.Dialer.Table.PendingCount(Peer));
    }

    [Fact]
    public async Task Each_of_several_dials_can_be_left_alone()
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsConnect();
        net.At(Address(2)).HoldsConnect();
        using var one = new CancellationTokenSource();
        Task<string> first = net.ConnectAsync(Peer, [Near(1)], one.Token);
        await net.At(Address(1)).Connecting;
        Task<string> second = net.ConnectAsync(Peer, DialCondition.Always, [Near(2)], Token);
        await net.At(Address(2)).Connecting;
        await one.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        await net.At(Address(1)).ConnectCancelled;
        Assert.False(net.At(Address(2)).ConnectCancelled.IsCompleted);
        net.At(Address(2)).LetConnect();
        Assert.NotNull(await second);
    }

    [Fact]
    public async Task Nobody_joins_a_dial_whose_time_is_over()
    {
        var table = new PendingConnections<string>(static _ => true);
        var request = new DialRequest(DialCondition.DisconnectedAndNotDialing, [Near(1)], TimeSpan.FromSeconds(15));
        JoinResult<string> first = table.Join(Peer, request, TimeSpan.Zero);
        Assert.Equal(DialStepKind.Begin, table.Next(first.Dial!, TimeSpan.Zero).Kind);
        Assert.Equal(JoinKind.Joined, table.Join(Peer, request, TimeSpan.FromSeconds(14)).Kind);

        // Its driver has not looked at the clock yet.
        TimeSpan late = TimeSpan.FromSeconds(15);
        JoinResult<string> second = table.Join(Peer, request, late);
        Assert.Equal(JoinKind.Started, second.Kind);
        table.Next(second.Dial!, late);

        // Those who waited for the first are not worse off than the newcomer.
        Assert.Equal(TransportError.DialFailure, table.GiveUp(first.Dial!, late)!.Error);
        Assert.False(first.Waiter!.Result.IsCompleted);
        table.Establish(Peer, "made by the second", second.Dial);
        Assert.Equal("made by the second", await first.Waiter.Result);
        Assert.Equal("made by the second", await second.Waiter!.Result);
    }

    [Fact]
    public void A_connection_that_was_asked_for_is_marked_as_such_before_anybody_finds_it()
    {
        PendingConnections<string>? table = null;
        var marked = new List<string>();
        table = new PendingConnections<string>(static _ => true, markAskedFor: connection =>
        {
            marked.Add(connection);
            Assert.DoesNotContain(connection, table!.Connections);
        });
        table.Establish(Peer, "came by itself", null);
        var further = new DialRequest(DialCondition.Always, [Near(1)], TimeSpan.FromSeconds(15));
        table.Establish(Peer, "asked for", table.Join(Peer, further, TimeSpan.Zero).Dial);
        table.Establish(Peer, "a lane", table.NewLane(Peer, [Near(1)], TimeSpan.Zero, TimeSpan.FromSeconds(15)).Dial);
        Assert.Equal(["asked for", "a lane"], marked);
        Assert.Equal(3, table.Connections.Count);
    }

    [Fact]
    public async Task A_connection_of_a_dial_that_was_left_serves_those_who_came_after()
    {
        var table = new PendingConnections<string>(static _ => true);
        var request = new DialRequest(DialCondition.DisconnectedAndNotDialing, [Near(1)], TimeSpan.FromSeconds(15));
        JoinResult<string> left = table.Join(Peer, request, TimeSpan.Zero);
        table.Next(left.Dial!, TimeSpan.Zero);
        table.Leave(left.Waiter!);
        Assert.Equal(DialOutcome.Cancelled, left.Dial!.Outcome);
        JoinResult<string> waiting = table.Join(Peer, request, TimeSpan.Zero);
        table.Next(waiting.Dial!, TimeSpan.Zero);
        Assert.Null(table.Establish(Peer, "made by the first", left.Dial).Refused);
        Assert.Equal("made by the first", await waiting.Waiter!.Result);
        Assert.Equal(DialOutcome.Connected, waiting.Dial!.Outcome);

        // Without anybody who waits it is refused.
        table.Lost(Peer, "made by the first");
        Assert.Equal(TransportError.Aborted, table.Establish(Peer, "again", left.Dial).Refused!.Error);
        Assert.Empty(table.Connections);
    }

    [Fact]
    public async Task An_aborted_dial_surfaces_as_aborted()
    {
        await using var net = new ScriptedDials();
        net.At(Address(1)).HoldsConnect();
        Task<string>[] waiting = [.. Enum.GetValues<DialCondition>().Select(c => net.ConnectAsync(Peer, c, [Near(1)], Token))];
        Task<string> lane = net.ConnectLaneAsync(Peer, [Near(1)], Token);
        await net.At(Address(1)).Connecting;
        await net.WhenWaitingAsync(Peer, waiting.Length);
        net.Dialer.Table.Abort(Peer);
        foreach (Task<string> one in waiting.Append(lane))
        {
            var error = await Assert.ThrowsAsync<TransportException>(() => one);
            Assert.Equal(TransportError.Aborted, error.Error);
            Assert.Equal(Peer, error.Peer);
        }

        await Eventually.BecomesTrueAsync(() => net.Failures.Count == net.Dialed.Count, "every dial that got under way is told to have failed");
        Assert.All(net.Failures, failure => Assert.Equal(TransportError.Aborted, failure.Error));
        net.At(Address(1)).LetConnect();
        Assert.NotNull(await net.ConnectAsync(Peer, [Near(1)], Token)); // and the peer can be dialed again
    }

    [Fact]
    public async Task Closing_ends_handshakes_that_go_on_behind_a_dial_that_has_its_result()
    {
        var net = new ScriptedDials();
        net.At(Address(1)).HoldsUpgrade();
        Task<string> waiting = net.ConnectAsync(Peer, [Near(1)], Token);
        await net.At(Address(1)).Upgrading;
        net.Dialer.Table.Establish(Peer, "inbound", null);
        Assert.Equal("inbound", await waiting);
        await net.DisposeAsync(); // in virtual time: it would wait for ever
        await net.At(Address(1)).UpgradeCancelled;
        Assert.Equal(["inbound"], net.Dialer.Table.Connections);
    }
}
