using FastShare.Transport.Identity;

namespace FastShare.Transport.Requests;

/// <summary>What <see cref="RequestResponse{TRequest, TResponse}.WatchAsync"/> reports.</summary>
public abstract record RequestEvent(PeerId Peer)
{
    /// <summary>A request came in and goes to the handler.</summary>
    public sealed record RequestReceived(PeerId Peer, InboundRequestId Id) : RequestEvent(Peer);

    /// <summary>A response was handed to the operating system, all of it.</summary>
    public sealed record ResponseSent(PeerId Peer, InboundRequestId Id) : RequestEvent(Peer);

    /// <summary>A request that came in was not answered.</summary>
    public sealed record InboundFailed(PeerId Peer, InboundRequestId Id, InboundFailure Failure, string Message) : RequestEvent(Peer);

    /// <summary>A request of this node was answered.</summary>
    public sealed record ResponseReceived(PeerId Peer, OutboundRequestId Id) : RequestEvent(Peer);

    /// <summary>A request of this node failed, or was cancelled.</summary>
    public sealed record OutboundFailed(PeerId Peer, OutboundRequestId Id, RequestException Error) : RequestEvent(Peer);
}
