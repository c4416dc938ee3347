using FastShare.Transport.Identity;

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
}

/// <summary>A snapshot of a transfer's progress.</summary>
/// <param name="State">Where it stands.</param>
/// <param name="Bytes">Payload bytes done: on the sender handed to the connection, on the receiver verified and written.</param>
/// <param name="TotalBytes">Bytes to do; grows while the manifest is being listed.</param>
/// <param name="Files">Files published at the receiver.</param>
/// <param name="TotalFiles">Files to do; grows likewise.</param>
/// <param name="BytesPerSecond">Rate over the last few seconds.</param>
/// <param name="Mode">The mode in use: sequential or parallel.</param>
public sealed record TransferProgress(
    TransferState State, long Bytes, long TotalBytes, long Files, long TotalFiles, double BytesPerSecond, TransferMode Mode);

/// <summary>How a transfer ended.</summary>
/// <param name="Files">Files delivered.</param>
/// <param name="Bytes">Bytes delivered.</param>
/// <param name="BytesResent">Bytes that went over the wire more than once.</param>
/// <param name="Duration">From the first connection to the end.</param>
/// <param name="Failures">Files that failed on their own while the rest went on.</param>
public sealed record TransferResult(long Files, long Bytes, long BytesResent, TimeSpan Duration, IReadOnlyList<TransferException> Failures);

/// <summary>Something worth telling about a transfer.</summary>
public abstract record TransferEvent
{
    /// <summary>The offer was taken.</summary>
    public sealed record Accepted : TransferEvent;

    /// <summary>A file stands, verified, under its final name.</summary>
    public sealed record FileCompleted(string Path, long Bytes, string Digest) : TransferEvent;

    /// <summary>A file failed; the rest goes on.</summary>
    public sealed record FileFailed(TransferException Error) : TransferEvent;

    /// <summary>The mode changed.</summary>
    public sealed record ModeChanged(TransferMode From, TransferMode To, string Why) : TransferEvent;

    /// <summary>The connection was lost and will be tried again.</summary>
    public sealed record Retrying(int Attempt, string Why, TimeSpan Delay) : TransferEvent;

    /// <summary>The transfer goes on from an earlier state.</summary>
    public sealed record Resumed(long BytesAlready) : TransferEvent;
}

/// <summary>One live transfer, outgoing or incoming. Thread-safe.</summary>
public sealed class Transfer
{
    internal Transfer()
    {
    }

    /// <summary>The other side.</summary>
    public PeerId Peer => throw new NotImplementedException();

    /// <summary>Whether this node receives.</summary>
    public bool IsIncoming => throw new NotImplementedException();

    /// <summary>For an incoming transfer, what was offered; null before it is known, and for outgoing ones.</summary>
    public TransferOffer? Offer => throw new NotImplementedException();

    /// <summary>A snapshot.</summary>
    public TransferProgress Progress => throw new NotImplementedException();

    /// <summary>Ends when the transfer does.</summary>
    /// <exception cref="TransferException">The transfer failed as a whole.</exception>
    public Task<TransferResult> Completion => throw new NotImplementedException();

    /// <summary>Events from the start on; ends when the transfer does. A slow reader loses the oldest.</summary>
    public IAsyncEnumerable<TransferEvent> EventsAsync(CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Stops the transfer, tells the other side, keeps resumable state; <see cref="Completion"/> fails with <see cref="TransferError.Cancelled"/>.</summary>
    public Task CancelAsync() => throw new NotImplementedException();
}
