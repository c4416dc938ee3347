using System.IO.Pipelines;

namespace FastShare.Transport.Multiplexing;

/// <summary>
/// Many independent streams over one channel. All members are thread-safe.
/// </summary>
/// <remarks>
/// <see cref="Closed"/> completes exactly once, when the connection is over for whatever reason, after every stream was ended.
/// After that, opening fails with <see cref="TransportError.ConnectionClosed"/> and accepting returns null. Where the remote side
/// closed in good order, own streams on which nothing had come back fail with <see cref="TransportException.NotTaken"/> set.
/// </remarks>
internal interface IMuxedConnection : IAsyncDisposable
{
    /// <summary>
    /// Opens a stream. Returns without a round trip; waits only while too many own streams are still unacknowledged.
    /// </summary>
    ValueTask<IMuxedStream> OpenStreamAsync(CancellationToken cancellationToken);

    /// <summary>Waits for a stream opened by the remote side; null once the connection is over.</summary>
    ValueTask<IMuxedStream?> AcceptStreamAsync(CancellationToken cancellationToken);

    /// <summary>Measures one round trip. Concurrent callers share one ping.</summary>
    ValueTask<TimeSpan> PingAsync(CancellationToken cancellationToken);

    /// <summary>Smoothed round-trip time; null before the first measurement.</summary>
    TimeSpan? RoundTripTime { get; }

    /// <summary>Streams open now, both directions.</summary>
    int StreamCount { get; }

    /// <summary>
    /// Whether streams can be opened, as far as is known: false once it closes, is to be left, is over, or has used up its stream
    /// numbers. Never true again. Takes no lock.
    /// </summary>
    bool TakesStreams { get; }

    /// <summary>What uses the connection now: streams that count, and holds.</summary>
    int UseCount { get; }

    /// <summary>Whether it was closed because nothing used it for too long.</summary>
    bool ClosedIdle { get; }

    /// <summary>
    /// Completes when the connection is over; never faults. The result is why: null for an orderly close from either side.
    /// </summary>
    Task<TransportException?> Closed { get; }

    /// <summary>Says goodbye (go-away), flushes and closes. Open streams are reset. Idempotent.</summary>
    ValueTask CloseAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Something other than a stream needs the connection to stay: until <see cref="Release"/> it is not closed for being idle.
    /// False if it is closing already.
    /// </summary>
    bool TryHold();

    /// <summary>Ends what <see cref="TryHold"/> began.</summary>
    void Release();

    /// <summary>Its idle time begins anew. False if it takes no streams any more.</summary>
    bool TryTouch();

    /// <summary>
    /// From now on opening a stream fails. Every stream opened before is announced before anything that is written later.
    /// Idempotent.
    /// </summary>
    void StopOpening();

    /// <summary>
    /// <see cref="StopOpening"/>, and an orderly close as soon as nothing uses the connection: no open stream that counts, no
    /// handler of an inbound one, no hold.
    /// </summary>
    void CloseWhenUnused();

    /// <summary>Ends at once; <paramref name="reason"/> is what pending operations fail with and <see cref="Closed"/> yields.</summary>
    void Abort(TransportException reason);
}

/// <summary>
/// One stream: two byte directions that end independently.
/// </summary>
/// <remarks>
/// <para><see cref="IDuplexPipe.Output"/>: <see cref="PipeWriter.WriteAsync"/> completes when the bytes were handed to the
/// operating system, so its memory may be reused then; large writes are not copied. GetMemory/Advance/FlushAsync buffers small
/// writes. <see cref="PipeWriter.Complete"/> sends what is buffered and then the end (FIN); with an exception it resets the stream.
/// A writer may be completed once; one writer at a time.</para>
/// <para><see cref="IDuplexPipe.Input"/>: credit returns to the remote side as bytes are consumed (not merely examined).
/// The remote end shows as <see cref="ReadResult.IsCompleted"/>, a reset as <see cref="TransportException"/> with
/// <see cref="TransportError.StreamReset"/> after the bytes that came before it, a lost connection as
/// <see cref="TransportError.ConnectionClosed"/>. One reader at a time.</para>
/// <para>Disposing resets the stream if its output was not completed. Otherwise it completes the input: if the remote side has not
/// finished by then, it is reset as soon as it evidently still sends (bytes were left unread, more come, or its credit is used up),
/// at the latest after a few seconds; an immediate reset would make some implementations lose the last bytes sent to them. Who no
/// longer wants an answer calls <see cref="Reset"/>. A stream is gone when both directions ended.</para>
/// <para>A cancelled write waits until the operating system has let go of its memory. If part of it had been sent, the stream cannot
/// end properly any more: further writes fail, and completing the output resets it.</para>
/// </remarks>
public interface IMuxedStream : IDuplexPipe, IAsyncDisposable
{
    /// <summary>The stream's number on its connection.</summary>
    long Id { get; }

    /// <summary>Whether the remote side opened it.</summary>
    bool IsRemote { get; }

    /// <summary>
    /// Lets the remote side send at least <paramref name="bytes"/> ahead of the reader, from now on: for a reader that consumes in
    /// large pieces and is slow in between, which the window's own growth, by the network's pace, does not see. A wish: the limits
    /// per stream and connection hold. Thread-safe.
    /// </summary>
    void WidenWindow(int bytes);

    /// <summary>
    /// The stream does not keep its connection from being idle, as if it had never been opened. Thread-safe, idempotent.
    /// </summary>
    void IgnoreForKeepAlive();

    /// <summary>
    /// Completes when the stream is over: both directions have ended, either side has reset it, or the connection is lost. Never
    /// faults. Tells a side that is not reading or writing that nobody is there any more.
    /// </summary>
    Task Closed { get; }

    /// <summary>Ends both directions at once and tells the remote side. Idempotent, thread-safe, never throws.</summary>
    void Reset();
}
