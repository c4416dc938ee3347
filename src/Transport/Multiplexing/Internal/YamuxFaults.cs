namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>The exceptions that yamux ends streams and connections with, in words.</summary>
internal static class YamuxFaults
{
    /// <summary>The remote side broke the protocol.</summary>
    public static TransportException Violation(string what) =>
        new(TransportError.ProtocolViolation, $"the remote side broke the yamux protocol: {what}");

    /// <summary>The remote side said goodbye with an error code.</summary>
    public static TransportException GoneAway(uint code) =>
        new(TransportError.ConnectionClosed, $"the remote side ended the connection: {(GoAwayCode)code switch
        {
            GoAwayCode.ProtocolError => "it accuses this side of a protocol error (1)",
            GoAwayCode.InternalError => "internal error (2)",
            _ => $"code 0x{code:x}",
        }}");

    /// <summary>The remote side reset a stream; the code is what go-libp2p puts into the frame, 0 elsewhere.</summary>
    public static TransportException ResetByRemote(uint stream, uint code) =>
        new(TransportError.StreamReset, $"the remote side reset stream {stream}{code switch
        {
            0 => "",
            0x1001 => ": protocol negotiation failed (0x1001)",
            0x1002 => ": a resource limit was reached (0x1002)",
            0x1003 => ": rate limited (0x1003)",
            0x1004 => ": protocol violation (0x1004)",
            _ => $": code 0x{code:x}",
        }}");

    /// <summary>This side reset a stream.</summary>
    public static TransportException ResetLocally(uint stream) => new(TransportError.StreamReset, $"stream {stream} was reset locally");

    /// <summary>What streams and calls see once the connection is over for <paramref name="reason"/> (null: an orderly close).</summary>
    public static TransportException ConnectionOver(TransportException? reason, bool aborted)
    {
        if (reason is null) return new TransportException(TransportError.ConnectionClosed, "the connection was closed in good order");
        return aborted
            ? reason.Again()
            : new TransportException(TransportError.ConnectionClosed, $"the connection is over: {reason.Message}", reason);
    }

    /// <summary>The same failure as a fresh object: one that is thrown twice would mix up its stack traces.</summary>
    public static TransportException Again(this TransportException failure) =>
        new(failure.Error, failure.Message, failure.InnerException)
        {
            Peer = failure.Peer,
            Attempts = failure.Attempts,
            NotTaken = failure.NotTaken,
        };

    /// <summary>No stream can be opened: the connection is over, or not for new streams any more. Nothing was sent.</summary>
    public static TransportException NotOpened(TransportException? reason) => new(
        TransportError.ConnectionClosed,
        reason is null ? "the connection takes no new streams: it is closed or about to be" : $"the connection is over: {reason.Message}",
        reason)
    {
        NotTaken = true,
    };

    /// <summary>The remote side closed in good order, and had not answered the stream at all.</summary>
    public static TransportException NotTaken() => new(
        TransportError.ConnectionClosed, "the remote side closed the connection in good order before it took the stream")
    {
        NotTaken = true,
    };
}
