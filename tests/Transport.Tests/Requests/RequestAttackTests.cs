using FastShare.Testing;
using FastShare.Testing.Sockets;
using FastShare.Transport.Requests;
using static FastShare.Transport.Tests.Requests.RequestFixture;

namespace FastShare.Transport.Tests.Requests;

/// <summary>Requests under everything that can go wrong at once, and at every edge of a limit.</summary>
public sealed class RequestAttackTests
{
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(5);

    /// <summary>Where a request is when something happens to it.</summary>
    public enum Stage
    {
        Waiting,
        Queued,
        Dialing,
        Sending,
        Receiving,
        BackingOff,
    }

    public static TheoryData<Stage, string> StagesAndEnds()
    {
        var data = new TheoryData<Stage, string>();
        foreach (Stage stage in Enum.GetValues<Stage>())
        {
            foreach (string end in (string[])["cancel", "dispose", "swarm"]) data.Add(stage, end);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(StagesAndEnds))]
    public async Task A_request_ends_at_once_in_whatever_stage_its_end_comes(Stage stage, string end)
    {
        GatedTransport? gate = null;
        await using RequestFixture fixture = await RequestFixture.StartAsync(
            (identity, transport) => new SwarmOptions { Identity = identity, Transports = [gate = new GatedTransport(transport)] },
            introduce: stage != Stage.BackingOff);
        TaskCompletionSource entered = Signal();
        fixture.B.Handle(Id, async (stream, token) =>
        {
            if (stage == Stage.Receiving) await stream.Input.CopyToAsync(Stream.Null, token);
            entered.TrySetResult();
            await Task.Delay(Timeout.Infinite, token);
        });
        var asks = fixture.Asks(
            new RequestProtocolOptions
            {
                Direction = RequestDirection.Outbound,
                Timeout = Long,
                MaxConcurrentStreams = 1,
                MaxQueuedRequests = 1,
                MaxRequestSize = 4 << 20,
            },
            random: () => 0.99);
        if (stage != Stage.Dialing) gate!.Open();
        using var caller = new CancellationTokenSource();
        var patient = new RequestOptions
        {
            Retry = new RetryPolicy { InitialDelay = TimeSpan.FromMinutes(1), MaxDelay = TimeSpan.FromMinutes(1) },
        };
        byte[] message = new byte[stage == Stage.Sending ? 4 << 20 : 10]; // the first is far more than fits into a window
        var requests = new List<OutboundRequest<ReadOnlyMemory<byte>>> { Begin() };
        switch (stage)
        {
            case Stage.Waiting or Stage.Queued:
                await entered.Task.WaitAsync(Token);
                requests.Add(Begin());
                if (stage == Stage.Waiting) requests.Add(Begin());
                Assert.Equal(stage == Stage.Queued, requests[^1].Accepted.IsCompleted);
                break;
            case Stage.Dialing:
                await gate!.Begun;
                break;
            case Stage.BackingOff:
                await Eventually.BecomesTrueAsync(
                    () => asks.Client!.Queue.NextDue < TimeSpan.FromMinutes(2), "the first attempt failed, as no address is known");
                break;
            default:
                await entered.Task.WaitAsync(Token);
                break;
        }

        switch (end)
        {
            case "cancel":
                await caller.CancelAsync();
                break;
            case "dispose":
                await asks.DisposeAsync();
                break;
            case "swarm":
                await fixture.A.DisposeAsync();
                break;
        }

        foreach (OutboundRequest<ReadOnlyMemory<byte>> request in requests)
        {
            if (end == "cancel") await Assert.ThrowsAnyAsync<OperationCanceledException>(() => request.Response);
            else await FailsAsync(request.Response, RequestFailure.Aborted);
            Assert.True(request.Accepted.IsCompletedSuccessfully);
            Assert.False(asks.IsPending(request.Id));
        }

        await asks.DisposeAsync(); // waits for whatever was under way
        Assert.Equal((0, 0), (asks.Client!.Queue.PendingCount, asks.Client.Queue.PeerCount));

        OutboundRequest<ReadOnlyMemory<byte>> Begin() => asks.Begin(fixture.B.LocalPeer, message, patient, caller.Token);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(86_401)]
    [InlineData(922_337_203_685)]
    public void A_deadline_that_makes_no_sense_is_refused_where_it_is_set(double seconds)
    {
        var timeout = TimeSpan.FromSeconds(seconds);
        Assert.Throws<ArgumentOutOfRangeException>(() => new RequestOptions { Timeout = timeout });
        Assert.Throws<ArgumentOutOfRangeException>(() => new RequestProtocolOptions { Timeout = timeout });
        Assert.Throws<ArgumentOutOfRangeException>(() => new RetryPolicy { Budget = timeout });
        Assert.Throws<ArgumentOutOfRangeException>(() => new RetryPolicy { InitialDelay = timeout });
    }

    [Fact]
    public async Task The_longest_deadline_and_the_shortest_are_kept()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        fixture.Answers();
        var asks = fixture.Asks();
        var day = new RequestOptions { Timeout = TimeSpan.FromDays(1) };
        Assert.Equal("x", Text(await asks.SendAsync(fixture.B.LocalPeer, Bytes("x"), day, Token)));
        fixture.B.Handle(Id, static (_, token) => Task.Delay(Timeout.Infinite, token));
        var instant = new RequestOptions { Timeout = TimeSpan.FromTicks(1) };
        await FailsAsync(asks.SendAsync(fixture.B.LocalPeer, Bytes("x"), instant, Token), RequestFailure.Timeout);
    }

    [Theory]
    [InlineData(1000, 2000, null)]
    [InlineData(1001, 0, nameof(RequestProtocolOptions.MaxRequestSize))]
    [InlineData(1000, 2001, nameof(RequestProtocolOptions.MaxResponseSize))]
    public async Task A_message_of_the_limits_length_passes_and_one_byte_more_does_not(int request, int response, string? limit)
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        fixture.Answers((_, _, _) => ValueTask.FromResult<ReadOnlyMemory<byte>>(new byte[response]));
        var asks = fixture.Asks(new RequestProtocolOptions
        {
            Direction = RequestDirection.Outbound,
            MaxRequestSize = 1000,
            MaxResponseSize = 2000,
        });
        Task<ReadOnlyMemory<byte>> result = asks.SendAsync(fixture.B.LocalPeer, new byte[request], null, Token);
        if (limit is null) Assert.Equal(response, (await result).Length);
        else Assert.Contains(limit, (await FailsAsync(result, RequestFailure.LimitExceeded)).Message);
    }

    [Fact]
    public async Task Of_two_objects_for_one_protocol_both_ask_and_the_later_one_answers()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        var first = fixture.Answers((_, _, _) => ValueTask.FromResult(Bytes("first")));
        var second = fixture.Answers((_, _, _) => ValueTask.FromResult(Bytes("second")));
        var asks = fixture.Asks();
        var asksToo = fixture.Asks();
        Assert.Equal("second", Text(await asks.SendAsync(fixture.B.LocalPeer, Bytes("?"), null, Token)));
        Assert.Equal("second", Text(await asksToo.SendAsync(fixture.B.LocalPeer, Bytes("?"), null, Token)));
        await first.DisposeAsync(); // does not take the protocol from the other
        Assert.Equal("second", Text(await asks.SendAsync(fixture.B.LocalPeer, Bytes("?"), null, Token)));
        await asks.DisposeAsync();
        Assert.Equal("second", Text(await asksToo.SendAsync(fixture.B.LocalPeer, Bytes("?"), null, Token)));
        await second.DisposeAsync();
        await FailsAsync(asksToo.SendAsync(fixture.B.LocalPeer, Bytes("?"), null, Token), RequestFailure.UnsupportedProtocols);
        Assert.Equal(1, fixture.A.DialCount(fixture.B.LocalPeer));
    }

    [Fact]
    public async Task A_peer_that_floods_has_no_more_handlers_than_allowed_and_harms_nobody_else()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        const int Allowed = 4, Flood = 600;
        TaskCompletionSource go = Signal(), full = Signal();
        int running = 0, most = 0;
        fixture.Answers(async (context, request, token) =>
        {
            if (context.Peer != fixture.A.LocalPeer) return request;
            int now = Interlocked.Increment(ref running);
            InterlockedMax(ref most, now);
            if (now == Allowed) full.TrySetResult();
            await go.Task.WaitAsync(token);
            Interlocked.Decrement(ref running);
            return request;
        }, new RequestProtocolOptions { MaxConcurrentStreams = Allowed, Timeout = Long });
        // A requester without any restraint: streams by the hundred, as fast as they open.
        Task<int>[] flood = [.. Enumerable.Range(0, Flood).Select(i => Task.Run(async () =>
        {
            PeerStream stream = await fixture.A.OpenStreamAsync(fixture.B.LocalPeer, Id, Token);
            await stream.Output.WriteAsync(BitConverter.GetBytes(i), Token);
            await stream.Output.CompleteAsync();
            using var answer = new MemoryStream();
            await stream.Input.CopyToAsync(answer, Token);
            await stream.DisposeAsync();
            return BitConverter.ToInt32(answer.ToArray());
        }))];
        await full.Task.WaitAsync(Token);
        Swarm other = await fixture.Nodes.StartAsync(null);
        other.AddAddresses(fixture.B.LocalPeer, fixture.B.ListenAddresses);
        Assert.Equal("fine", Text(await fixture.Asks(on: other).SendAsync(fixture.B.LocalPeer, Bytes("fine"), null, Token)));
        go.SetResult();
        Assert.Equal(Enumerable.Range(0, Flood), await Task.WhenAll(flood));
        Assert.Equal(Allowed, most);
    }

    [Fact]
    public async Task A_handler_that_ignores_the_end_of_its_connection_holds_up_nothing_but_its_own_end()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        TaskCompletionSource entered = Signal(), go = Signal();
        fixture.Answers(async (_, request, _) =>
        {
            if (entered.TrySetResult()) await go.Task;
            return request;
        });
        var asks = fixture.Asks();
        Task<ReadOnlyMemory<byte>> lost = asks.SendAsync(fixture.B.LocalPeer, Bytes("lost"), null, Token);
        await entered.Task.WaitAsync(Token);
        await fixture.A.DisconnectAsync(fixture.B.LocalPeer, Token);
        await FailsAsync(lost, RequestFailure.ConnectionClosed);
        Assert.Equal("next", Text(await asks.SendAsync(fixture.B.LocalPeer, Bytes("next"), null, Token)));
        Task closing = fixture.B.DisposeAsync().AsTask();
        Assert.False(closing.IsCompleted);
        go.SetResult();
        await closing.WaitAsync(Token);
    }

    [Fact]
    public async Task Requests_at_the_very_moment_of_an_idle_close_all_succeed()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync(
            (identity, transport) => new SwarmOptions
            {
                Identity = identity,
                Transports = [transport],
                IdleTimeout = TimeSpan.FromMilliseconds(2), // either side closes whenever it can
            },
            (identity, transport) => new SwarmOptions
            {
                Identity = identity,
                Transports = [transport],
                IdleTimeout = TimeSpan.FromMilliseconds(1),
            });
        fixture.Answers(options: new RequestProtocolOptions { Timeout = Long });
        var asks = fixture.Asks(new RequestProtocolOptions { Direction = RequestDirection.Outbound, Timeout = Long });
        // No retry policy: a request that crosses a close goes on to the next connection all the same.
        await Task.WhenAll(Enumerable.Range(0, 4).Select(worker => Task.Run(async () =>
        {
            for (int i = 0; i < 500; i++)
            {
                Assert.Equal($"{worker}-{i}", Text(await asks.SendAsync(fixture.B.LocalPeer, Bytes($"{worker}-{i}"), null, Token)));
                if (i % 10 == 0) await Task.Delay(i % 4, Token); // so that idle times end, at changing distances from the next request
            }
        })));
        Assert.True(fixture.A.DialCount(fixture.B.LocalPeer) > 1, "no connection was idle: nothing was tested");
    }

    [Fact]
    public async Task Ten_thousand_requests_of_which_a_third_is_cancelled_leave_nothing_behind()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        fixture.Answers(options: new RequestProtocolOptions { Timeout = Long });
        var asks = fixture.Asks(new RequestProtocolOptions { Direction = RequestDirection.Outbound, Timeout = Long, MaxQueuedRequests = 1000 });
        using var early = new CancellationTokenSource();
        using var late = new CancellationTokenSource();
        var requests = new OutboundRequest<ReadOnlyMemory<byte>>[10_000];
        Parallel.For(0, requests.Length, i =>
        {
            CancellationToken token = (i % 6) switch { 0 => early.Token, 1 => late.Token, _ => Token };
            requests[i] = asks.Begin(fixture.B.LocalPeer, BitConverter.GetBytes(i), null, token);
            if (i == 5000) early.Cancel();
        });
        await requests[2].Response;
        await late.CancelAsync();
        int cancelled = 0;
        for (int i = 0; i < requests.Length; i++)
        {
            try
            {
                Assert.Equal(i, BitConverter.ToInt32((await requests[i].Response).Span));
            }
            catch (OperationCanceledException) when (i % 6 < 2)
            {
                cancelled++;
            }
        }

        Assert.True(cancelled > 0);
        Assert.Equal(1, fixture.A.DialCount(fixture.B.LocalPeer));
        await asks.DisposeAsync();
        Assert.Equal((0, 0), (asks.Client!.Queue.PendingCount, asks.Client.Queue.PeerCount));
    }

    private static TaskCompletionSource Signal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static void InterlockedMax(ref int most, int value)
    {
        int seen;
        while ((seen = Volatile.Read(ref most)) < value && Interlocked.CompareExchange(ref most, value, seen) != seen) { }
    }
}
