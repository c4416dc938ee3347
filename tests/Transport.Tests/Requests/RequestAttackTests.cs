using System.Collections.Concurrent;
using FastShare.Testing;
using FastShare.Testing.Sockets;
using FastShare.Transport.Dialing;
using FastShare.Transport.Protocols;
using FastShare.Transport.Requests;
using Microsoft.Extensions.Time.Testing;
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
    public Task A_request_ends_at_once_in_whatever_stage_its_end_comes(Stage stage, string end) => EndAsync(stage, end);

    [Fact]
    public async Task Whatever_ends_no_exception_is_left_unobserved()
    {
        var unobserved = new ConcurrentQueue<Exception>();
        EventHandler<UnobservedTaskExceptionEventArgs> note = (_, e) => unobserved.Enqueue(e.Exception);
        TaskScheduler.UnobservedTaskException += note;
        try
        {
            foreach (Stage stage in Enum.GetValues<Stage>())
            {
                foreach (string end in (string[])["dispose", "swarm"]) await EndAsync(stage, end, isHeard: false);
            }

            for (int i = 0; i < 3; i++)
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
            }
        }
        finally
        {
            TaskScheduler.UnobservedTaskException -= note;
        }

        // Other tests run at the same time, some of which leave tasks alone on purpose.
        Assert.DoesNotContain(unobserved.SelectMany(e => ((AggregateException)e).Flatten().InnerExceptions), e => e is RequestException);
    }

    private static async Task EndAsync(Stage stage, string end, bool isHeard = true)
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
            if (!isHeard) break; // nobody looks at the responses
            if (end == "cancel") await Assert.ThrowsAnyAsync<OperationCanceledException>(() => request.Response);
            else await FailsAsync(request.Response, RequestFailure.Aborted);
            Assert.True(request.Accepted.IsCompletedSuccessfully);
            Assert.False(asks.IsPending(request.Id));
        }

        await asks.DisposeAsync(); // waits for whatever was under way
        Assert.Equal((0, 0), (asks.Client!.Queue.PendingCount, asks.Client.Queue.PeerCount));

        OutboundRequest<ReadOnlyMemory<byte>> Begin() => asks.Begin(fixture.B.LocalPeer, message, patient, caller.Token);
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
        // A request that crosses a close goes on to the next connection. On a busy machine connections that live for a millisecond may
        // be lost often enough for it to count as a failure, one that is safe to try again; no other may happen.
        var options = new RequestOptions
        {
            Retry = new RetryPolicy { MaxAttempts = int.MaxValue, InitialDelay = TimeSpan.FromMilliseconds(1), MaxDelay = TimeSpan.FromMilliseconds(20) },
        };
        await Task.WhenAll(Enumerable.Range(0, 4).Select(worker => Task.Run(async () =>
        {
            for (int i = 0; i < 500; i++)
            {
                Assert.Equal($"{worker}-{i}", Text(await asks.SendAsync(fixture.B.LocalPeer, Bytes($"{worker}-{i}"), options, Token)));
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

    [Fact]
    public async Task A_peer_that_ends_every_connection_at_once_is_not_dialed_without_pause()
    {
        var time = new FakeTimeProvider();
        await using RequestFixture fixture = await RequestFixture.StartAsync((identity, transport) => new SwarmOptions
        {
            Identity = identity,
            Transports = [transport],
            TimeProvider = time,
            DialTimeout = TimeSpan.FromDays(1), // virtual time runs ahead of the work that a dial is
            ConnectTimeout = TimeSpan.FromDays(1),
            UpgradeTimeout = TimeSpan.FromDays(1),
            StreamNegotiationTimeout = TimeSpan.FromDays(1),
            IdleTimeout = Timeout.InfiniteTimeSpan,
        });
        // It never answers: a request may get there before the connection is ended.
        fixture.Answers(async (_, _, token) =>
        {
            await Task.Delay(Timeout.Infinite, token);
            return default;
        });
        int ended = 0;
        using IDisposable hostile = fixture.B.Observe(new OnUp(connection =>
        {
            Interlocked.Increment(ref ended);
            connection.Abort(new TransportException(TransportError.ConnectionClosed, "go away"));
        }));
        var asks = fixture.Asks(random: () => 0.5);
        var options = new RequestOptions { IsIdempotent = true, Retry = RetryPolicy.UntilDeadline, Timeout = TimeSpan.FromMinutes(1) };
        Task<ReadOnlyMemory<byte>> request = asks.SendAsync(fixture.B.LocalPeer, Bytes("?"), options, Token);
        await Eventually.BecomesTrueAsync(() => asks.Client!.Queue.NextDue < TimeSpan.FromSeconds(30), "it pauses, with the time standing still");
        Assert.InRange(Volatile.Read(ref ended), 1, 3);
        while (!request.IsCompleted)
        {
            if (asks.Client!.Queue.NextDue < TimeSpan.FromMinutes(1) || ended > 100) time.Advance(TimeSpan.FromMilliseconds(100));
            else await Task.Delay(1, Token);
            if (fixture.A.Connections.Count == 0) time.Advance(TimeSpan.FromMilliseconds(10));
        }

        RequestException error = await Assert.ThrowsAsync<RequestException>(() => request);
        Assert.Contains(error.Failure, (RequestFailure[])[RequestFailure.ConnectionClosed, RequestFailure.Timeout]);
        Assert.InRange(ended, 2, 200);
    }

    [Fact]
    public async Task A_handler_that_throws_on_a_surplus_connection_is_no_lost_connection()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        (Swarm small, Swarm large) = Ordered(fixture);
        TaskCompletionSource entered = Signal(), go = Signal();
        fixture.Answers(async (_, _, token) =>
        {
            entered.TrySetResult();
            await go.Task.WaitAsync(token);
            throw new InvalidOperationException("no luck");
        }, on: small);
        var asks = fixture.Asks(on: large);
        PeerConnection surplus = await large.ConnectAsync(small.LocalPeer, small.ListenAddresses, Token);
        Task<ReadOnlyMemory<byte>> request = asks.SendAsync(small.LocalPeer, Bytes("?"), null, Token);
        await entered.Task.WaitAsync(Token);
        await small.ConnectAsync(
            large.LocalPeer, new DialOptions { Condition = DialCondition.Always, Addresses = large.ListenAddresses }, Token);
        await Eventually.BecomesTrueAsync(() => !surplus.IsLive, "both sides agreed that it is surplus");
        go.SetResult();
        await FailsAsync(request, RequestFailure.Io);
    }

    [Fact]
    public async Task Requests_go_on_over_a_surplus_connection_whose_other_side_never_answers_about_it()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        (Swarm small, Swarm large) = Ordered(fixture);
        TaskCompletionSource asked = Signal();
        small.Handle(ProtocolIds.Retire, async (_, token) =>
        {
            asked.TrySetResult();
            await Task.Delay(Timeout.Infinite, token);
        });
        fixture.Answers(on: small, options: new RequestProtocolOptions { Timeout = Long });
        fixture.Answers(on: large, options: new RequestProtocolOptions { Timeout = Long });
        PeerConnection surplus = await large.ConnectAsync(small.LocalPeer, small.ListenAddresses, Token);
        await small.ConnectAsync(
            large.LocalPeer, new DialOptions { Condition = DialCondition.Always, Addresses = large.ListenAddresses }, Token);
        var outbound = new RequestProtocolOptions { Direction = RequestDirection.Outbound, Timeout = Long };
        var there = fixture.Asks(outbound, small);
        var back = fixture.Asks(outbound, large);
        await asked.Task.WaitAsync(Token);
        for (int wave = 0; wave < 20; wave++)
        {
            await Task.WhenAll(Enumerable.Range(0, 50).Select(async i =>
            {
                Assert.Equal($"{i}", Text(await there.SendAsync(large.LocalPeer, Bytes($"{i}"), null, Token)));
                Assert.Equal($"{i}", Text(await back.SendAsync(small.LocalPeer, Bytes($"{i}"), null, Token)));
            }));
        }

        Assert.True(surplus.IsLive); // nobody agreed that it goes
        Assert.Equal(2, large.Connections.Count);
    }

    // The dialer with the larger id is the one whose connection is surplus.
    private static (Swarm Small, Swarm Large) Ordered(RequestFixture fixture) =>
        fixture.A.LocalPeer.Bytes.SequenceCompareTo(fixture.B.LocalPeer.Bytes) < 0 ? (fixture.A, fixture.B) : (fixture.B, fixture.A);

    private static void InterlockedMax(ref int most, int value)
    {
        int seen;
        while ((seen = Volatile.Read(ref most)) < value && Interlocked.CompareExchange(ref most, value, seen) != seen) { }
    }
}
