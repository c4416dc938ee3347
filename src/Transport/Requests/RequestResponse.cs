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
    private readonly Swarm _swarm;
    private readonly RequestEvents _events = new();
    private readonly CancellationTokenSource _closing = new();
    private readonly StreamHandler? _handler;
    private long _lastId;

    /// <summary>Serves the protocol on <paramref name="swarm"/> from now on, on the side or sides that its options say.</summary>
    /// <param name="swarm">The node; it outlives this object.</param>
    /// <param name="protocol">The protocol.</param>
    /// <param name="handler">Answers requests; needed, and allowed, if the protocol's direction includes inbound.</param>
    /// <exception cref="ArgumentException">A handler is missing or superfluous.</exception>
    public RequestResponse(
        Swarm swarm, RequestProtocol<TRequest, TResponse> protocol, RequestHandler<TRequest, TResponse>? handler = null)
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
        if (handler is null) return;
        var server = new RequestServer<TRequest, TResponse>(protocol, handler, _events, swarm.Time, _closing.Token);
        _handler = server.ServeAsync;
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
        var id = new OutboundRequestId(Interlocked.Increment(ref _lastId));
        return new OutboundRequest<TResponse>(id, peer, Task.CompletedTask, RunAsync(peer, request, cancellationToken));
    }

    /// <summary>Sends a request and returns its response.</summary>
    /// <exception cref="RequestException">The request failed; <see cref="RequestException.Failure"/> says why.</exception>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    /// <inheritdoc cref="Begin" path="/param"/>
    public Task<TResponse> SendAsync(
        PeerId peer, TRequest request, RequestOptions? options = null, CancellationToken cancellationToken = default) =>
        Begin(peer, request, options, cancellationToken).Response;

    /// <summary>Whether a request is still queued, under way or waiting to be tried again.</summary>
    public bool IsPending(OutboundRequestId id) => id.Value > 0 && id.Value <= _lastId;

    /// <summary>What happens to requests and responses from now on. A slow reader loses the oldest events, never blocks anybody.</summary>
    /// <remarks>Watching begins with this call. At most 4,096 events are kept for a reader. Ends when this object is disposed.</remarks>
    public IAsyncEnumerable<RequestEvent> WatchAsync(CancellationToken cancellationToken = default) => _events.WatchAsync(cancellationToken);

    /// <summary>
    /// Fails every pending request with <see cref="RequestFailure.Aborted"/>, serves the protocol no more and ends the events.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync().ConfigureAwait(false);
        _events.Complete();
    }

    private async Task<TResponse> RunAsync(PeerId peer, TRequest request, CancellationToken cancellationToken)
    {
        using MessageBuffer encoded = MessageIo.Encode(Protocol.RequestCodec, request, Protocol.Options.MaxRequestSize);
        PeerStream stream = await _swarm.OpenStreamAsync(peer, Protocol.Id, cancellationToken).ConfigureAwait(false);
        await using var scope = stream.ConfigureAwait(false);
        await MessageIo.SendAsync(stream.Output, encoded.Written, cancellationToken).ConfigureAwait(false);
        (bool any, TResponse response) = await MessageIo.ReceiveAsync(
            stream.Input, Protocol.ResponseCodec, Protocol.Options.MaxResponseSize, cancellationToken).ConfigureAwait(false);
        return any ? response : throw new RequestException(RequestFailure.ResponseOmitted, "the peer ended the stream without a response");
    }
}
