using FastShare.Transport.Identity;

namespace FastShare.Transfer;

/// <summary>What went wrong in a transfer, as a caller can act on it.</summary>
public enum TransferError
{
    /// <summary>Not classified; see the message and the inner exception.</summary>
    Unknown,

    /// <summary>The peer could not be found or reached within the wait.</summary>
    PeerNotReachable,

    /// <summary>A name that is known here came with another key: an impostor, or a machine that was set up anew.</summary>
    IdentityChanged,

    /// <summary>The connection was lost and could not be restored within the retry budget.</summary>
    ConnectionLost,

    /// <summary>The other side refused: no consent, a quota, or its policy.</summary>
    Refused,

    /// <summary>The other side cancelled.</summary>
    CancelledByPeer,

    /// <summary>This side cancelled.</summary>
    Cancelled,

    /// <summary>The other side broke the transfer protocol.</summary>
    ProtocolViolation,

    /// <summary>Bytes did not match their digest.</summary>
    VerificationFailed,

    /// <summary>A name in the manifest is unsafe; the whole manifest was refused.</summary>
    UnsafeName,

    /// <summary>The destination has no room, or the quota is used up.</summary>
    StorageFull,

    /// <summary>The destination or source may not be used.</summary>
    AccessDenied,

    /// <summary>Something with the name is already there and is not to be replaced.</summary>
    DestinationExists,

    /// <summary>The same transfer is already being received by another process.</summary>
    AlreadyReceiving,

    /// <summary>
    /// A source file changed, vanished or could not be read while it was being sent; or a stream failed, or had not its announced length.
    /// </summary>
    SourceChanged,

    /// <summary>A source path does not exist.</summary>
    SourceNotFound,

    /// <summary>Another fault of local storage, or of the stream that is received into; see the inner exception.</summary>
    StorageFault,

    /// <summary>
    /// The receiver lacks bytes of a stream that the sender no longer holds: a stream can be read only once. Start its source anew.
    /// </summary>
    NotRepeatable,
}

/// <summary>The one exception type of FastShare.Transfer.</summary>
public sealed class TransferException : IOException
{
    /// <summary>Creates the exception.</summary>
    public TransferException(TransferError error, string message, Exception? innerException = null)
        : base(message, innerException) => Error = error;

    /// <summary>The kind of failure.</summary>
    public TransferError Error { get; }

    /// <summary>The other side, where it is known.</summary>
    public PeerId? Peer { get; init; }

    /// <summary>The file concerned, relative to the transfer's root, unescaped; null where no single file is.</summary>
    public string? Path { get; init; }
}
