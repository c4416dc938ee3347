using System.Buffers;
using System.Threading.Channels;
using FastShare.Testing.Sockets;
using FastShare.Transport.Identity;
using FastShare.Transport.Requests;
using FastShare.Transport.Sockets;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transport.Tests.Requests;

/// <summary>
/// What both sides are told when an exchange goes wrong: the behaviours of rust-libp2p's
/// <c>request-response/tests/error_reporting.rs</c>, each on a connection that lives on unless it is the connection that fails.
/// </summary>
public sealed class ErrorReportingTests
{
    private const string Id = "/test/1";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    /// <summary>What goes over the wire; the codecs fail where the action says so.</summary>
    private enum Step
    {
        Fine,
        FailOnWriteRequest,
        FailOnReadRequest,
        FailOnWriteResponse,
        FailOnReadResponse,
    }

    [Fact]
    public async Task A_response_that_cannot_be_read_fails_the_request_and_counts_as_sent()
    {
        await using Exchange exchange = await Exchange.StartAsync();
        RequestException error = await exchange.FailureAsync(Step.FailOnReadResponse);
        Assert.Equal((RequestFailure.Io, RequestStage.Receiving), (error.Failure, error.Stage));
        Assert.Equal(nameof(Step.FailOnReadResponse), error.InnerException?.Message);
        Assert.IsType<FormatException>(error.InnerException);
        await exchange.Answering.NextAsync<RequestEvent.ResponseSent>();
        await exchange.AssertUsableAsync();
    }

    [Fact]
    public async Task A_request_that_cannot_be_written_fails_alone_and_nobody_hears_of_it()
    {
        await using Exchange exchange = await Exchange.StartAsync();
        RequestException error = await exchange.FailureAsync(Step.FailOnWriteRequest);
        Assert.Equal(RequestFailure.Io, error.Failure);
        Assert.Equal(nameof(Step.FailOnWriteRequest), error.InnerException?.Message);
        await exchange.AssertUsableAsync(); // the first thing that the other side hears
    }

    [Fact]
    public async Task No_response_in_time_fails_the_request_with_the_stage_it_was_in()
    {
        // The other side takes the request and is silent for longer than the requester waits.
        await using Exchange exchange = await Exchange.StartAsync(requesterTimeout: TimeSpan.FromSeconds(2));
        Task<Step> response = exchange.Requester.SendAsync(exchange.Peer, Step.Fine, null, Token);
        TaskCompletionSource<Step> answer = await exchange.Handling.ReadAsync(Token);
        exchange.RequesterTime.Advance(TimeSpan.FromSeconds(2));
        RequestException error = await Assert.ThrowsAsync<RequestException>(() => response);
        Assert.Equal((RequestFailure.Timeout, RequestStage.Receiving), (error.Failure, error.Stage));
        Assert.Equal(TransportError.Timeout, error.Error);
        Assert.Equal(TimeSpan.FromSeconds(2), error.Times.Exchanging);

        answer.SetResult(Step.Fine); // too late, and harmless
        await exchange.AssertUsableAsync();
    }

    [Fact]
    public async Task Part_of_a_response_in_time_is_a_timeout()
    {
        await using Exchange exchange = await Exchange.StartAsync(requesterTimeout: TimeSpan.FromSeconds(2), serve: false);
        var begun = new TaskCompletionSource();
        var over = new TaskCompletionSource();
        var gone = new TaskCompletionSource<TransportError>();
        exchange.B.Handle(Id, async (stream, token) =>
        {
            System.IO.Pipelines.ReadResult request = await stream.Input.ReadAsync(token);
            while (!request.IsCompleted)
            {
                stream.Input.AdvanceTo(request.Buffer.Start, request.Buffer.End);
                request = await stream.Input.ReadAsync(token);
            }

            await stream.Output.WriteAsync(new byte[1], token);
            begun.TrySetResult();
            await over.Task.WaitAsync(token);
            try
            {
                while (true) await stream.Output.WriteAsync(new byte[1], token);
            }
            catch (TransportException e)
            {
                gone.TrySetResult(e.Error);
            }
        });
        Task<Step> response = exchange.Requester.SendAsync(exchange.Peer, Step.Fine, null, Token);
        await begun.Task.WaitAsync(Token);
        exchange.RequesterTime.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(RequestFailure.Timeout, (await Assert.ThrowsAsync<RequestException>(() => response)).Failure);
        over.SetResult();
        Assert.Equal(TransportError.StreamReset, await gone.Task.WaitAsync(Token)); // the requester does not leave it hanging
    }

    [Fact]
    public async Task Requests_beyond_the_streams_allowed_wait_for_their_turn_at_the_requester()
    {
        await using Exchange exchange = await Exchange.StartAsync(maxStreams: 1);
        Task<Step> first = exchange.Requester.SendAsync(exchange.Peer, Step.Fine, null, Token);
        TaskCompletionSource<Step> answer = await exchange.Handling.ReadAsync(Token);
        OutboundRequest<Step> second = exchange.Requester.Begin(exchange.Peer, Step.Fine, null, Token);
        Assert.True(exchange.Requester.IsPending(second.Id));
        Assert.False(exchange.Handling.TryRead(out _));

        answer.SetResult(Step.Fine);
        await first;
        (await exchange.Handling.ReadAsync(Token)).SetResult(Step.Fine);
        Assert.Equal(Step.Fine, await second.Response);
    }

    [Fact]
    public async Task A_request_that_never_gets_its_turn_says_so()
    {
        await using Exchange exchange = await Exchange.StartAsync(maxStreams: 1);
        Task<Step> first = exchange.Requester.SendAsync(
            exchange.Peer, Step.Fine, new RequestOptions { Timeout = TimeSpan.FromMinutes(1) }, Token);
        TaskCompletionSource<Step> answer = await exchange.Handling.ReadAsync(Token);
        Task<Step> second = exchange.Requester.SendAsync(
            exchange.Peer, Step.Fine, new RequestOptions { Timeout = TimeSpan.FromSeconds(1) }, Token);
        exchange.RequesterTime.Advance(TimeSpan.FromSeconds(1));
        RequestException error = await Assert.ThrowsAsync<RequestException>(() => second);
        Assert.Equal((RequestFailure.Timeout, RequestStage.Queued), (error.Failure, error.Stage));
        Assert.Equal(TimeSpan.FromSeconds(1), error.Times.Queued);

        answer.SetResult(Step.Fine);
        Assert.Equal(Step.Fine, await first);
    }

    [Fact]
    public async Task Streams_beyond_those_allowed_wait_for_their_turn_at_the_answering_side()
    {
        // The requester would have ten at a time.
        await using Exchange exchange = await Exchange.StartAsync(maxStreams: 10, maxServed: 1);
        Task<Step>[] responses = [.. Enumerable.Range(0, 10).Select(_ => exchange.Requester.SendAsync(exchange.Peer, Step.Fine, null, Token))];
        for (int i = 0; i < responses.Length; i++)
        {
            TaskCompletionSource<Step> answer = await exchange.Handling.ReadAsync(Token);
            Assert.False(exchange.Handling.TryRead(out _));
            answer.SetResult(Step.Fine);
        }

        await Task.WhenAll(responses);
    }

    [Fact]
    public async Task A_request_that_cannot_be_read_is_an_error_on_both_sides()
    {
        await using Exchange exchange = await Exchange.StartAsync();
        RequestException error = await exchange.FailureAsync(Step.FailOnReadRequest);
        Assert.Equal(RequestFailure.Io, error.Failure);
        RequestEvent.InboundFailed failed = await exchange.Answering.NextAsync<RequestEvent.InboundFailed>();
        Assert.Equal(InboundFailure.Io, failed.Failure);
        Assert.Contains(nameof(Step.FailOnReadRequest), failed.Message, StringComparison.Ordinal);
        Assert.False(exchange.Handling.TryRead(out _)); // it never reached the handler
        await exchange.AssertUsableAsync();
    }

    [Fact]
    public async Task A_response_that_cannot_be_written_is_an_error_on_both_sides()
    {
        await using Exchange exchange = await Exchange.StartAsync();
        RequestException error = await exchange.FailureAsync(Step.FailOnWriteResponse);
        Assert.Equal(RequestFailure.Io, error.Failure);
        RequestEvent.InboundFailed failed = await exchange.Answering.NextAsync<RequestEvent.InboundFailed>();
        Assert.Equal(InboundFailure.Io, failed.Failure);
        Assert.Contains(nameof(Step.FailOnWriteResponse), failed.Message, StringComparison.Ordinal);
        await exchange.AssertUsableAsync();
    }

    [Fact]
    public async Task A_response_that_cannot_be_written_in_time_is_a_timeout_and_an_end_for_the_requester()
    {
        // A requester that does not read, and a response longer than the stream's window.
        await using var nodes = new TestNodes();
        var time = new FakeTimeProvider();
        Swarm a = await nodes.StartAsync("a");
        Swarm b = await nodes.StartAsync("b", (identity, transport) => Exchange.Options(identity, transport, time));
        var protocol = new RequestProtocol<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>(
            Id, BytesCodec.Instance, BytesCodec.Instance,
            new RequestProtocolOptions { Timeout = TimeSpan.FromSeconds(3), MaxResponseSize = 32 << 20 });
        var handled = new TaskCompletionSource();
        await using var server = new RequestResponse<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>(b, protocol, (_, _, _) =>
        {
            handled.TrySetResult();
            return new ValueTask<ReadOnlyMemory<byte>>(new byte[24 << 20]);
        });
        await using var events = new Events(server.WatchAsync(Token));

        PeerConnection connection = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        await using PeerStream stream = await connection.OpenStreamAsync(Id, Token);
        await stream.Output.WriteAsync(new byte[] { 1 }, Token);
        await stream.Output.CompleteAsync();
        await handled.Task.WaitAsync(Token);
        await events.NextAsync<RequestEvent.RequestReceived>();
        time.Advance(TimeSpan.FromSeconds(3));
        Assert.Equal(InboundFailure.Timeout, (await events.NextAsync<RequestEvent.InboundFailed>()).Failure);

        TransportException error = await Assert.ThrowsAsync<TransportException>(async () =>
        {
            while (true)
            {
                System.IO.Pipelines.ReadResult read = await stream.Input.ReadAsync(Token);
                Assert.False(read.IsCompleted, "the response ended as if it were whole");
                stream.Input.AdvanceTo(read.Buffer.End);
            }
        });
        Assert.Equal(TransportError.StreamReset, error.Error);
        await connection.PingAsync(Token);
    }

    [Fact]
    public async Task A_handler_that_takes_too_long_is_a_timeout_and_an_end_for_the_requester()
    {
        await using Exchange exchange = await Exchange.StartAsync(serverTimeout: TimeSpan.FromSeconds(3));
        Task<Step> response = exchange.Requester.SendAsync(exchange.Peer, Step.Fine, null, Token);
        TaskCompletionSource<Step> answer = await exchange.Handling.ReadAsync(Token);
        exchange.ServerTime.Advance(TimeSpan.FromSeconds(3));
        Assert.Equal(RequestFailure.Io, (await Assert.ThrowsAsync<RequestException>(() => response)).Failure);
        answer.TrySetResult(Step.Fine);
        Assert.Equal(InboundFailure.Timeout, (await exchange.Answering.NextAsync<RequestEvent.InboundFailed>()).Failure);
        await exchange.AssertUsableAsync();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_connection_closed_while_answering_is_told_to_both_sides(bool requesterCloses)
    {
        await using Exchange exchange = await Exchange.StartAsync();
        Task<Step> response = exchange.Requester.SendAsync(exchange.Peer, Step.Fine, null, Token);
        TaskCompletionSource<Step> answer = await exchange.Handling.ReadAsync(Token);
        Swarm closing = requesterCloses ? exchange.A : exchange.B;
        await Assert.Single(closing.Connections).CloseAsync(Token);
        RequestException error = await Assert.ThrowsAsync<RequestException>(() => response);
        Assert.Equal((RequestFailure.ConnectionClosed, RequestStage.Receiving), (error.Failure, error.Stage));
        await exchange.HandlerCancelled.Task.WaitAsync(Token); // nobody waits for the answer any more
        answer.TrySetResult(Step.Fine);
        Assert.Equal(InboundFailure.ConnectionClosed, (await exchange.Answering.NextAsync<RequestEvent.InboundFailed>()).Failure);
    }

    [Fact]
    public async Task A_handler_that_ends_without_a_response_is_told_to_both_sides()
    {
        await using Exchange exchange = await Exchange.StartAsync(omit: true);
        RequestException error = await Assert.ThrowsAsync<RequestException>(
            () => exchange.Requester.SendAsync(exchange.Peer, Step.Fine, null, Token));
        Assert.Equal((RequestFailure.ResponseOmitted, RequestStage.Receiving), (error.Failure, error.Stage));
        Assert.Equal(InboundFailure.ResponseOmission, (await exchange.Answering.NextAsync<RequestEvent.InboundFailed>()).Failure);
    }

    [Fact]
    public async Task A_handler_that_throws_is_told_to_both_sides()
    {
        await using Exchange exchange = await Exchange.StartAsync();
        Task<Step> response = exchange.Requester.SendAsync(exchange.Peer, Step.Fine, null, Token);
        (await exchange.Handling.ReadAsync(Token)).SetException(new InvalidDataException("the disk is full"));
        Assert.Equal(RequestFailure.Io, (await Assert.ThrowsAsync<RequestException>(() => response)).Failure);
        RequestEvent.InboundFailed failed = await exchange.Answering.NextAsync<RequestEvent.InboundFailed>();
        Assert.Equal(InboundFailure.HandlerFailed, failed.Failure);
        Assert.Contains("the disk is full", failed.Message, StringComparison.Ordinal);
        await exchange.AssertUsableAsync();
    }

    [Fact]
    public async Task A_protocol_that_the_peer_does_not_serve_fails_the_request_and_not_the_connection()
    {
        await using Exchange exchange = await Exchange.StartAsync(serve: false);
        RequestException error = await exchange.FailureAsync(Step.Fine);
        Assert.Equal((RequestFailure.UnsupportedProtocols, TransportError.UnsupportedProtocol), (error.Failure, error.Error));
        Assert.Contains(Id, error.Message, StringComparison.Ordinal);
        await Assert.Single(exchange.A.Connections).PingAsync(Token);
    }

    /// <summary>Two connected nodes, a requester on A and a handler on B that the test answers for.</summary>
    private sealed class Exchange : IAsyncDisposable
    {
        private readonly Channel<TaskCompletionSource<Step>> _handling = Channel.CreateUnbounded<TaskCompletionSource<Step>>();
        private readonly TestNodes _nodes = new();
        private RequestResponse<Step, Step>? _server;

        public Swarm A { get; private set; } = null!;

        public Swarm B { get; private set; } = null!;

        public RequestResponse<Step, Step> Requester { get; private set; } = null!;

        /// <summary>What B's side reports.</summary>
        public Events Answering { get; private set; } = null!;

        public PeerId Peer => B.LocalPeer;

        public FakeTimeProvider RequesterTime { get; } = new();

        public FakeTimeProvider ServerTime { get; } = new();

        /// <summary>The requests that the handler has taken, to be answered by the test.</summary>
        public ChannelReader<TaskCompletionSource<Step>> Handling => _handling.Reader;

        /// <summary>Completes when a handler's token has fired.</summary>
        public TaskCompletionSource HandlerCancelled { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public static async Task<Exchange> StartAsync(
            TimeSpan? requesterTimeout = null, TimeSpan? serverTimeout = null, int maxStreams = 100, int maxServed = 100,
            bool omit = false, bool serve = true)
        {
            var exchange = new Exchange();
            exchange.A = await exchange._nodes.StartAsync("a", (identity, transport) => Options(identity, transport, exchange.RequesterTime));
            exchange.B = await exchange._nodes.StartAsync("b", (identity, transport) => Options(identity, transport, exchange.ServerTime));
            if (serve)
            {
                exchange._server = new RequestResponse<Step, Step>(
                    exchange.B, Protocol(serverTimeout, maxServed), (context, _, token) => exchange.AnswerAsync(context, omit, token));
                exchange.Answering = new Events(exchange._server.WatchAsync(Token));
            }

            exchange.Requester = new RequestResponse<Step, Step>(
                exchange.A, Protocol(requesterTimeout, maxStreams, RequestDirection.Outbound));
            await exchange.A.ConnectAsync(exchange.B.LocalPeer, exchange.B.ListenAddresses, Token);
            return exchange;
        }

        public static SwarmOptions Options(PeerIdentity identity, ITransport transport, TimeProvider time) =>
            new() { Identity = identity, Transports = [transport], TimeProvider = time };

        /// <summary>Sends a request, answers it with the same if it is handled at all, and returns how it failed.</summary>
        public async Task<RequestException> FailureAsync(Step step)
        {
            Task<Step> response = Requester.SendAsync(Peer, step, null, Token);
            using var unhandled = CancellationTokenSource.CreateLinkedTokenSource(Token);
            Task<TaskCompletionSource<Step>> handled = _handling.Reader.ReadAsync(unhandled.Token).AsTask();
            if (await Task.WhenAny(response, handled) == handled) (await handled).SetResult(step);
            else await unhandled.CancelAsync();
            return await Assert.ThrowsAsync<RequestException>(() => response);
        }

        /// <summary>Whether the connection still serves requests, and is still the first one.</summary>
        public async Task AssertUsableAsync()
        {
            await using var requester = new RequestResponse<Step, Step>(A, Protocol(null, 100, RequestDirection.Outbound));
            Task<Step> response = requester.SendAsync(Peer, Step.Fine, null, Token);
            (await _handling.Reader.ReadAsync(Token)).SetResult(Step.Fine);
            Assert.Equal(Step.Fine, await response);
            Assert.Equal(1, A.DialCount(Peer));
            Assert.Single(A.Connections);
        }

        public async ValueTask DisposeAsync()
        {
            _handling.Writer.TryComplete();
            await Requester.DisposeAsync();
            if (_server is not null) await _server.DisposeAsync();
            if (Answering is not null) await Answering.DisposeAsync();
            await _nodes.DisposeAsync();
        }

        private static RequestProtocol<Step, Step> Protocol(
            TimeSpan? timeout, int maxStreams, RequestDirection direction = RequestDirection.Inbound) => new(
            Id, new StepCodec(Step.FailOnWriteRequest, Step.FailOnReadRequest),
            new StepCodec(Step.FailOnWriteResponse, Step.FailOnReadResponse),
            new RequestProtocolOptions
            {
                Timeout = timeout ?? TimeSpan.FromMinutes(5),
                MaxConcurrentStreams = maxStreams,
                Direction = direction,
            });

        private async ValueTask<Step> AnswerAsync(RequestContext context, bool omit, CancellationToken token)
        {
            if (omit)
            {
                context.Omit();
                return Step.Fine;
            }

            var answer = new TaskCompletionSource<Step>(TaskCreationOptions.RunContinuationsAsynchronously);
            _handling.Writer.TryWrite(answer);
            try
            {
                return await answer.Task.WaitAsync(token);
            }
            catch (OperationCanceledException)
            {
                HandlerCancelled.TrySetResult();
                throw;
            }
        }
    }

    /// <summary>One byte for a step; fails with the step's name where it is told to.</summary>
    private sealed class StepCodec(Step failsWriting, Step failsReading) : IMessageCodec<Step>
    {
        public void Encode(Step message, IBufferWriter<byte> output)
        {
            if (message == failsWriting) throw new FormatException($"{message}");
            output.Write([(byte)message]);
        }

        public Step Decode(in ReadOnlySequence<byte> payload)
        {
            var step = (Step)payload.FirstSpan[0];
            return step == failsReading ? throw new FormatException($"{step}") : step;
        }
    }

    /// <summary>The events of one side, from its making on.</summary>
    private sealed class Events(IAsyncEnumerable<RequestEvent> source) : IAsyncDisposable
    {
        private readonly IAsyncEnumerator<RequestEvent> _events = source.GetAsyncEnumerator(Token);

        /// <summary>The next event of a kind; others are passed over.</summary>
        public async Task<T> NextAsync<T>()
            where T : RequestEvent
        {
            while (await _events.MoveNextAsync())
            {
                if (_events.Current is T wanted) return wanted;
            }

            throw new InvalidOperationException($"the events ended before a {typeof(T).Name}");
        }

        public ValueTask DisposeAsync() => _events.DisposeAsync();
    }
}
