using System.Buffers;
using System.IO.Pipelines;
using FastShare.Transport.Requests;
using Microsoft.Extensions.Time.Testing;
using static FastShare.Transport.Tests.Requests.RequestFixture;

namespace FastShare.Transport.Tests.Requests;

/// <summary>One request and its response, and every way in which that fails.</summary>
public sealed class RequestExchangeTests
{
    [Fact]
    public async Task One_stream_per_request_and_the_requester_half_closes()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        int streams = 0;
        fixture.B.Handle(Id, async (stream, token) =>
        {
            Interlocked.Increment(ref streams);
            ReadResult result = await stream.Input.ReadAtLeastAsync(1 << 20, token); // only the end ends this
            Assert.True(result.IsCompleted);
            byte[] answer = [(byte)result.Buffer.Length];
            stream.Input.AdvanceTo(result.Buffer.End);
            await stream.Output.WriteAsync(answer, token);
        });
        var asks = fixture.Asks();
        for (int i = 0; i < 5; i++)
            Assert.Equal([(byte)i], (await asks.SendAsync(fixture.B.LocalPeer, new byte[i], null, Token)).ToArray());
        Assert.Equal(5, streams);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(16 << 10)]
    [InlineData((16 << 10) + 1)]
    [InlineData(1 << 20)]
    public async Task Messages_of_any_length_up_to_the_limit_arrive_whole(int length)
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        fixture.Answers();
        byte[] request = new byte[length];
        new Random(length).NextBytes(request);
        ReadOnlyMemory<byte> response = await fixture.Asks().SendAsync(fixture.B.LocalPeer, request, null, Token);
        Assert.True(response.Span.SequenceEqual(request));
    }

    [Fact]
    public async Task Ids_are_monotonic_from_1_inbound_and_outbound_apart()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        fixture.B.AddAddresses(fixture.A.LocalPeer, fixture.A.ListenAddresses);
        var atA = new List<long>();
        var both = new RequestProtocolOptions();
        var a = fixture.Answers((context, request, _) =>
        {
            atA.Add(context.Id.Value);
            return ValueTask.FromResult(request);
        }, both, fixture.A);
        var b = fixture.Answers(options: both);
        var atoB = new List<long>();
        for (int i = 0; i < 3; i++)
        {
            OutboundRequest<ReadOnlyMemory<byte>> request = a.Begin(fixture.B.LocalPeer, Bytes("x"), null, Token);
            atoB.Add(request.Id.Value);
            await request.Response;
        }

        OutboundRequest<ReadOnlyMemory<byte>> back = b.Begin(fixture.A.LocalPeer, Bytes("y"), null, Token);
        await back.Response;
        Assert.Equal([1, 2, 3], atoB);
        Assert.Equal(1, back.Id.Value);
        Assert.Equal([1], atA);
    }

    [Fact]
    public async Task A_request_is_pending_until_its_response_is_there()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        TaskCompletionSource entered = Signal(), leave = Signal();
        fixture.Answers(async (_, request, token) =>
        {
            entered.SetResult();
            await leave.Task.WaitAsync(token);
            return request;
        });
        var asks = fixture.Asks();
        OutboundRequest<ReadOnlyMemory<byte>> request = asks.Begin(fixture.B.LocalPeer, Bytes("x"), null, Token);
        Assert.True(asks.IsPending(request.Id));
        await entered.Task.WaitAsync(Token);
        Assert.True(asks.IsPending(request.Id));
        leave.SetResult();
        await request.Response;
        Assert.False(asks.IsPending(request.Id));
        Assert.False(asks.IsPending(new OutboundRequestId(99)));
    }

    [Fact]
    public async Task A_protocol_can_be_inbound_only_outbound_only_or_both()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        fixture.B.AddAddresses(fixture.A.LocalPeer, fixture.A.ListenAddresses);
        var inbound = new RequestProtocolOptions { Direction = RequestDirection.Inbound };
        var outbound = new RequestProtocolOptions { Direction = RequestDirection.Outbound };
        var b = fixture.Answers(options: inbound);
        Assert.Throws<InvalidOperationException>(() => b.Begin(fixture.A.LocalPeer, Bytes("x")));
        Assert.Throws<ArgumentException>(() => fixture.Answers(options: outbound, on: fixture.A));
        Assert.Throws<ArgumentException>(() => fixture.Asks(inbound));
        var a = fixture.Asks(outbound);
        Assert.Equal("x", Text(await a.SendAsync(fixture.B.LocalPeer, Bytes("x"), null, Token)));

        // A does not offer the protocol that it only asks with.
        var elsewhere = new RequestResponse<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>(fixture.B, Protocol(outbound));
        await using (elsewhere)
            await FailsAsync(elsewhere.SendAsync(fixture.A.LocalPeer, Bytes("y"), null, Token), RequestFailure.UnsupportedProtocols);
    }

    [Theory]
    [InlineData(false, 1)]
    [InlineData(true, 0)]
    [InlineData(true, 1)]
    [InlineData(true, 200)]
    [InlineData(true, 1 << 20)]
    public async Task An_unsupported_protocol_is_reported_and_leaves_the_connection_alone(bool identified, int length)
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        PeerConnection connection = await fixture.A.ConnectAsync(fixture.B.LocalPeer, cancellationToken: Token);
        if (identified)
        {
            var served = fixture.Answers();
            await fixture.A.DisconnectAsync(fixture.B.LocalPeer, Token);
            connection = await fixture.A.ConnectAsync(fixture.B.LocalPeer, cancellationToken: Token);
            Assert.Contains(Id, (await connection.IdentifyAsync(Token)).Protocols);
            await served.DisposeAsync(); // the peer is believed to serve it, so the proposal goes out with the request
        }

        RequestException error = await FailsAsync(
            fixture.Asks().SendAsync(fixture.B.LocalPeer, new byte[length], null, Token), RequestFailure.UnsupportedProtocols);
        Assert.Equal(TransportError.UnsupportedProtocol, error.Error);
        Assert.Contains(Id, error.Message);
        Assert.Same(connection, Assert.Single(fixture.A.Connections));
    }

    [Fact]
    public async Task No_response_in_time_is_a_timeout_in_the_stage_of_receiving()
    {
        var time = new FakeTimeProvider();
        await using RequestFixture fixture = await RequestFixture.StartAsync(
            (identity, transport) => new SwarmOptions { Identity = identity, Transports = [transport], TimeProvider = time });
        TaskCompletionSource entered = Signal(), gone = Signal();
        fixture.Answers(async (_, request, token) =>
        {
            entered.SetResult();
            using CancellationTokenRegistration registration = token.Register(gone.SetResult);
            await gone.Task;
            return request;
        });
        var asks = fixture.Asks();
        var options = new RequestOptions { Timeout = TimeSpan.FromSeconds(3) };
        Task<ReadOnlyMemory<byte>> request = asks.SendAsync(fixture.B.LocalPeer, Bytes("?"), options, Token);
        await entered.Task.WaitAsync(Token);
        time.Advance(TimeSpan.FromSeconds(3.1));
        RequestException error = await FailsAsync(request, RequestFailure.Timeout);
        Assert.Equal(RequestStage.Receiving, error.Stage);
        Assert.Equal(TransportError.Timeout, error.Error);
        Assert.Single(fixture.A.Connections);
        await fixture.B.DisposeAsync();
        await gone.Task.WaitAsync(Token);
    }

    [Fact]
    public async Task A_connection_lost_while_the_peer_answers_fails_both_sides_with_ConnectionClosed()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        TaskCompletionSource entered = Signal();
        var answers = fixture.Answers(async (_, request, token) =>
        {
            entered.SetResult();
            await Task.Delay(Timeout.Infinite, token);
            return request;
        });
        IAsyncEnumerable<RequestEvent> events = answers.WatchAsync(Token);
        var asks = fixture.Asks();
        Task<ReadOnlyMemory<byte>> request = asks.SendAsync(fixture.B.LocalPeer, Bytes("?"), null, Token);
        await entered.Task.WaitAsync(Token);
        await fixture.A.Connections[0].CloseAsync(Token);
        await FailsAsync(request, RequestFailure.ConnectionClosed);
        RequestEvent.InboundFailed failed = await FirstAsync<RequestEvent.InboundFailed>(events);
        Assert.Equal((InboundFailure.ConnectionClosed, 1L), (failed.Failure, failed.Id.Value));
    }

    [Fact]
    public async Task A_handler_that_omits_the_response_ends_the_stream_at_once()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        var answers = fixture.Add(new RequestResponse<ReadOnlyMemory<byte>, string>(
            fixture.B, new RequestProtocol<ReadOnlyMemory<byte>, string>(Id, BytesCodec.Instance, TextCodec.Instance),
            (context, _, _) =>
            {
                context.Omit();
                return ValueTask.FromResult("not sent");
            }));
        IAsyncEnumerable<RequestEvent> events = answers.WatchAsync(Token);
        var asks = fixture.Add(new RequestResponse<ReadOnlyMemory<byte>, string>(
            fixture.A, new RequestProtocol<ReadOnlyMemory<byte>, string>(
                Id, BytesCodec.Instance, TextCodec.Instance, new RequestProtocolOptions { Direction = RequestDirection.Outbound })));
        await FailsAsync(asks.SendAsync(fixture.B.LocalPeer, Bytes("?"), null, Token), RequestFailure.ResponseOmitted);
        Assert.Equal(InboundFailure.ResponseOmission, (await FirstAsync<RequestEvent.InboundFailed>(events)).Failure);
    }

    [Fact]
    public async Task A_handler_that_throws_resets_the_stream_and_is_reported()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        var answers = fixture.Answers((_, _, _) => throw new InvalidOperationException("no luck"));
        IAsyncEnumerable<RequestEvent> events = answers.WatchAsync(Token);
        RequestException error = await FailsAsync(
            fixture.Asks().SendAsync(fixture.B.LocalPeer, Bytes("?"), null, Token), RequestFailure.Io);
        Assert.Equal(TransportError.StreamReset, error.Error);
        RequestEvent.InboundFailed failed = await FirstAsync<RequestEvent.InboundFailed>(events);
        Assert.Equal(InboundFailure.HandlerFailed, failed.Failure);
        Assert.Contains("no luck", failed.Message);
        Assert.DoesNotContain("no luck", error.Message);
        Assert.Single(fixture.A.Connections);
    }

    [Fact]
    public async Task A_handler_out_of_time_has_its_stream_reset_and_its_token_fired()
    {
        var time = new FakeTimeProvider();
        await using RequestFixture fixture = await RequestFixture.StartAsync(
            configureB: (identity, transport) => new SwarmOptions { Identity = identity, Transports = [transport], TimeProvider = time, IdleTimeout = Timeout.InfiniteTimeSpan });
        TaskCompletionSource entered = Signal();
        var answers = fixture.Answers(async (_, request, token) =>
        {
            entered.SetResult();
            await Task.Delay(Timeout.Infinite, token);
            return request;
        });
        IAsyncEnumerable<RequestEvent> events = answers.WatchAsync(Token);
        Task<ReadOnlyMemory<byte>> request = fixture.Asks().SendAsync(fixture.B.LocalPeer, Bytes("?"), null, Token);
        await entered.Task.WaitAsync(Token);
        time.Advance(TimeSpan.FromSeconds(10.1));
        await FailsAsync(request, RequestFailure.Io);
        Assert.Equal(InboundFailure.Timeout, (await FirstAsync<RequestEvent.InboundFailed>(events)).Failure);
    }

    [Fact]
    public async Task A_requester_that_breaks_off_is_an_inbound_io_failure()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        var answers = fixture.Answers();
        Task<RequestEvent.InboundFailed> failed = FirstAsync<RequestEvent.InboundFailed>(answers.WatchAsync(Token));
        while (!failed.IsCompleted)
        {
            await using PeerStream stream = await fixture.A.OpenStreamAsync(fixture.B.LocalPeer, Id, Token);
            await stream.Output.WriteAsync(new byte[10], Token);
            // A reset that overtakes what was written leaves nobody a request to miss: then another one is broken off.
            await Task.WhenAny(failed, Task.Delay(50, Token));
            stream.Reset();
        }

        Assert.Equal(InboundFailure.Io, (await failed).Failure);
    }

    [Fact]
    public async Task A_response_that_cannot_be_decoded_is_an_io_failure()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        fixture.Answers();
        var asks = fixture.Add(new RequestResponse<ReadOnlyMemory<byte>, string>(
            fixture.A, new RequestProtocol<ReadOnlyMemory<byte>, string>(
                Id, BytesCodec.Instance, TextCodec.Instance, new RequestProtocolOptions { Direction = RequestDirection.Outbound })));
        RequestException error = await FailsAsync(
            asks.SendAsync(fixture.B.LocalPeer, new byte[] { 0xff }, null, Token), RequestFailure.Io);
        Assert.IsType<FormatException>(error.InnerException);
        Assert.Equal("fine", await asks.SendAsync(fixture.B.LocalPeer, Bytes("fine"), null, Token));
    }

    [Fact]
    public async Task A_response_is_reported_sent_only_once_it_was_flushed()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        const int Length = 4 << 20; // far more than fits into windows and pipes
        var answers = fixture.Answers((_, _, _) => ValueTask.FromResult<ReadOnlyMemory<byte>>(new byte[Length]));
        IAsyncEnumerator<RequestEvent> events = answers.WatchAsync(Token).GetAsyncEnumerator(Token);
        PeerStream stream = await fixture.A.OpenStreamAsync(fixture.B.LocalPeer, Id, Token);
        await stream.Output.WriteAsync(new byte[1], Token);
        await stream.Output.CompleteAsync();
        Assert.True(await events.MoveNextAsync());
        Assert.IsType<RequestEvent.RequestReceived>(events.Current);
        Task<bool> next = events.MoveNextAsync().AsTask();
        ReadResult first = await stream.Input.ReadAsync(Token);
        stream.Input.AdvanceTo(first.Buffer.Start, first.Buffer.End);
        Assert.False(next.IsCompleted);
        long read = 0;
        while (true)
        {
            ReadResult result = await stream.Input.ReadAsync(Token);
            read += result.Buffer.Length;
            stream.Input.AdvanceTo(result.Buffer.End);
            if (result.IsCompleted) break;
        }

        Assert.Equal(Length, read);
        Assert.True(await next);
        Assert.Equal(1, Assert.IsType<RequestEvent.ResponseSent>(events.Current).Id.Value);
        await stream.DisposeAsync();
        await events.DisposeAsync();
    }

    [Fact]
    public async Task A_request_cancelled_in_flight_resets_its_stream_and_frees_its_place()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        TaskCompletionSource entered = Signal();
        fixture.B.Handle(Id, async (stream, token) =>
        {
            if (entered.TrySetResult()) await Task.Delay(Timeout.Infinite, token);
            await stream.Input.CopyToAsync(stream.Output, token);
        });
        var asks = fixture.Asks(new RequestProtocolOptions { Direction = RequestDirection.Outbound, MaxConcurrentStreams = 1 });
        using var caller = new CancellationTokenSource();
        Task<ReadOnlyMemory<byte>> first = asks.SendAsync(fixture.B.LocalPeer, Bytes("first"), null, caller.Token);
        Task<ReadOnlyMemory<byte>> second = asks.SendAsync(fixture.B.LocalPeer, Bytes("second"), null, Token);
        await entered.Task.WaitAsync(Token);
        Assert.False(second.IsCompleted);
        await caller.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        Assert.Equal("second", Text(await second));
        Assert.Single(fixture.A.Connections);
    }

    [Fact]
    public async Task A_handler_hears_at_once_that_its_requester_gave_up()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        TaskCompletionSource entered = Signal();
        var answers = fixture.Answers(async (_, request, token) =>
        {
            entered.SetResult();
            await Task.Delay(Timeout.Infinite, token);
            return request;
        }, new RequestProtocolOptions { Timeout = TimeSpan.FromDays(1) });
        IAsyncEnumerable<RequestEvent> events = answers.WatchAsync(Token);
        using var caller = new CancellationTokenSource();
        Task<ReadOnlyMemory<byte>> request = fixture.Asks().SendAsync(fixture.B.LocalPeer, Bytes("?"), null, caller.Token);
        await entered.Task.WaitAsync(Token);
        await caller.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => request);
        RequestEvent.InboundFailed failed = await FirstAsync<RequestEvent.InboundFailed>(events);
        Assert.Equal(InboundFailure.ConnectionClosed, failed.Failure);
        Assert.Contains("gave up", failed.Message);
        Assert.Single(fixture.B.Connections);
    }

    [Fact]
    public async Task Disposing_fails_what_is_pending_and_waits_for_handlers()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        TaskCompletionSource entered = Signal(), left = Signal();
        var answers = fixture.Answers(async (_, request, token) =>
        {
            entered.SetResult();
            try
            {
                await Task.Delay(Timeout.Infinite, token);
            }
            finally
            {
                left.SetResult();
            }

            return request;
        });
        var asks = fixture.Asks();
        Task<ReadOnlyMemory<byte>> request = asks.SendAsync(fixture.B.LocalPeer, Bytes("?"), null, Token);
        await entered.Task.WaitAsync(Token);
        await asks.DisposeAsync();
        await FailsAsync(request, RequestFailure.Aborted);
        await FailsAsync(asks.SendAsync(fixture.B.LocalPeer, Bytes("late"), null, Token), RequestFailure.Aborted);
        await answers.DisposeAsync();
        Assert.True(left.Task.IsCompleted);
    }

    [Fact]
    public async Task Events_tell_what_became_of_every_request()
    {
        await using RequestFixture fixture = await RequestFixture.StartAsync();
        fixture.Answers();
        var asks = fixture.Asks();
        IAsyncEnumerator<RequestEvent> events = asks.WatchAsync(Token).GetAsyncEnumerator(Token);
        await asks.SendAsync(fixture.B.LocalPeer, Bytes("x"), null, Token);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => asks.SendAsync(fixture.B.LocalPeer, Bytes("x"), null, new CancellationToken(true)));
        Assert.True(await events.MoveNextAsync());
        Assert.Equal(1, Assert.IsType<RequestEvent.ResponseReceived>(events.Current).Id.Value);
        Assert.True(await events.MoveNextAsync());
        var failed = Assert.IsType<RequestEvent.OutboundFailed>(events.Current);
        Assert.Equal((2L, RequestFailure.Cancelled), (failed.Id.Value, failed.Error.Failure));
        await asks.DisposeAsync();
        Assert.False(await events.MoveNextAsync());
    }

    /// <summary>ASCII; an empty payload is no message.</summary>
    private sealed class TextCodec : IMessageCodec<string>
    {
        public static TextCodec Instance { get; } = new();

        public void Encode(string message, IBufferWriter<byte> output) => output.Write(Bytes(message).Span);

        public string Decode(in ReadOnlySequence<byte> payload) =>
            payload.FirstSpan[0] < 0x80
                ? Text(payload.ToArray())
                : throw new FormatException("not ASCII");
    }
}
