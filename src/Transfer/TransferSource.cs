using System.IO.Pipelines;
using FastShare.Transfer.Planning;

namespace FastShare.Transfer;

/// <summary>
/// Bytes to send that are no file: they are read once, in order, as fast as the receiver takes them. Good for one transfer.
/// </summary>
/// <remarks>
/// What was read and the receiver has not taken yet is kept in memory (at most <see cref="SendOptions.MaxBufferedBytes"/>, and never more
/// than 16 MiB), so a lost connection costs nothing as long as the receiver's process lives. A receiver that was started anew lacks what
/// cannot be read again: the transfer then fails with <see cref="TransferError.NotRepeatable"/>. Nothing shows at the receiver before the
/// end was read and everything was verified.
/// </remarks>
public sealed class TransferSource
{
    private readonly Stream _stream;
    private readonly bool _leaveOpen;
    private int _taken; // interlocked

    private TransferSource(Stream stream, string name, long? length, bool leaveOpen)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (length is { } bytes)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(bytes, nameof(length));
            ArgumentOutOfRangeException.ThrowIfEqual(bytes, long.MaxValue, nameof(length));
        }

        SafePath.Validate(name);
        _stream = stream;
        _leaveOpen = leaveOpen;
        Name = name;
        Length = length;
    }

    /// <summary>What it arrives as, relative to the receiver's folder, with <c>/</c> between segments.</summary>
    public string Name { get; }

    /// <summary>How many bytes there will be; null: as many as come. Fewer or more than announced are a failure.</summary>
    public long? Length { get; }

    /// <summary>Everything that a stream yields until its end.</summary>
    /// <param name="stream">Readable. A read that fails fails the transfer.</param>
    /// <param name="name">What it arrives as.</param>
    /// <param name="length">How many bytes there will be, so that an early end is noticed and the receiver can plan.</param>
    /// <param name="leaveOpen">Whether it stays open when the transfer ends; otherwise it is disposed then.</param>
    /// <exception cref="TransferException"><see cref="TransferError.UnsafeName"/>: no receiver would take the name.</exception>
    public static TransferSource FromStream(Stream stream, string name, long? length = null, bool leaveOpen = false)
    {
        ArgumentNullException.ThrowIfNull(stream);
        if (!stream.CanRead) throw new ArgumentException("the stream cannot be read", nameof(stream));
        return new TransferSource(stream, name, length, leaveOpen);
    }

    /// <summary>Everything that a pipe yields until its writer completes; completing it with an exception fails the transfer.</summary>
    /// <param name="reader">Completed when the transfer ends.</param>
    /// <param name="name">What it arrives as.</param>
    /// <param name="length">How many bytes there will be.</param>
    /// <exception cref="TransferException"><see cref="TransferError.UnsafeName"/>: no receiver would take the name.</exception>
    public static TransferSource FromPipe(PipeReader reader, string name, long? length = null)
    {
        ArgumentNullException.ThrowIfNull(reader);
        return new TransferSource(reader.AsStream(), name, length, leaveOpen: false);
    }

    /// <summary>The bytes, for the one transfer that may read them.</summary>
    /// <exception cref="InvalidOperationException">Another one has them.</exception>
    internal (Stream Stream, bool LeaveOpen) Take() => Interlocked.Exchange(ref _taken, 1) == 0
        ? (_stream, _leaveOpen) : throw new InvalidOperationException($"'{Name}' was handed to a transfer before; bytes can be read only once");
}
