namespace FastShare.Transport.Buffers;

/// <summary>
/// Unsigned LEB128 as libp2p uses it (multiformats unsigned-varint): low group first, minimal length only, at most
/// <see cref="MaxLength"/> bytes, so values up to 2^63 − 1.
/// </summary>
public static class Varint
{
    /// <summary>Longest encoding accepted, in bytes (multiformats unsigned-varint specification).</summary>
    public const int MaxLength = 9;

    /// <summary>Number of bytes that <see cref="Write"/> uses for <paramref name="value"/>.</summary>
    public static int Length(ulong value)
    {
        int length = 1;
        while ((value >>= 7) != 0) length++;
        return length;
    }

    /// <summary>Writes <paramref name="value"/> and returns the number of bytes used.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value needs more than 63 bits.</exception>
    /// <exception cref="IndexOutOfRangeException"><paramref name="destination"/> is too small.</exception>
    public static int Write(Span<byte> destination, ulong value)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(value, (ulong)long.MaxValue);
        int i = 0;
        while (value >= 0x80)
        {
            destination[i++] = (byte)(value | 0x80);
            value >>= 7;
        }

        destination[i++] = (byte)value;
        return i;
    }

    /// <summary>Reads one value from the start of <paramref name="source"/>.</summary>
    /// <param name="source">Bytes to read from.</param>
    /// <param name="value">The value, when the result is <see cref="VarintStatus.Done"/>.</param>
    /// <param name="consumed">Bytes used, when the result is <see cref="VarintStatus.Done"/>.</param>
    public static VarintStatus TryRead(ReadOnlySpan<byte> source, out ulong value, out int consumed)
    {
        value = 0;
        consumed = 0;
        for (int i = 0; i < source.Length; i++)
        {
            byte b = source[i];
            value |= (ulong)(b & 0x7f) << (7 * i);
            if ((b & 0x80) == 0)
            {
                if (b == 0 && i > 0) return VarintStatus.Invalid; // not minimal
                consumed = i + 1;
                return VarintStatus.Done;
            }

            if (i == MaxLength - 1) return VarintStatus.Invalid;
        }

        return VarintStatus.NeedMore;
    }
}

/// <summary>Outcome of <see cref="Varint.TryRead"/>.</summary>
public enum VarintStatus
{
    /// <summary>A value was read.</summary>
    Done,

    /// <summary>The source ended before the value did.</summary>
    NeedMore,

    /// <summary>Longer than nine bytes, or padded.</summary>
    Invalid,
}
