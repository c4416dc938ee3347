using FastShare.Transport.Identity;
using FastShare.Transport.Requests.Internal;

namespace FastShare.Transport.Requests;

/// <summary>
/// Requests and responses of one protocol over a swarm: one stream for each, typed on both ends. Thread-safe.
/// </summary>
/// <remarks>
/// A request to a peer that is not connected waits in the peer's queue, which shares one dial; it goes out on whichever connection is
/// there first, made by either side. Requests to a connected peer never dial.
/// </remarks>
public sealed class RequestResponse<TRequest, TResponse> : IAsyncDisposable
{
    /// <summary>Events kept for one reader.</summary>
    private const int MaxUnreadEvents = 4096;

    private readonly Swarm _swarm;
    private readonly EventFeed<RequestEvent> _events = new(MaxUnreadEvents);
    private readonly CancellationTokenSource _closing = new(); // never disposed: it holds no timer
    private readonly RequestClient? _client;
    private readonly RequestServer<TRequest, TResponse>? _server;
    private readonly StreamHandler? _handler;
    private readonly Lock _lock = new();
    private Task? _disposal; // _lock

    /// <summary>Serves the protocol on <paramref name="swarm"/> from now on, on the side or sides that its options say.</summary>
    /// <remarks>Of several objects for one protocol on one node each sends requests; those that come in go to the latest.</remarks>
    /// <param name="swarm">The node. When it is disposed, every pending request fails with <see cref="RequestFailure.Aborted"/>.</param>
    /// <param name="protocol">The protocol.</param>
    /// <param name="handler">Answers requests; needed, and allowed, if the protocol's direction includes inbound.</param>
    /// <exception cref="ArgumentException">A handler is missing or superfluous.</exception>
    public RequestResponse(
        Swarm swarm, RequestProtocol<TRequest, TResponse> protocol, RequestHandler<TRequest, TResponse>? handler = null)
        : this(swarm, protocol, handler, Random.Shared.NextDouble)
    {
    }

    /// <summary>As the public constructor.</summary>
    /// <param name="swarm">The node.</param>
    /// <param name="protocol">The protocol.</param>
    /// <param name="handler">Answers requests.</param>
    /// <param name="random">From 0 to below 1; spreads retries. Called under a lock.</param>
    internal RequestResponse(
        Swarm swarm, RequestProtocol<TRequest, TResponse> protocol, RequestHandler<TRequest, TResponse>? handler, Func<double> random)
    {
        ArgumentNullException.ThrowIfNull(swarm);
        ArgumentNullException.ThrowIfNull(protocol);
        bool isInbound = protocol.Options.Direction.HasFlag(RequestDirection.Inbound);
        if (isInbound != handler is not null)
        {
            throw new ArgumentException(
                isInbound ? $"{protocol.Id} is inbound: it needs a handler" : $"{protocol.Id} is outbound only: it takes no handler",
                nameof(handler));
        }

        _swarm = swarm;
        Protocol = protocol;
        if (protocol.Options.Direction.HasFlag(RequestDirection.Outbound))
            _client = new RequestClient(swarm, protocol.Id, protocol.Options, _events, random);
        if (handler is null) return;
        _server = new RequestServer<TRequest, TResponse>(protocol, handler, _events, swarm.Time, swarm.Instruments, _closing.Token);
        _handler = _server.ServeAsync;
        swarm.Handle(protocol.Id, _handler);
    }

    /// <summary>The protocol.</summary>
    public RequestProtocol<TRequest, TResponse> Protocol { get; }

    /// <summary>Begins a request. Never blocks, and never throws for what concerns the request: that is told by its response.</summary>
    /// <param name="peer">Whom to ask.</param>
    /// <param name="request">What to ask; encoded before the call returns.</param>
    /// <param name="options">Its settings; null: the defaults.</param>
    /// <param name="cancellationToken">Gives the request up, in whatever stage it is. What others share goes on.</param>
    /// <exception cref="InvalidOperationException">The protocol is inbound only.</exception>
    public OutboundRequest<TResponse> Begin(
        PeerId peer, TRequest request, RequestOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(peer);
        RequestClient client = _client
            ?? throw new InvalidOperationException($"{Protocol.Id} is inbound only ({nameof(RequestProtocolOptions.Direction)})");
        options ??= RequestOptions.Default;
        MessageBuffer? payload = null;
        (RequestFailure Failure, string Message, Exception? Cause)? refusal = null;
        try
        {
            if (cancellationToken.IsCancellationRequested) refusal = (RequestFailure.Cancelled, "the caller had cancelled", null);
            else payload = MessageIo.Encode(Protocol.RequestCodec, request, Protocol.Options.MaxRequestSize);
        }
        catch (MessageTooLongException)
        {
            refusal = (
                RequestFailure.LimitExceeded,
                $"the request is longer than {Protocol.Options.MaxRequestSize} bytes ({nameof(RequestProtocolOptions.MaxRequestSize)})",
                null);
        }
        catch (Exception e)
        {
            refusal = (RequestFailure.Io, $"the request cannot be encoded: {e.Message}", e);
        }

        var call = new OutboundCall<TResponse>(
            peer, payload, Protocol.ResponseCodec, Protocol.Options.MaxResponseSize, options.Timeout ?? Protocol.Options.Timeout, options,
            cancellationToken);
        if (refusal is { } reason) client.Refuse(call, reason.Failure, reason.Message, reason.Cause);
        else client.Begin(call, options);
        return new OutboundRequest<TResponse>(new OutboundRequestId(call.Id), peer, call.Accepted, call.Result);
    }

    /// <summary>Sends a request and returns its response.</summary>
    /// <exception cref="RequestException">The request failed; <see cref="RequestException.Failure"/> says why.</exception>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    /// <inheritdoc cref="Begin" path="/param"/>
    public Task<TResponse> SendAsync(
        PeerId peer, TRequest request, RequestOptions? options = null, CancellationToken cancellationToken = default) =>
        Begin(peer, request, options, cancellationToken).Response;

    /// <summary>Whether a request is still queued, under way or waiting to be tried again.</summary>
    public bool IsPending(OutboundRequestId id) => _client?.IsPending(id) ?? false;

    /// <summary>What happens to requests and responses from now on. A slow reader loses the oldest events, never blocks anybody.</summary>
    /// <remarks>Watching begins with this call. At most 4,096 events are kept for a reader. Ends when this object is disposed, behind the
    /// last event: nothing of that is lost, not even for a slow reader.</remarks>
    public IAsyncEnumerable<RequestEvent> WatchAsync(CancellationToken cancellationToken = default) => _events.WatchAsync(cancellationToken);

    /// <summary>The sending side, for tests; null if the protocol is inbound only.</summary>
    internal RequestClient? Client => _client;

    /// <summary>
    /// Fails every pending request with <see cref="RequestFailure.Aborted"/>, serves the protocol no more, waits for the handlers
    /// (so it must not be awaited by one) and ends the events.
    /// </summary>
    public ValueTask DisposeAsync()
    {
        lock (_lock) return new ValueTask(_disposal ??= Task.Run(CloseAsync));
    }

    private async Task CloseAsync()
    {
        if (_handler is not null) _swarm.RemoveHandler(Protocol.Id, _handler);
        _events.BeginClosing();
        await _closing.CancelAsync().ConfigureAwait(false);
        if (_client is not null) await _client.CloseAsync().ConfigureAwait(false);
        if (_server is not null) await _server.DrainAsync().ConfigureAwait(false);
        _events.Complete();
    }
}
