namespace FastShare.Transport.Requests;

/// <summary>Why a request that this node sent failed.</summary>
public enum RequestFailure
{
    /// <summary>The peer could not be connected; <see cref="TransportException.Attempts"/> has each address's own cause.</summary>
    DialFailure,

    /// <summary>The deadline passed. If the request was under way by then, the peer may have carried it out.</summary>
    Timeout,

    /// <summary>The connection was lost before the response was complete. The peer may have carried out the request.</summary>
    ConnectionClosed,

    /// <summary>The peer does not serve the protocol.</summary>
    UnsupportedProtocols,

    /// <summary>The stream failed, or a message could not be encoded or decoded; see the inner exception.</summary>
    Io,

    /// <summary>The peer ended the stream without a response.</summary>
    ResponseOmitted,

    /// <summary>
    /// A configured limit was exceeded; the message names it. Nothing was sent if it is the request's size.
    /// </summary>
    LimitExceeded,

    /// <summary>The queue to the peer is full, and the protocol does not wait for room.</summary>
    QueueFull,

    /// <summary>The caller cancelled. Callers get an <see cref="OperationCanceledException"/>; events and metrics say this.</summary>
    Cancelled,

    /// <summary>This node, or its part that sends the requests, is closing.</summary>
    Aborted,
}

/// <summary>Why a request that came in was not answered.</summary>
public enum InboundFailure
{
    /// <summary>The request was not read, handled and answered in time.</summary>
    Timeout,

    /// <summary>The connection was lost, or the peer gave up the request, before the response was sent.</summary>
    ConnectionClosed,

    /// <summary>The handler ended without a response: <see cref="RequestContext.Omit"/>.</summary>
    ResponseOmission,

    /// <summary>The stream failed, or a message could not be encoded or decoded.</summary>
    Io,

    /// <summary>The request or the response exceeds a limit; the message names it.</summary>
    LimitExceeded,

    /// <summary>The handler threw.</summary>
    HandlerFailed,

    /// <summary>This node, or its part that answers the requests, is closing.</summary>
    Aborted,
}

/// <summary>The stages of a request, in order.</summary>
public enum RequestStage
{
    /// <summary>In the queue: for room, or for one of the connection's streams.</summary>
    Queued,

    /// <summary>In the queue while the peer is being connected.</summary>
    Dialing,

    /// <summary>Waiting to be tried again.</summary>
    BackingOff,

    /// <summary>Opening a stream and agreeing on the protocol.</summary>
    Negotiating,

    /// <summary>Writing the request.</summary>
    Sending,

    /// <summary>Waiting for the response and reading it.</summary>
    Receiving,
}
