namespace FastShare.Transfer;

/// <summary>What a transfer's time goes into: work, and waiting for something else.</summary>
public enum TransferStage
{
    /// <summary>Nothing that counts.</summary>
    None,

    /// <summary>Sender: nothing is left to read until the receiver asks for more; receiver: complete files wait for the manifest's end.</summary>
    WaitingForPlan,

    /// <summary>Sender: opening and reading files; chunks below 64 KiB are hashed here too. Bytes: read.</summary>
    Reading,

    /// <summary>Sender: computing chunks' digests. Bytes: hashed.</summary>
    Hashing,

    /// <summary>Sender: chunks that were read wait for a stream, because the streams are busy.</summary>
    WaitingForStreams,

    /// <summary>Sender: streams have nothing to send, because reading is slower.</summary>
    WaitingForChunks,

    /// <summary>Held back by a pause, a rate limit, or the share of other transfers.</summary>
    HeldBack,

    /// <summary>Sender: streams hand bytes to their connection, which takes them as fast as path and receiver allow. Bytes: payload.</summary>
    Sending,

    /// <summary>Receiver: streams wait for bytes. Bytes: payload.</summary>
    Receiving,

    /// <summary>Receiver: gathering chunks and computing their digests; pieces below 16 KiB count as receiving. Bytes: hashed.</summary>
    Verifying,

    /// <summary>Receiver: streams write to storage; a sync that one of them waits for is included. Bytes: written.</summary>
    Storing,

    /// <summary>Receiver: streams wait because too many complete files wait to be published.</summary>
    WaitingForDisk,

    /// <summary>Receiver: making data, names and the journal durable.</summary>
    Syncing,

    /// <summary>Receiver: giving complete files their final names; syncs for it are included.</summary>
    Publishing,

    /// <summary>Connections: encrypting. Bytes: plaintext.</summary>
    Sealing,

    /// <summary>Connections: calls that hand bytes to the operating system. Bytes: on the wire.</summary>
    SocketSending,

    /// <summary>Connections: calls that take bytes from the operating system. Bytes: on the wire.</summary>
    SocketReceiving,

    /// <summary>Connections: decrypting. Bytes: plaintext.</summary>
    Opening,

    /// <summary>Connections: the operating system has no room for more bytes: the path, or its congestion window, is slower.</summary>
    WaitingForPath,

    /// <summary>Connections: streams have bytes and no credit: the receiver is slower, or the stream's window too small for the path.</summary>
    WaitingForWindow,

    /// <summary>Connections: nothing has arrived.</summary>
    WaitingForBytes,
}

/// <summary>What one stage of a transfer has had so far.</summary>
/// <param name="Stage">The stage.</param>
/// <param name="Time">Its time, added up over everything that works or waits at the same time.</param>
/// <param name="Bytes">Bytes that passed it; 0 for stages that have none.</param>
public readonly record struct StageTotal(TransferStage Stage, TimeSpan Time, long Bytes);
