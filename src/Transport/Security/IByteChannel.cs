using FastShare.Transport.Telemetry;

namespace FastShare.Transport.Security;

/// <summary>
/// A buffered, ordered byte channel over a connection: plain, or sealed by a security protocol. The multiplexer reads frames
/// from it and writes batches of frames to it.
/// </summary>
/// <remarks>
/// One reader and one writer at a time, independent of each other. Errors are <see cref="TransportException"/>; after one the
/// channel is unusable in that direction. <see cref="Abort"/> may be called by anyone at any time and ends pending calls.
/// </remarks>
internal interface IByteChannel : IAsyncDisposable
{
    /// <summary>
    /// Reads at least one byte and at most <paramref name="destination"/>'s length; 0 at the end. Completes synchronously while
    /// buffered bytes last. A large destination (64 KiB and more) is filled without an intermediate copy where possible: a sealed
    /// channel opens a record straight into it when the record fits.
    /// </summary>
    ValueTask<int> ReadAsync(Memory<byte> destination, CancellationToken cancellationToken);

    /// <summary>
    /// Appends bytes to the batch in hand. The memory must stay unchanged until the next <see cref="FlushAsync"/> completes
    /// (a sealing channel has taken its content when this returns; a plain one may refer to it).
    /// </summary>
    void Write(ReadOnlyMemory<byte> data);

    /// <summary>Bytes on the wire that the batch in hand will take; the writer flushes when this passes <see cref="BatchSize"/>.</summary>
    int Pending { get; }

    /// <summary>
    /// How large a batch should grow before it is flushed, in bytes. <see cref="Write"/> accepts a call that starts below this
    /// and brings up to 256 KiB more.
    /// </summary>
    int BatchSize { get; }

    /// <summary>Sends the batch in hand. No-op if it is empty.</summary>
    ValueTask FlushAsync(CancellationToken cancellationToken);

    /// <summary>What is counted of the connection, by this channel and those it stands on.</summary>
    ConnectionCounters Counters { get; }

    /// <summary>Ends the writing direction after the last flush.</summary>
    void CloseWrite();

    /// <summary>Ends both directions at once. Idempotent, thread-safe, never throws.</summary>
    void Abort();
}
