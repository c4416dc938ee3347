using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace FastShare.Transfer.Framing;

/// <summary>Writes the fields of messages, big-endian.</summary>
internal static class WireWriter
{
    public static void WriteByte(this IBufferWriter<byte> writer, byte value)
    {
        writer.GetSpan(1)[0] = value;
        writer.Advance(1);
    }

    public static void WriteUInt16(this IBufferWriter<byte> writer, ushort value)
    {
        BinaryPrimitives.WriteUInt16BigEndian(writer.GetSpan(2), value);
        writer.Advance(2);
    }

    public static void WriteUInt32(this IBufferWriter<byte> writer, uint value)
    {
        BinaryPrimitives.WriteUInt32BigEndian(writer.GetSpan(4), value);
        writer.Advance(4);
    }

    public static void WriteInt63(this IBufferWriter<byte> writer, long value)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(value);
        BinaryPrimitives.WriteInt64BigEndian(writer.GetSpan(8), value);
        writer.Advance(8);
    }

    public static void WriteUInt128(this IBufferWriter<byte> writer, UInt128 value)
    {
        BinaryPrimitives.WriteUInt128BigEndian(writer.GetSpan(16), value);
        writer.Advance(16);
    }

    /// <summary>
    /// Text behind its length in bytes (u16); cut at a whole character where it is longer than <paramref name="maxLength"/> bytes.
    /// </summary>
    public static void WriteText(this IBufferWriter<byte> writer, string text, int maxLength)
    {
        Span<byte> field = writer.GetSpan(2 + maxLength)[..(2 + maxLength)];
        // Converts whole characters only, and replaces lone surrogates, so that what is written is always valid UTF-8.
        System.Text.Unicode.Utf8.FromUtf16(text, field[2..], out _, out int length);
        BinaryPrimitives.WriteUInt16BigEndian(field, (ushort)length);
        writer.Advance(2 + length);
    }

    /// <summary>As <see cref="Encoding.UTF8"/> counts, for estimates of a message's size.</summary>
    public static int TextLength(string text) => 2 + Encoding.UTF8.GetByteCount(text);
}
