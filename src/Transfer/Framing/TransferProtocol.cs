namespace FastShare.Transfer.Framing;

/// <summary>
/// Names and limits of the transfer protocol, version 1 (docs/wire-format.md). Each limit is checked before memory is taken.
/// </summary>
internal static class TransferProtocol
{
    /// <summary>The control stream of a transfer.</summary>
    public const string ControlId = "/fastshare/transfer/1";

    /// <summary>A stream of chunks that belongs to a transfer.</summary>
    public const string DataId = "/fastshare/transfer-data/1";

    /// <summary>The version in an offer.</summary>
    public const ushort Version = 1;

    /// <summary>Largest control message, in bytes, its type included: a page of a manifest or a plan.</summary>
    public const int MaxMessageLength = 1 << 20;

    /// <summary>Most entries of one manifest.</summary>
    public const uint MaxEntries = 10_000_000;

    /// <summary>Largest payload of one chunk, in bytes.</summary>
    public const int MaxChunkLength = 1 << ChunkSize.MaxBits;

    /// <summary>Most data streams of one transfer at the same time.</summary>
    public const int MaxLanes = 64;

    /// <summary>Longest sender name, in UTF-8 bytes (as a DNS label, which mDNS allows for a name).</summary>
    public const int MaxNameLength = 63;

    /// <summary>Longest text of a refusal, cancellation or failure, in UTF-8 bytes; longer ones are cut by the writer.</summary>
    public const int MaxTextLength = 1024;

    /// <summary>Most ranges a plan names for one file; the last one then reaches to the file's end.</summary>
    public const int MaxRangesPerFile = 4096;

    /// <summary>
    /// Bytes of a stream that may be on their way or held by the receiver beyond what it has taken: what the receiver may have to hold to
    /// bring chunks of several lanes in order, and what back-pressure leaves a sender. 16 MiB are 1.3 Gbit/s over 100 ms.
    /// </summary>
    public const int StreamWindow = 16 << 20;

    /// <summary>A side that has nothing to say says so this often, in seconds.</summary>
    public const int KeepAliveSeconds = 3;

    /// <summary>
    /// A side that hears nothing on any stream of a transfer for this long takes the connection for lost, in seconds. Four
    /// missed keep-alives; with the once-a-second check a stall is noticed within 15 s.
    /// </summary>
    public const int SilenceSeconds = 13;

    /// <summary>The other side broke the protocol.</summary>
    public static TransferException Violation(string what) => new(TransferError.ProtocolViolation, what);
}

/// <summary>Kinds of control messages. Below 64: from the sender; below 128: from the receiver; above: from either.</summary>
internal enum MessageType : byte
{
    Offer = 1,
    ManifestPage = 2,
    ManifestEnd = 3,
    FileEnd = 4,
    FileFailed = 5,
    End = 6,
    LaneLost = 7,
    FileDigest = 8,
    StreamEnd = 9,

    Known = 64,
    Accept = 65,
    Refuse = 66,
    Plan = 67,
    FileDone = 68,
    FileRejected = 69,
    ChunkRejected = 70,
    Complete = 71,
    LaneTaken = 72,
    LaneEnded = 73,
    FileWanted = 74,
    StreamTaken = 75,

    KeepAlive = 128,
    Cancel = 129,
}
