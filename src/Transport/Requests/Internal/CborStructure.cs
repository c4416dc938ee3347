using System.Buffers.Binary;

namespace FastShare.Transport.Requests.Internal;

/// <summary>
/// Checks, without recursion and without memory of its own, that bytes are one well-formed CBOR data item (RFC 8949, appendix C) within
/// limits. Says nothing about UTF-8 and the uniqueness of keys. Pure.
/// </summary>
internal static class CborStructure
{
    private const byte Break = 0xff;
    private const int Bytes = 2;
    private const int Text = 3;
    private const int Array = 4;
    private const int Map = 5;
    private const int Tag = 6;
    private const int Simple = 7;

    // What an open container still expects: a number of items, or one of these.
    private const long OpenArray = -1;
    private const long OpenMapKey = -2;
    private const long OpenMapValue = -3;

    /// <param name="bytes">The message.</param>
    /// <param name="maxDepth">Levels of arrays, maps and tags; at most <see cref="CborCodecOptions.GreatestDepth"/>.</param>
    /// <param name="allowIndefinite">Whether lengths may be left open.</param>
    /// <exception cref="FormatException">It is not, or not within the limits; the message says where and why.</exception>
    public static void Check(ReadOnlySpan<byte> bytes, int maxDepth, bool allowIndefinite)
    {
        Span<long> expected = stackalloc long[maxDepth];
        int depth = 0;
        int position = 0;
        do
        {
            int start = position;
            if (position == bytes.Length) throw Broken(position, depth == 0 ? "the message is empty" : "it ends inside an array, map or tag");
            byte initial = bytes[position++];
            if (initial == Break)
            {
                if (depth == 0 || expected[depth - 1] is not (OpenArray or OpenMapKey)) throw Broken(start, "a break where nothing can end");
                depth--;
            }
            else
            {
                int major = initial >> 5;
                bool open = !TryReadArgument(bytes, initial, ref position, out ulong argument);
                if (open && !allowIndefinite) throw Broken(start, "a length is left open, which is not allowed here");
                if (major is Array or Map or Tag)
                {
                    long items = Items(major, open, argument, bytes.Length - position, start);
                    if (items != 0)
                    {
                        if (depth == maxDepth) throw Broken(start, $"it is nested more than {maxDepth} levels deep");
                        expected[depth++] = items;
                        continue; // nothing is complete yet
                    }
                }
                else if (open)
                {
                    SkipChunks(bytes, major, ref position);
                }
                else if (major is Bytes or Text)
                {
                    if (argument > (ulong)(bytes.Length - position)) throw Exceeds(start, "string", argument, bytes.Length - position);
                    position += (int)argument;
                }
            }

            // An item is complete, and with it every container for which it was the last.
            while (depth > 0 && Complete(ref expected[depth - 1])) depth--;
        }
        while (depth > 0);

        if (position != bytes.Length) throw Broken(position, $"{bytes.Length - position} bytes follow the message");
    }

    /// <summary>Counts one item; whether the container has all of its own now.</summary>
    private static bool Complete(ref long expected)
    {
        switch (expected)
        {
            case OpenArray: return false;
            case OpenMapKey:
                expected = OpenMapValue;
                return false;
            case OpenMapValue:
                expected = OpenMapKey;
                return false;
            default: return --expected == 0;
        }
    }

    private static long Items(int major, bool open, ulong argument, int left, int start)
    {
        switch (major)
        {
            case Tag: return 1;
            case Array when open: return OpenArray;
            case Map when open: return OpenMapKey;
            case Array: return argument <= (ulong)left ? (long)argument : throw Exceeds(start, "array", argument, left);
            default: return argument <= (ulong)left / 2 ? (long)argument * 2 : throw Exceeds(start, "map", argument, left);
        }
    }

    /// <summary>The chunks of a string of open length: strings of the same type whose lengths are announced.</summary>
    private static void SkipChunks(ReadOnlySpan<byte> bytes, int major, ref int position)
    {
        while (true)
        {
            int start = position;
            if (position == bytes.Length) throw Broken(position, "it ends inside a string");
            byte initial = bytes[position++];
            if (initial == Break) return;
            if (initial >> 5 != major || !TryReadArgument(bytes, initial, ref position, out ulong length))
                throw Broken(start, "a string of open length holds something other than strings of its type");
            if (length > (ulong)(bytes.Length - position)) throw Exceeds(start, "string", length, bytes.Length - position);
            position += (int)length;
        }
    }

    /// <summary>Reads what follows the initial byte; false: an open length.</summary>
    private static bool TryReadArgument(ReadOnlySpan<byte> bytes, byte initial, ref int position, out ulong argument)
    {
        int start = position - 1;
        int low = initial & 0x1f;
        argument = (ulong)low;
        if (low < 24) return true;
        if (low == 31 && (initial >> 5) is Bytes or Text or Array or Map) return false;
        if (low > 27) throw Broken(start, $"byte 0x{initial:x2} begins no data item");
        int size = 1 << (low - 24);
        if (bytes.Length - position < size) throw Broken(start, "it ends inside a number");
        ReadOnlySpan<byte> number = bytes.Slice(position, size);
        position += size;
        argument = size switch
        {
            1 => number[0],
            2 => BinaryPrimitives.ReadUInt16BigEndian(number),
            4 => BinaryPrimitives.ReadUInt32BigEndian(number),
            _ => BinaryPrimitives.ReadUInt64BigEndian(number),
        };
        if (initial >> 5 == Simple && size == 1 && argument < 32) throw Broken(start, "a simple value below 32 in two bytes");
        return true;
    }

    private static FormatException Broken(int position, string why) => new($"the message is no CBOR at byte {position}: {why}");

    private static FormatException Exceeds(int position, string what, ulong announced, int left) =>
        Broken(position, $"a length of {announced} is announced for the {what}, of which {left} bytes are there");
}
