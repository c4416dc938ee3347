namespace FastShare.Transport.Requests;

/// <summary>A request failed. <see cref="Failure"/> says what a caller can act on.</summary>
/// <remarks>
/// It is a <see cref="TransportException"/>, so whoever handles the transport's one exception type handles this as well;
/// <see cref="TransportException.Error"/> is the nearest transport error.
/// </remarks>
public sealed class RequestException : TransportException
{
    /// <summary>Creates the exception.</summary>
    public RequestException(RequestFailure failure, string message, Exception? innerException = null)
        : base(ErrorOf(failure, innerException), message, innerException) => Failure = failure;

    /// <summary>The kind of failure.</summary>
    public RequestFailure Failure { get; }

    /// <summary>The stage the request was in when it failed.</summary>
    public RequestStage Stage { get; init; }

    /// <summary>Where the time went until then.</summary>
    public RequestTimes Times { get; init; }

    /// <summary>The request.</summary>
    public OutboundRequestId Id { get; init; }

    private static TransportError ErrorOf(RequestFailure failure, Exception? innerException) => failure switch
    {
        _ when failure != RequestFailure.Timeout && innerException is TransportException known => known.Error,
        RequestFailure.DialFailure => TransportError.DialFailure,
        RequestFailure.Timeout => TransportError.Timeout,
        RequestFailure.ConnectionClosed => TransportError.ConnectionClosed,
        RequestFailure.UnsupportedProtocols => TransportError.UnsupportedProtocol,
        RequestFailure.ResponseOmitted => TransportError.ProtocolViolation,
        RequestFailure.LimitExceeded or RequestFailure.QueueFull => TransportError.LimitExceeded,
        RequestFailure.Cancelled or RequestFailure.Aborted => TransportError.Aborted,
        _ => TransportError.Io,
    };
}

/// <summary>Where a request's time went, over all its attempts.</summary>
/// <param name="Queued">In the queue with a connection up: for room, or for one of its streams.</param>
/// <param name="Dialing">In the queue while the peer was being connected.</param>
/// <param name="BackingOff">Waiting to be tried again.</param>
/// <param name="Negotiating">Opening a stream and agreeing on the protocol.</param>
/// <param name="Exchanging">Writing the request and waiting for its response.</param>
public readonly record struct RequestTimes(
    TimeSpan Queued, TimeSpan Dialing, TimeSpan BackingOff, TimeSpan Negotiating, TimeSpan Exchanging);
