using FastShare.Testing;
using FastShare.Testing.Sockets;
using FastShare.Transport.Dialing;
using FastShare.Transport.Identity;
using FastShare.Transport.Requests;
using FastShare.Transport.Sockets;
using Microsoft.Extensions.Time.Testing;
using static FastShare.Transport.Tests.Requests.RequestFixture;

namespace FastShare.Transport.Tests.Requests;

/// <summary>Requests to peers that are not connected: what the project exists for.</summary>
public sealed class RequestDialTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(50)]
    [InlineData(99)]
    public async Task Requests_at_once_to_a_peer_never_dialed_make_one_dial_and_one_connection(int count)
    {
        await using var nodes = new TestNodes();
        await using var fixture = new RequestFixture();
        Swarm a = await nodes.StartTcpAsync(), b = await nodes.StartTcpAsync();
        await using var asks = fixture.Asks(on: a);
        await using var answers = fixture.Answers(on: b);
        a.AddAddresses(b.LocalPeer, b.ListenAddresses);
        string[] responses = await Task.WhenAll(Enumerable.Range(0, count).Select(
            i => Task.Run(async () => Text(await asks.SendAsync(b.LocalPeer, Bytes($"{i}"), cancellationToken: Token)))));
        Assert.Equal(Enumerable.Range(0, count).Select(i => $"{i}"), responses);
        Assert.Equal(1, a.DialCount(b.LocalPeer));
        Assert.Single(a.Connections);
        Assert.Single(b.Connections);
    }

    [Fact]
    public async Task Ten_thousand_requests_at_once_make_one_dial_and_every_response_is_matched()
    {
        await using var nodes = new TestNodes();
        await using var fixture = new RequestFixture();
        Swarm a = await nodes.StartTcpAsync(), b = await nodes.StartTcpAsync();
        // Ten seconds are for requests, not for a machine on which everything runs at once.
        var options = new RequestProtocolOptions { Timeout = TimeSpan.FromMinutes(5), Direction = RequestDirection.Outbound };
        await using var asks = fixture.Asks(options, a);
        await using var answers = fixture.Answers(on: b, options: new RequestProtocolOptions { Timeout = TimeSpan.FromMinutes(5) });
        a.AddAddresses(b.LocalPeer, b.ListenAddresses);
        var requests = new OutboundRequest<ReadOnlyMemory<byte>>[10_000];
        Parallel.For(0, requests.Length, i => requests[i] = asks.Begin(b.LocalPeer, BitConverter.GetBytes(i), null, Token));
        for (int i = 0; i < requests.Length; i++) Assert.Equal(i, BitConverter.ToInt32((await requests[i].Response).Span));
        Assert.Equal(1, a.DialCount(b.LocalPeer));
        Assert.Single(a.Connections);
        Assert.Single(b.Connections);
        Assert.Equal(Enumerable.Range(1, requests.Length), requests.Select(r => (int)r.Id.Value).Order());
        Assert.All(requests, r => Assert.False(asks.IsPending(r.Id)));
    }

    [Theory]
    [InlineData(DialCondition.DisconnectedAndNotDialing)]
    [InlineData(DialCondition.Disconnected)]
    [InlineData(DialCondition.NotDialing)]
    [InlineData(DialCondition.Always)]
    public async Task An_unmet_dial_condition_never_fails_a_request(DialCondition condition)
    {
        GatedTransport? gate = null;
        await using RequestFixture fixture = await RequestFixture.StartAsync(
            (identity, transport) => new SwarmOptions { Identity = identity, Transports = [gate = new GatedTransport(transport)] });
        fixture.Answers();
        Task<PeerConnection> dialing = fixture.A.ConnectAsync(fixture.B.LocalPeer, cancellationToken: Token).AsTask();
        await gate!.Begun;
        var asks = fixture.Asks();
        var options = new RequestOptions { Condition = condition };
        Task<ReadOnlyMemory<byte>>[] pending =
            [.. Enumerable.Range(0, 20).Select(i => asks.SendAsync(fixture.B.LocalPeer, Bytes($"{i}"), options, Token))];
        gate.Open();
        Assert.Equal(Enumerable.Range(0, 20).Select(i => $"{i}"), (await Task.WhenAll(pending)).Select(Text));
        await dialing;
        Assert.Equal("again", Text(await asks.SendAsync(fixture.B.LocalPeer, Bytes("again"), options, Token)));
    }

    [Fact]
    public async Task A_dial_error_fails_every_queued_request_with_every_address_and_its_cause()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync(introduce: false);
        var asks = fixture.Asks();
        Multiaddr[] nowhere = [Multiaddr.Parse("/memory/nobody"), Multiaddr.Parse("/memory/nothing")];
        var options = new RequestOptions { Addresses = nowhere };
        OutboundRequest<ReadOnlyMemory<byte>>[] requests =
            [.. Enumerable.Range(0, 5).Select(i => asks.Begin(fixture.B.LocalPeer, Bytes($"{i}"), options, Token))];
        foreach (OutboundRequest<ReadOnlyMemory<byte>> request in requests)
        {
            RequestException error = await FailsAsync(request.Response, RequestFailure.DialFailure);
            Assert.Equal(fixture.B.LocalPeer, error.Peer);
            Assert.Equal(request.Id, error.Id);
            Assert.Equal(RequestStage.Dialing, error.Stage);
            Assert.Equal(["/memory/nobody", "/memory/nothing"], error.Attempts.Select(a => $"{a.Address}".Split("/p2p/")[0]).Order());
            Assert.All(error.Attempts, a => Assert.Equal(TransportError.ConnectionRefused, a.Error));
            Assert.False(asks.IsPending(request.Id));
        }
    }

    [Fact]
    public async Task Explicit_addresses_merge_with_known_ones()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync(introduce: false);
        fixture.Answers();
        var asks = fixture.Asks();
        RequestException unknown = await FailsAsync(
            asks.SendAsync(fixture.B.LocalPeer, Bytes("?"), cancellationToken: Token), RequestFailure.DialFailure);
        Assert.Equal(TransportError.NoAddresses, unknown.Error);
        fixture.A.AddAddresses(fixture.B.LocalPeer, [Multiaddr.Parse("/memory/nobody")]);
        var options = new RequestOptions { Addresses = fixture.B.ListenAddresses };
        Assert.Equal("hello", Text(await asks.SendAsync(fixture.B.LocalPeer, Bytes("hello"), options, Token)));
    }

    [Fact]
    public async Task Addresses_of_a_second_request_join_the_dial_under_way()
    {
        var memory = new MemoryTransport();
        await using var nodes = new TestNodes();
        await using var fixture = new RequestFixture();
        var stuck = new GatedTransport(new TcpTransport()); // never opened
        Swarm a = await nodes.StartAsync(memory, null, (identity, transport) => new SwarmOptions
        {
            Identity = identity,
            Transports = [transport, stuck],
        });
        Swarm b = await nodes.StartAsync(memory, Multiaddr.Parse("/memory/b"));
        await using var answers = fixture.Answers(on: b);
        await using var asks = fixture.Asks(on: a);
        var first = new RequestOptions { Addresses = [Multiaddr.Parse("/ip4/127.0.0.1/tcp/1")] };
        Task<ReadOnlyMemory<byte>> waiting = asks.SendAsync(b.LocalPeer, Bytes("first"), first, Token);
        await stuck.Begun;
        var second = new RequestOptions { Addresses = b.ListenAddresses };
        Assert.Equal("second", Text(await asks.SendAsync(b.LocalPeer, Bytes("second"), second, Token)));
        Assert.Equal("first", Text(await waiting));
        Assert.Equal(1, a.DialCount(b.LocalPeer));
    }

    [Fact]
    public async Task The_queue_drains_onto_the_connection_that_the_peer_makes()
    {
        GatedTransport? gate = null;
        await using RequestFixture fixture = await RequestFixture.StartAsync(
            (identity, transport) => new SwarmOptions { Identity = identity, Transports = [gate = new GatedTransport(transport)] });
        fixture.Answers();
        var asks = fixture.Asks();
        OutboundRequest<ReadOnlyMemory<byte>>[] requests =
            [.. Enumerable.Range(0, 10).Select(i => asks.Begin(fixture.B.LocalPeer, Bytes($"{i}"), null, Token))];
        await gate!.Begun;
        Assert.All(requests, r => Assert.True(asks.IsPending(r.Id)));
        await fixture.B.ConnectAsync(fixture.A.LocalPeer, fixture.A.ListenAddresses, Token);
        for (int i = 0; i < requests.Length; i++) Assert.Equal($"{i}", Text(await requests[i].Response));
        Assert.True(Assert.Single(fixture.A.Connections).IsInbound);
    }

    [Fact]
    public async Task A_connected_peer_is_not_dialed_and_requests_spread_over_its_connections()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        var all = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var used = new List<PeerConnection>();
        fixture.Answers(async (context, request, token) =>
        {
            lock (used)
            {
                used.Add(context.Connection);
                if (used.Count == 20) all.SetResult();
            }

            await all.Task.WaitAsync(token);
            return request;
        }, new RequestProtocolOptions { Timeout = TimeSpan.FromMinutes(5) });
        // Handlers wait for each other: ten seconds are not for them.
        var asks = fixture.Asks(new RequestProtocolOptions { Direction = RequestDirection.Outbound, Timeout = TimeSpan.FromMinutes(5) });
        await fixture.A.ConnectAsync(fixture.B.LocalPeer, cancellationToken: Token);
        await fixture.A.ConnectAsync(fixture.B.LocalPeer, new DialOptions { Condition = DialCondition.Always }, Token);
        await Eventually.BecomesTrueAsync(
            () => asks.Client!.Queue.ConnectionCount(fixture.B.LocalPeer) == 2, "the queue has heard of both connections");
        int dials = fixture.A.DialCount(fixture.B.LocalPeer);
        await Task.WhenAll(Enumerable.Range(0, 20).Select(i => asks.SendAsync(fixture.B.LocalPeer, Bytes($"{i}"), null, Token)));
        Assert.Equal(dials, fixture.A.DialCount(fixture.B.LocalPeer));
        Assert.Equal([10, 10], used.GroupBy(c => c).Select(g => g.Count()));
    }

    [Fact]
    public async Task Requests_go_on_to_the_next_connection_when_the_first_is_denied()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync(
            configureB: (identity, transport) => new SwarmOptions
            {
                Identity = identity,
                Transports = [transport],
                ConnectionPolicy = new DenyFirst(2),
            });
        fixture.Answers();
        var asks = fixture.Asks();
        var options = new RequestOptions { Retry = RetryPolicy.UntilDeadline };
        string[] responses = await Task.WhenAll(Enumerable.Range(0, 50).Select(
            async i => Text(await asks.SendAsync(fixture.B.LocalPeer, Bytes($"{i}"), options, Token))));
        Assert.Equal(Enumerable.Range(0, 50).Select(i => $"{i}"), responses);
    }

    [Fact]
    public async Task Requests_on_connections_that_break_at_once_go_on_to_the_next()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        fixture.Answers();
        int closed = 0;
        using IDisposable hostile = fixture.B.Observe(new OnUp(connection =>
        {
            if (Interlocked.Increment(ref closed) <= 2) connection.Abort(new TransportException(TransportError.ConnectionClosed, "denied"));
        }));
        var asks = fixture.Asks();
        // Whether a request had begun when its connection broke is a race here, so all of them may be repeated.
        var options = new RequestOptions { IsIdempotent = true, Retry = RetryPolicy.UntilDeadline };
        string[] responses = await Task.WhenAll(Enumerable.Range(0, 50).Select(
            async i => Text(await asks.SendAsync(fixture.B.LocalPeer, Bytes($"{i}"), options, Token))));
        Assert.Equal(Enumerable.Range(0, 50).Select(i => $"{i}"), responses);
        Assert.True(closed >= 3);
    }

    [Fact]
    public async Task A_cancelled_request_ends_nothing_that_others_share()
    {
        GatedTransport? gate = null;
        await using RequestFixture fixture = await RequestFixture.StartAsync(
            (identity, transport) => new SwarmOptions { Identity = identity, Transports = [gate = new GatedTransport(transport)] });
        fixture.Answers();
        var asks = fixture.Asks();
        using var caller = new CancellationTokenSource();
        OutboundRequest<ReadOnlyMemory<byte>> leaving = asks.Begin(fixture.B.LocalPeer, Bytes("leaving"), null, caller.Token);
        Task<ReadOnlyMemory<byte>> staying = asks.SendAsync(fixture.B.LocalPeer, Bytes("staying"), null, Token);
        await gate!.Begun;
        await caller.CancelAsync();
        var cancelled = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leaving.Response);
        Assert.Equal(caller.Token, cancelled.CancellationToken);
        Assert.False(asks.IsPending(leaving.Id));
        gate.Open();
        Assert.Equal("staying", Text(await staying));
        Assert.Equal(1, gate.Dials);
    }

    [Fact]
    public async Task The_dial_ends_when_the_last_request_that_waits_for_it_leaves()
    {
        GatedTransport? gate = null;
        await using RequestFixture fixture = await RequestFixture.StartAsync(
            (identity, transport) => new SwarmOptions { Identity = identity, Transports = [gate = new GatedTransport(transport)] });
        var asks = fixture.Asks();
        using CancellationTokenSource first = new(), second = new();
        Task<ReadOnlyMemory<byte>> one = asks.SendAsync(fixture.B.LocalPeer, Bytes("1"), null, first.Token);
        Task<ReadOnlyMemory<byte>> two = asks.SendAsync(fixture.B.LocalPeer, Bytes("2"), null, second.Token);
        await gate!.Begun;
        await first.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => one);
        Assert.False(gate.Cancelled.IsCompleted);
        await second.CancelAsync();
        await gate.Cancelled.WaitAsync(Token);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => two);
    }

    [Fact]
    public async Task The_deadline_covers_dialing_and_says_so()
    {
        var time = new FakeTimeProvider();
        GatedTransport? gate = null;
        await using RequestFixture fixture = await RequestFixture.StartAsync((identity, transport) => new SwarmOptions
        {
            Identity = identity,
            Transports = [gate = new GatedTransport(transport)],
            TimeProvider = time,
            ConnectTimeout = TimeSpan.FromMinutes(1),
            DialTimeout = TimeSpan.FromMinutes(1),
        });
        var asks = fixture.Asks();
        Task<ReadOnlyMemory<byte>> request = asks.SendAsync(fixture.B.LocalPeer, Bytes("?"), null, Token);
        await gate!.Begun;
        time.Advance(TimeSpan.FromSeconds(9.9));
        Assert.False(request.IsCompleted);
        time.Advance(TimeSpan.FromSeconds(0.2));
        RequestException error = await FailsAsync(request, RequestFailure.Timeout);
        Assert.Equal(RequestStage.Dialing, error.Stage);
        Assert.InRange(error.Times.Dialing, TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(10.2));
        await gate.Cancelled.WaitAsync(Token);
    }

    [Fact]
    public async Task A_receiver_that_comes_back_within_the_budget_gets_the_request()
    {
        var time = new FakeTimeProvider();
        await using var nodes = new TestNodes();
        await using var fixture = new RequestFixture();
        // Virtual time runs ahead of the work that a dial is; only the retries shall go by it.
        Swarm a = await nodes.StartAsync("a", (identity, transport) => new SwarmOptions
        {
            Identity = identity,
            Transports = [transport],
            TimeProvider = time,
            DialTimeout = TimeSpan.FromDays(1),
            ConnectTimeout = TimeSpan.FromDays(1),
            UpgradeTimeout = TimeSpan.FromDays(1),
            StreamNegotiationTimeout = TimeSpan.FromDays(1),
            IdleTimeout = Timeout.InfiniteTimeSpan,
        });
        Swarm b = await nodes.StartAsync(null);
        await using var answers = fixture.Answers(on: b);
        await using var asks = fixture.Asks(on: a);
        var options = new RequestOptions
        {
            Addresses = [Multiaddr.Parse("/memory/b")],
            Timeout = TimeSpan.FromDays(1),
            Retry = RetryPolicy.UntilDeadline,
        };
        IAsyncEnumerator<SwarmEvent> events = a.WatchAsync(Token).GetAsyncEnumerator(Token);
        Task<ReadOnlyMemory<byte>>[] requests =
            [.. Enumerable.Range(0, 5).Select(i => asks.SendAsync(b.LocalPeer, Bytes($"{i}"), options, Token))];
        while (await events.MoveNextAsync() && events.Current is not SwarmEvent.DialFailed) { }
        await b.ListenAsync(Multiaddr.Parse("/memory/b"), Token);
        while (!Task.WhenAll(requests).IsCompleted)
        {
            // Until the next attempt brings a connection that can be used; one that is ending does not count.
            if (a.ConnectionsTo(b.LocalPeer).Count == 0) time.Advance(TimeSpan.FromMilliseconds(50));
            await Task.Delay(1, Token);
        }

        Assert.Equal(["0", "1", "2", "3", "4"], (await Task.WhenAll(requests)).Select(Text));
        await events.DisposeAsync();
    }

    [Fact]
    public async Task News_of_the_peer_wakes_a_request_that_waits_to_be_tried_again()
    {
        await using var nodes = new TestNodes();
        await using var fixture = new RequestFixture();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        await using var answers = fixture.Answers(on: b);
        await using var asks = fixture.Asks(on: a, random: () => 0.99);
        var patient = new RetryPolicy { InitialDelay = TimeSpan.FromHours(1), MaxDelay = TimeSpan.FromHours(1) };
        var options = new RequestOptions { Timeout = TimeSpan.FromHours(5), Retry = patient };
        Task<ReadOnlyMemory<byte>> request = asks.SendAsync(b.LocalPeer, Bytes("at last"), options, Token);
        await Eventually.BecomesTrueAsync(
            () => asks.Client!.Queue.NextDue < TimeSpan.FromHours(2), "the first attempt failed, as no address is known");
        a.AddAddresses(b.LocalPeer, b.ListenAddresses);
        Assert.Equal("at last", Text(await request));
    }

    [Fact]
    public async Task A_request_to_oneself_is_refused()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        RequestException error = await FailsAsync(
            fixture.Asks().SendAsync(fixture.A.LocalPeer, Bytes("me"), new RequestOptions { Retry = RetryPolicy.UntilDeadline }, Token),
            RequestFailure.DialFailure);
        Assert.Equal(TransportError.InvalidOperation, error.Error);
    }

    private sealed class DenyFirst(int count) : IConnectionPolicy
    {
        private int _asked;

        public ConnectionVerdict BeforeUse(PeerId peer, Multiaddr remoteAddress, bool isInbound) =>
            Interlocked.Increment(ref _asked) <= count ? ConnectionVerdict.Denied("not yet") : ConnectionVerdict.Allowed;
    }
}
