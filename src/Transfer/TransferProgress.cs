namespace FastShare.Transfer;

/// <summary>Where a transfer stands.</summary>
public enum TransferState
{
    /// <summary>Waiting for the peer to appear and the connection.</summary>
    Connecting,

    /// <summary>Offered; waiting for consent.</summary>
    Offered,

    /// <summary>Moving bytes.</summary>
    Running,

    /// <summary>The connection was lost; waiting to go on.</summary>
    Reconnecting,

    /// <summary>Done: everything delivered, or everything but the files listed as failed.</summary>
    Completed,

    /// <summary>Ended without success.</summary>
    Failed,

    /// <summary>Would move bytes, but was paused here.</summary>
    Paused,
}

/// <summary>A snapshot of a transfer's progress.</summary>
/// <param name="State">Where it stands.</param>
/// <param name="Bytes">Payload bytes done: on the sender handed to the connection, on the receiver verified and written.</param>
/// <param name="TotalBytes">Bytes to do, as far as known; grows while the manifest is being listed.</param>
/// <param name="Files">Files published at the receiver.</param>
/// <param name="TotalFiles">Files to do; grows likewise.</param>
/// <param name="BytesPerSecond">Rate over the last few seconds.</param>
/// <param name="Mode">The mode in use: sequential or parallel.</param>
public sealed record TransferProgress(
    TransferState State, long Bytes, long TotalBytes, long Files, long TotalFiles, double BytesPerSecond, TransferMode Mode)
{
    /// <summary>
    /// Whether a stream of unknown size is among the files and has not ended: then nobody knows how much there will be, and
    /// <see cref="TotalBytes"/> counts only the others.
    /// </summary>
    public bool IsOpenEnded { get; init; }
}

/// <summary>How a transfer ended.</summary>
/// <param name="Files">Files delivered, those included that the receiver had already.</param>
/// <param name="Bytes">Bytes delivered, likewise.</param>
/// <param name="BytesResent">Bytes that went over the wire more than once.</param>
/// <param name="Duration">From the first connection to the end.</param>
/// <param name="Failures">Files that failed on their own while the rest went on (at most the first 10,000).</param>
public sealed record TransferResult(long Files, long Bytes, long BytesResent, TimeSpan Duration, IReadOnlyList<TransferException> Failures);
