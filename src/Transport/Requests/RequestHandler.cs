using FastShare.Transport.Identity;

namespace FastShare.Transport.Requests;

/// <summary>
/// Answers one request. The token fires when nobody waits for the answer any more: the connection is over, the requester gave up, the
/// time is up, or the protocol is being closed.
/// </summary>
/// <remarks>
/// Runs on the thread pool, several at once. A handler that throws has the stream reset, which the requester sees as an error; one
/// that calls <see cref="RequestContext.Omit"/> ends it without a response, and what it returns is not used.
/// </remarks>
public delegate ValueTask<TResponse> RequestHandler<TRequest, TResponse>(
    RequestContext context, TRequest request, CancellationToken cancellationToken);

/// <summary>What a handler may know of the request it answers.</summary>
public sealed class RequestContext
{
    private bool _isOmitted; // the handler's

    internal RequestContext(InboundRequestId id, PeerStream stream)
    {
        Id = id;
        Connection = stream.Connection;
        Protocol = stream.Protocol;
    }

    /// <summary>The request's number.</summary>
    public InboundRequestId Id { get; }

    /// <summary>Who asks; proved by the connection.</summary>
    public PeerId Peer => Connection.Peer;

    /// <summary>The connection that the request came on.</summary>
    public PeerConnection Connection { get; }

    /// <summary>The protocol asked for.</summary>
    public string Protocol { get; }

    internal bool IsOmitted => Volatile.Read(ref _isOmitted);

    /// <summary>
    /// Ends the exchange without a response: the requester sees the stream end at once, and what the handler returns is not used.
    /// </summary>
    /// <remarks>
    /// Requesters see <see cref="RequestFailure.ResponseOmitted"/>, or an empty message where the codec has such; rust-libp2p an
    /// unexpected end.
    /// </remarks>
    public void Omit() => Volatile.Write(ref _isOmitted, true);
}
