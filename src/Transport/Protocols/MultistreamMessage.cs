using System.Buffers;
using System.Text;
using FastShare.Transport.Buffers;

namespace FastShare.Transport.Protocols;

/// <summary>
/// The messages of multistream-select 1.0: an unsigned varint length, that many bytes, the last of which is a newline.
/// </summary>
internal static class MultistreamMessage
{
    /// <summary>Longest message accepted, newline included, in bytes (as go-multistream and js-libp2p).</summary>
    public const int MaxLength = 1024;

    /// <summary>Bytes of the longest message with its length prefix.</summary>
    public const int MaxEncodedLength = MaxLength + 2;

    private const byte NewLine = (byte)'\n';

    /// <summary>The message that both sides begin with.</summary>
    public static ReadOnlySpan<byte> Header => "/multistream/1.0.0"u8;

    /// <summary>The answer to a proposal that is not supported.</summary>
    public static ReadOnlySpan<byte> NotAvailable => "na"u8;

    /// <summary>Appends one message.</summary>
    public static void Write(IBufferWriter<byte> output, ReadOnlySpan<byte> token)
    {
        int length = token.Length + 1;
        if (length > MaxLength) throw new ArgumentException($"a protocol id has at most {MaxLength - 1} bytes", nameof(token));
        Span<byte> span = output.GetSpan(length + 2);
        int prefix = Varint.Write(span, (ulong)length);
        token.CopyTo(span[prefix..]);
        span[prefix + token.Length] = NewLine;
        output.Advance(prefix + length);
    }

    /// <summary>Appends one message.</summary>
    public static void Write(IBufferWriter<byte> output, string token) => Write(output, Encoding.UTF8.GetBytes(token));

    /// <summary>Reads the length prefix; false if the source ends before it does.</summary>
    /// <param name="source">Bytes from the start of a message.</param>
    /// <param name="prefix">Bytes of the prefix.</param>
    /// <param name="length">Bytes that follow it, newline included: 1 to <see cref="MaxLength"/>.</param>
    /// <exception cref="TransportException"><see cref="TransportError.ProtocolViolation"/>: padded, zero or too large.</exception>
    public static bool TryReadLength(ReadOnlySpan<byte> source, out int prefix, out int length)
    {
        length = 0;
        // A prefix that goes on after its second byte is above the limit whatever comes.
        ReadOnlySpan<byte> head = source[..Math.Min(source.Length, 2)];
        VarintStatus status = Varint.TryRead(head, out ulong value, out prefix);
        if (status == VarintStatus.NeedMore && head.Length < 2) return false;
        if (status != VarintStatus.Done || value is 0 or > MaxLength)
            throw Violation($"a multistream-select message must have 1 to {MaxLength} bytes and a minimal length prefix");
        length = (int)value;
        return true;
    }

    /// <summary>Checks the newline and returns what stands before it.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.ProtocolViolation"/>: there is none.</exception>
    public static ReadOnlySpan<byte> TrimNewLine(ReadOnlySpan<byte> message) =>
        message[^1] == NewLine ? message[..^1] : throw Violation("a multistream-select message does not end in a newline");

    /// <summary>Reads one message from the start of <paramref name="source"/>; false if it is not all there yet.</summary>
    /// <param name="source">Bytes from the start of a message.</param>
    /// <param name="scratch">At least <see cref="MaxEncodedLength"/> bytes, used when the message does not lie in one segment.</param>
    /// <param name="token">The message without newline; a slice of the source or of the scratch.</param>
    /// <param name="consumed">Bytes used.</param>
    /// <exception cref="TransportException"><see cref="TransportError.ProtocolViolation"/>: malformed.</exception>
    public static bool TryRead(in ReadOnlySequence<byte> source, Span<byte> scratch, out ReadOnlySpan<byte> token, out int consumed)
    {
        token = default;
        consumed = 0;
        ReadOnlySequence<byte> head = source.Length > MaxEncodedLength ? source.Slice(0, MaxEncodedLength) : source;
        ReadOnlySpan<byte> bytes = head.FirstSpan;
        if (!head.IsSingleSegment)
        {
            head.CopyTo(scratch);
            bytes = scratch[..(int)head.Length];
        }

        if (!TryReadLength(bytes, out int prefix, out int length) || bytes.Length < prefix + length) return false;
        token = TrimNewLine(bytes.Slice(prefix, length));
        consumed = prefix + length;
        return true;
    }

    /// <summary>A broken rule of multistream-select.</summary>
    public static TransportException Violation(string message) => new(TransportError.ProtocolViolation, message);
}
