using System.Diagnostics;
using System.Runtime.CompilerServices;
using FastShare.Transport.Telemetry;

namespace FastShare.Transport.Requests.Internal;

/// <summary>Answers the requests of peers: reads, calls the handler, writes. Thread-safe.</summary>
/// <remarks>
/// Streams beyond <see cref="RequestProtocolOptions.MaxConcurrentStreams"/> of a connection wait for their turn, within their time.
/// rust-libp2p drops them, so a requester fails because the other side happens to be busy; waiting costs no memory here, for what is
/// not read stays with the requester once its stream's window is used up, and the streams of a connection are bounded anyway.
/// </remarks>
internal sealed class RequestServer<TRequest, TResponse>(
    RequestProtocol<TRequest, TResponse> protocol, RequestHandler<TRequest, TResponse> handler, EventFeed<RequestEvent> events,
    TimeProvider time, TransportInstruments instruments, CancellationToken closing)
{
    private readonly ConditionalWeakTable<PeerConnection, SemaphoreSlim> _places = [];
    private readonly ActivityCount _activity = new();
    private long _lastId; // interlocked

    private RequestProtocolOptions Options => protocol.Options;

    /// <summary>Waits until every handler has ended. Called once.</summary>
    public Task DrainAsync() => _activity.DrainAsync();

    /// <summary>Serves one stream; as a <see cref="StreamHandler"/>.</summary>
    public async Task ServeAsync(PeerStream stream, CancellationToken over)
    {
        var context = new RequestContext(new InboundRequestId(Interlocked.Increment(ref _lastId)), stream);
        _activity.Enter();
        using Activity? activity = TransportInstruments.StartRequest(protocol.Id, context.Peer, inbound: true);
        bool isCounted = instruments.RequestGotStream(protocol.Id, inbound: true);
        long started = time.GetTimestamp();
        InboundFailure? outcome = null;
        using var deadline = new CancellationTokenSource(Options.Timeout, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(over, closing, deadline.Token);
        try
        {
            SemaphoreSlim places = _places.GetValue(stream.Connection, _ => new SemaphoreSlim(Options.MaxConcurrentStreams));
            await places.WaitAsync(either.Token).ConfigureAwait(false);
            try
            {
                outcome = await AnswerAsync(context, stream, either).ConfigureAwait(false);
            }
            finally
            {
                places.Release();
            }
        }
        catch (Exception e)
        {
            stream.Reset();
            (InboundFailure failure, string message) = Explain(e);
            outcome = failure;
            activity?.SetStatus(ActivityStatusCode.Error, message);
            Report(context, failure, message);
            if (e is HandlerException) throw; // it is the application's: the swarm logs it
        }
        finally
        {
            if (isCounted) instruments.RequestLeftStream(protocol.Id, inbound: true);
            instruments.RequestAnswered(protocol.Id, time.GetElapsedTime(started), outcome);
            _activity.Leave();
        }

        (InboundFailure Failure, string Message) Explain(Exception e) => e switch
        {
            HandlerException => (InboundFailure.HandlerFailed, $"the handler failed: {e.InnerException!.Message}"),
            MessageTooLongException => (
                InboundFailure.LimitExceeded,
                $"the request is longer than {Options.MaxRequestSize} bytes ({nameof(RequestProtocolOptions.MaxRequestSize)})"),
            ResponseTooLongException => (
                InboundFailure.LimitExceeded,
                $"the response is longer than {Options.MaxResponseSize} bytes ({nameof(RequestProtocolOptions.MaxResponseSize)})"),
            _ when closing.IsCancellationRequested => (InboundFailure.Aborted, "this node is closing"),
            _ when over.IsCancellationRequested || e is TransportException { Error: TransportError.ConnectionClosed } =>
                (InboundFailure.ConnectionClosed, "the connection was lost before the response was sent"),
            OperationCanceledException when deadline.IsCancellationRequested => (
                InboundFailure.Timeout,
                $"not read, handled and answered within {Options.Timeout.TotalSeconds:0.###} s ({nameof(RequestProtocolOptions.Timeout)})"),
            OperationCanceledException => (InboundFailure.ConnectionClosed, "the peer gave up the request"),
            _ => (InboundFailure.Io, e.Message),
        };
    }

    // Null: it was answered.
    private async Task<InboundFailure?> AnswerAsync(RequestContext context, PeerStream stream, CancellationTokenSource ended)
    {
        CancellationToken cancellationToken = ended.Token;
        (bool any, TRequest request) = await MessageIo.ReceiveAsync(
            stream.Input, protocol.RequestCodec, Options.MaxRequestSize, cancellationToken).ConfigureAwait(false);
        if (!any) throw new TransportException(TransportError.ProtocolViolation, "the peer ended the stream without a request");
        if (events.IsWatched) events.Publish(new RequestEvent.RequestReceived(context.Peer, context.Id));

        TResponse response = await HandleAsync(context, request, stream, ended).ConfigureAwait(false);
        if (context.IsOmitted)
        {
            await stream.Output.CompleteAsync().ConfigureAwait(false);
            Report(context, InboundFailure.ResponseOmission, "the handler omitted the response");
            return InboundFailure.ResponseOmission;
        }

        using MessageBuffer encoded = Encode(response);
        await MessageIo.SendFlushedAsync(stream.Output, encoded.Written, cancellationToken).ConfigureAwait(false);
        if (events.IsWatched) events.Publish(new RequestEvent.ResponseSent(context.Peer, context.Id));
        return null;
    }

    private async ValueTask<TResponse> HandleAsync(
        RequestContext context, TRequest request, PeerStream stream, CancellationTokenSource ended)
    {
        CancellationToken cancellationToken = ended.Token;
        // The peer learns of the end of its time at once, however long the handler takes to notice.
        using CancellationTokenRegistration gone = cancellationToken.UnsafeRegister(static s => ((PeerStream)s!).Reset(), stream);
        try
        {
            ValueTask<TResponse> answer = handler(context, request, cancellationToken);
            if (answer.IsCompleted) return await answer.ConfigureAwait(false);
            Task<TResponse> answering = answer.AsTask();
            await Task.WhenAny(answering, stream.Closed).ConfigureAwait(false);
            if (!answering.IsCompleted) await ended.CancelAsync().ConfigureAwait(false); // the requester has given up
            return await answering.ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            throw new HandlerException(e);
        }
    }

    private MessageBuffer Encode(TResponse response)
    {
        try
        {
            return MessageIo.Encode(protocol.ResponseCodec, response, Options.MaxResponseSize);
        }
        catch (MessageTooLongException)
        {
            throw new ResponseTooLongException();
        }
    }

    private void Report(RequestContext context, InboundFailure failure, string message)
    {
        if (events.IsWatched) events.Publish(new RequestEvent.InboundFailed(context.Peer, context.Id, failure, message));
    }
}

/// <summary>What a handler threw. Internal to the server and the swarm's log.</summary>
internal sealed class HandlerException(Exception innerException) : Exception(innerException.Message, innerException);

/// <summary>The response exceeds its limit. Never leaves the server.</summary>
internal sealed class ResponseTooLongException : Exception;
