using System.Threading.Channels;
using FastShare.Testing;
using FastShare.Transport.Requests;
using static FastShare.Transport.Tests.Requests.RequestFixture;

namespace FastShare.Transport.Tests.Requests;

/// <summary>The limits of requests, what lies exactly at them, and what lies beyond.</summary>
public sealed class RequestLimitsTests
{
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(5);

    [Fact]
    public async Task The_defaults_are_10_s_100_streams_1_MiB_and_10_MiB()
    {
        var options = new RequestProtocolOptions();
        Assert.Equal(TimeSpan.FromSeconds(10), options.Timeout);
        Assert.Equal(100, options.MaxConcurrentStreams);
        Assert.Equal(1_048_576, options.MaxRequestSize);
        Assert.Equal(10_485_760, options.MaxResponseSize);
        Assert.Equal(RequestDirection.Both, options.Direction);
        Assert.Throws<ArgumentOutOfRangeException>(() => new RequestProtocolOptions { Timeout = TimeSpan.Zero });
        Assert.Throws<ArgumentOutOfRangeException>(() => new RequestProtocolOptions { MaxConcurrentStreams = 0 });
        await Task.CompletedTask;
    }

    [Fact]
    public async Task Exceeding_a_limit_names_it_on_either_side()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        var small = new RequestProtocolOptions { MaxRequestSize = 1000, MaxResponseSize = 2000 };
        var answers = fixture.Answers((_, request, _) => ValueTask.FromResult<ReadOnlyMemory<byte>>(new byte[request.Span[0] * 100]), small);
        IAsyncEnumerable<RequestEvent> events = answers.WatchAsync(Token);
        var asks = fixture.Asks(new RequestProtocolOptions
        {
            MaxRequestSize = 1000,
            MaxResponseSize = 1500,
            Direction = RequestDirection.Outbound,
        });
        var strict = await FailsAsync(
            asks.SendAsync(fixture.B.LocalPeer, new byte[1001], null, Token), RequestFailure.LimitExceeded);
        Assert.Contains("1000", strict.Message);
        Assert.Contains(nameof(RequestProtocolOptions.MaxRequestSize), strict.Message);
        Assert.Empty(fixture.A.Connections); // nothing was dialed, let alone sent

        var received = await FailsAsync(asks.SendAsync(fixture.B.LocalPeer, new byte[] { 16 }, null, Token), RequestFailure.LimitExceeded);
        Assert.Contains("1500", received.Message);
        Assert.Contains(nameof(RequestProtocolOptions.MaxResponseSize), received.Message);
        Assert.Equal(1500, (await asks.SendAsync(fixture.B.LocalPeer, new byte[] { 15 }, null, Token)).Length);

        await FailsAsync(asks.SendAsync(fixture.B.LocalPeer, new byte[] { 21 }, null, Token), RequestFailure.Io);
        RequestEvent.InboundFailed tooLong = await FirstAsync<RequestEvent.InboundFailed>(events);
        Assert.Equal(InboundFailure.LimitExceeded, tooLong.Failure);
        Assert.Contains(nameof(RequestProtocolOptions.MaxResponseSize), tooLong.Message);

        events = answers.WatchAsync(Token);
        await using var lavish = fixture.Asks();
        await FailsAsync(lavish.SendAsync(fixture.B.LocalPeer, new byte[5000], null, Token), RequestFailure.Io);
        RequestEvent.InboundFailed tooMuch = await FirstAsync<RequestEvent.InboundFailed>(events);
        Assert.Contains(nameof(RequestProtocolOptions.MaxRequestSize), tooMuch.Message);
    }

    [Fact]
    public async Task More_streams_than_allowed_wait_for_their_turn_on_the_answering_side()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        var turns = Channel.CreateUnbounded<TaskCompletionSource>();
        int running = 0;
        fixture.Answers(async (_, request, token) =>
        {
            TaskCompletionSource turn = Signal();
            Assert.InRange(Interlocked.Increment(ref running), 1, 2);
            turns.Writer.TryWrite(turn);
            await turn.Task.WaitAsync(token);
            Interlocked.Decrement(ref running);
            return request;
        }, new RequestProtocolOptions { MaxConcurrentStreams = 2, Timeout = TimeSpan.FromMinutes(1) });
        var asks = fixture.Asks(new RequestProtocolOptions { Direction = RequestDirection.Outbound, Timeout = TimeSpan.FromMinutes(1) });
        Task<ReadOnlyMemory<byte>>[] requests =
            [.. Enumerable.Range(0, 7).Select(i => asks.SendAsync(fixture.B.LocalPeer, Bytes($"{i}"), null, Token))];
        TaskCompletionSource waiting = await turns.Reader.ReadAsync(Token);
        for (int i = 1; i < requests.Length; i++)
        {
            TaskCompletionSource beside = await turns.Reader.ReadAsync(Token); // two at a time
            waiting.SetResult();
            waiting = beside;
        }

        waiting.SetResult();
        Assert.Equal(Enumerable.Range(0, 7).Select(i => $"{i}"), (await Task.WhenAll(requests)).Select(Text));
    }

    [Fact]
    public async Task A_full_queue_holds_callers_back_or_refuses_them()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        TaskCompletionSource go = Signal();
        fixture.Answers(async (_, request, token) =>
        {
            await go.Task.WaitAsync(token);
            return request;
        }, new RequestProtocolOptions { Timeout = TimeSpan.FromMinutes(1) });
        var asks = fixture.Asks(new RequestProtocolOptions
        {
            Direction = RequestDirection.Outbound,
            MaxQueuedRequests = 2,
            MaxConcurrentStreams = 1,
            Timeout = TimeSpan.FromMinutes(1),
        });
        await fixture.A.ConnectAsync(fixture.B.LocalPeer, cancellationToken: Token);
        OutboundRequest<ReadOnlyMemory<byte>>[] requests =
            [.. Enumerable.Range(0, 5).Select(i => asks.Begin(fixture.B.LocalPeer, Bytes($"{i}"), null, Token))];
        await Task.WhenAll(requests[0].Accepted, requests[1].Accepted, requests[2].Accepted).WaitAsync(Token);
        Assert.False(requests[3].Accepted.IsCompleted);
        Assert.False(requests[4].Accepted.IsCompleted);
        go.SetResult();
        for (int i = 0; i < 5; i++) Assert.Equal($"{i}", Text(await requests[i].Response));
        await requests[4].Accepted;
    }

    [Fact]
    public async Task A_queue_that_does_not_wait_says_that_it_is_full()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        TaskCompletionSource go = Signal();
        fixture.Answers(async (_, request, token) =>
        {
            await go.Task.WaitAsync(token);
            return request;
        });
        var asks = fixture.Asks(new RequestProtocolOptions
        {
            Direction = RequestDirection.Outbound,
            MaxQueuedBytes = 10,
            MaxConcurrentStreams = 1,
            WhenFull = QueueFullMode.Fail,
        });
        await fixture.A.ConnectAsync(fixture.B.LocalPeer, cancellationToken: Token);
        await Eventually.BecomesTrueAsync(() => asks.Client!.Queue.PeerCount == 1, "the connection is known");
        Task<ReadOnlyMemory<byte>> first = asks.SendAsync(fixture.B.LocalPeer, new byte[8], null, Token);
        Task<ReadOnlyMemory<byte>> second = asks.SendAsync(fixture.B.LocalPeer, new byte[8], null, Token);
        RequestException full = await FailsAsync(
            asks.SendAsync(fixture.B.LocalPeer, new byte[8], null, Token), RequestFailure.QueueFull);
        Assert.Contains(nameof(RequestProtocolOptions.MaxQueuedBytes), full.Message);
        go.SetResult();
        await Task.WhenAll(first, second);
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
}
