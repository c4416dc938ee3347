namespace FastShare.Transport;

/// <summary>What went wrong in the transport, as a caller can act on it.</summary>
public enum TransportError
{
    /// <summary>Not classified; see the message and the inner exception.</summary>
    Unknown,

    /// <summary>An address, peer id or other text could not be parsed, or cannot be used here.</summary>
    InvalidAddress,

    /// <summary>A key could not be parsed, is of an unsupported type or size, or does not verify.</summary>
    InvalidKey,

    /// <summary>No address is known for the peer.</summary>
    NoAddresses,

    /// <summary>Every address of the peer failed; <see cref="TransportException.Attempts"/> has each one's cause.</summary>
    DialFailure,

    /// <summary>The remote host answered that nothing listens there.</summary>
    ConnectionRefused,

    /// <summary>No route to the remote host or network.</summary>
    Unreachable,

    /// <summary>A deadline passed; the message names the stage in which the time was spent.</summary>
    Timeout,

    /// <summary>The remote side reset the connection.</summary>
    ConnectionReset,

    /// <summary>The connection was closed, by either side, before the operation ended.</summary>
    ConnectionClosed,

    /// <summary>Security or multiplexer negotiation failed.</summary>
    HandshakeFailed,

    /// <summary>The remote peer proved an identity other than the one dialed.</summary>
    PeerIdMismatch,

    /// <summary>The remote peer does not support the requested protocol.</summary>
    UnsupportedProtocol,

    /// <summary>The remote side broke a protocol; the connection or stream was ended.</summary>
    ProtocolViolation,

    /// <summary>The stream was reset by the remote side or locally.</summary>
    StreamReset,

    /// <summary>A configured limit (connections, streams, memory, message size) was reached; the message names it.</summary>
    LimitExceeded,

    /// <summary>The listen address is in use.</summary>
    AddressInUse,

    /// <summary>The operating system denied the operation.</summary>
    AccessDenied,

    /// <summary>Dialing oneself, or another operation that the caller's own state makes impossible.</summary>
    InvalidOperation,

    /// <summary>The operation was given up because the node or connection is being closed locally.</summary>
    Aborted,

    /// <summary>Another input/output error; see the inner exception.</summary>
    Io,

    /// <summary>This node's connection policy objected to the dial or to the connection; the message has its reason.</summary>
    ConnectionDenied,
}
