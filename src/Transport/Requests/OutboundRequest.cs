using FastShare.Transport.Identity;

namespace FastShare.Transport.Requests;

/// <summary>A request that was begun.</summary>
public sealed class OutboundRequest<TResponse>
{
    internal OutboundRequest(OutboundRequestId id, PeerId peer, Task accepted, Task<TResponse> response)
    {
        Id = id;
        Peer = peer;
        Accepted = accepted;
        Response = response;
    }

    /// <summary>The request's number.</summary>
    public OutboundRequestId Id { get; }

    /// <summary>Whom it is for.</summary>
    public PeerId Peer { get; }

    /// <summary>
    /// Completes when the queue has taken the request, which is at once unless it is full. Who begins many requests waits for it
    /// before the next: that is the queue's back-pressure. Never faults: what becomes of the request is told by
    /// <see cref="Response"/>.
    /// </summary>
    public Task Accepted { get; }

    /// <summary>
    /// The response, or a <see cref="RequestException"/>; cancelled if the caller's token was. May be left unobserved.
    /// </summary>
    public Task<TResponse> Response { get; }
}
