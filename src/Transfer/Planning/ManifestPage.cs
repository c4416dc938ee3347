using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using FastShare.Transport.Buffers;

namespace FastShare.Transfer.Planning;

/// <summary>
/// The bytes of one page of a manifest (docs/wire-format.md, "Manifest page"). An entry is written as what tells it from the one before:
/// neighbours in a tree share most of their path, their mode and often their size, and were written at about the same time. A path can share only
/// 255 bytes, so that few bytes do not become kilobytes in the reader.
/// <code>
/// page  = first id (varint) ‖ count (varint, at most 4096) ‖ count × entry
/// entry = head (1 byte: bits 0 and 1 the kind: 0 file, 1 folder, 2 symbolic link, 3 stream; bit 2: the mode is that of the entry before;
///         bit 3: the size is that of the file before; bit 4: the time stands in full)
///       ‖ path: bytes shared with the path before (1 byte) ‖ length of the rest (varint) ‖ the rest (UTF-8 as a whole, '/' between segments)
///       ‖ mode, without bit 2 (varint: 0 unknown, else permission bits + 1, at most 512)
///       ‖ modification time, nanoseconds since 1970-01-01 UTC: bit 4: 8 bytes, big-endian two's complement;
///         otherwise the difference to the time before (varint, zigzag, below 2^56)
///       ‖ file, without bit 3: size (varint) | folder: nothing | link: target length (varint, 1 to 4095) ‖ target (UTF-8)
///         | stream: 0, or announced size + 1 (varint)
/// </code>
/// Before the first entry stand an empty path, an unknown mode, time 0 and size 0. As much is shared as can be, and every bit is set that can
/// be, bit 4 only if it must: entries have one form. Ids count up from the first id, which is 0 in an empty page. Varints are minimal, nothing
/// follows the last entry. Pure and thread-safe.
/// </summary>
internal static class ManifestPage
{
    /// <summary>Most entries in a page.</summary>
    public const int MaxEntries = 4096;

    /// <summary>Longest page, in bytes.</summary>
    public const int MaxBytes = 1 << 20;

    // head, what is shared, no rest, difference of time; mode and size as before
    private const int MinEntryBytes = 4;

    private const byte KindMask = 3, SameMode = 4, SameSize = 8, WholeTime = 16;

    /// <summary>Differences of time from here on are longer than the time.</summary>
    private const ulong LongDifference = 1UL << 56;

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>
    /// Bytes that <paramref name="entry"/> takes in a page, whatever stands before it, at most; a page adds at most 11 to the sum of its entries'.
    /// </summary>
    public static int EncodedLength(ManifestEntry entry)
    {
        int length = 2 + TextLength(entry.Path) + Varint.Length((ulong)(entry.Mode + 1)) + 8;
        return entry.Kind switch
        {
            EntryKind.File => length + Varint.Length((ulong)entry.Size),
            EntryKind.Stream => length + Varint.Length((ulong)(entry.Size + 1)),
            EntryKind.Symlink => length + TextLength(entry.LinkTarget!),
            _ => length,
        };
    }

    /// <summary>Writes a page.</summary>
    /// <param name="entries">Validated entries with consecutive ids; may be none.</param>
    /// <param name="destination">Where the bytes go.</param>
    /// <exception cref="ArgumentException">Too many or too long for one page, or ids that do not count up.</exception>
    public static void Encode(IReadOnlyList<ManifestEntry> entries, IBufferWriter<byte> destination)
    {
        if (entries.Count > MaxEntries) throw new ArgumentException($"A page holds at most {MaxEntries} entries.", nameof(entries));
        uint first = entries.Count == 0 ? 0 : entries[0].Id;
        int length = Varint.Length(first) + Varint.Length((ulong)entries.Count);
        for (int i = 0; i < entries.Count; i++)
        {
            if (entries[i].Id != first + (ulong)i) throw new ArgumentException("The ids of a page count up.", nameof(entries));
            length += EncodedLength(entries[i]);
            if (length > MaxBytes) throw new ArgumentException($"A page has at most {MaxBytes} bytes.", nameof(entries));
        }

        Span<byte> page = destination.GetSpan(length);
        int at = Varint.Write(page, first);
        at += Varint.Write(page[at..], (ulong)entries.Count);
        var state = new State();
        Span<byte> path = stackalloc byte[SafePath.MaxPathBytes];
        foreach (ManifestEntry entry in entries)
        {
            int head = at++;
            page[head] = (byte)entry.Kind;
            at += state.WritePath(page[at..], path[..StrictUtf8.GetBytes(entry.Path, path)]);
            if (entry.Mode == state.Mode) page[head] |= SameMode;
            else at += Varint.Write(page[at..], (ulong)(entry.Mode + 1));
            ulong difference = ZigZag(unchecked(entry.ModifiedUnixNanoseconds - state.Time));
            if (difference < LongDifference)
            {
                at += Varint.Write(page[at..], difference);
            }
            else
            {
                page[head] |= WholeTime;
                BinaryPrimitives.WriteInt64BigEndian(page[at..], entry.ModifiedUnixNanoseconds);
                at += 8;
            }

            state.Mode = entry.Mode;
            state.Time = entry.ModifiedUnixNanoseconds;
            if (entry.Kind == EntryKind.File)
            {
                if (entry.Size == state.Size) page[head] |= SameSize;
                else at += Varint.Write(page[at..], (ulong)entry.Size);
                state.Size = entry.Size;
            }
            else if (entry.Kind == EntryKind.Stream) at += Varint.Write(page[at..], (ulong)(entry.Size + 1));
            else if (entry.Kind == EntryKind.Symlink) at += WriteText(page[at..], entry.LinkTarget!);
        }

        state.Return();
        destination.Advance(at);
    }

    /// <summary>
    /// Reads a page. Only the page's own form is checked; the entries are untrusted until a <see cref="ManifestValidator"/> took them.
    /// </summary>
    /// <exception cref="TransferException"><see cref="TransferError.ProtocolViolation"/>.</exception>
    public static List<ManifestEntry> Decode(ReadOnlySequence<byte> page)
    {
        if (page.Length > MaxBytes) throw Violation($"it has {page.Length} bytes");
        if (page.IsSingleSegment) return Decode(page.FirstSpan);

        byte[] rented = ArrayPool<byte>.Shared.Rent((int)page.Length);
        try
        {
            page.CopyTo(rented);
            return Decode(rented.AsSpan(0, (int)page.Length));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    private static List<ManifestEntry> Decode(ReadOnlySpan<byte> page)
    {
        ulong first = ReadVarint(ref page), count = ReadVarint(ref page);
        if (count > MaxEntries) throw Violation($"it says it has {count} entries");
        if (count * MinEntryBytes > (ulong)page.Length) throw Violation("it ends early");
        if (first > (count == 0 ? 0 : uint.MaxValue - count)) throw Violation($"its first id is {first}");

        var entries = new List<ManifestEntry>((int)count);
        var state = new State();
        for (uint i = 0; i < count; i++) entries.Add(ReadEntry(ref page, ref state, (uint)first + i));
        state.Return();
        if (!page.IsEmpty) throw Violation($"{page.Length} bytes follow the last entry");
        return entries;
    }

    private static ManifestEntry ReadEntry(ref ReadOnlySpan<byte> page, ref State state, uint id)
    {
        byte head = Take(ref page, 1)[0];
        var kind = (EntryKind)(head & KindMask);
        if (head > (KindMask | SameMode | SameSize | WholeTime)) throw Violation($"an entry begins with {head}");
        if ((head & SameSize) != 0 && kind != EntryKind.File) throw Violation("an entry has a size and is no file");
        string path = ReadUtf8(state.ReadPath(ref page));
        if ((head & SameMode) == 0)
        {
            ulong mode = ReadVarint(ref page);
            if (mode > 512) throw Violation("a mode has more than the permission bits");
            if ((int)mode - 1 == state.Mode) throw Violation("a mode is told again");
            state.Mode = (int)mode - 1;
        }

        state.Time = ReadTime(ref page, state.Time, (head & WholeTime) != 0);
        long size = 0;
        if (kind == EntryKind.File)
        {
            size = (head & SameSize) != 0 ? state.Size : (long)ReadVarint(ref page);
            if ((head & SameSize) == 0 && size == state.Size) throw Violation("a size is told again");
            state.Size = size;
        }
        else if (kind == EntryKind.Stream)
        {
            size = (long)ReadVarint(ref page) - 1;
        }

        string? target = kind == EntryKind.Symlink ? ReadText(ref page) : null;
        return new ManifestEntry(id, kind, path, size, state.Mode, state.Time, target);
    }

    private static long ReadTime(ref ReadOnlySpan<byte> page, long before, bool isWhole)
    {
        if (isWhole)
        {
            long time = BinaryPrimitives.ReadInt64BigEndian(Take(ref page, 8));
            return ZigZag(unchecked(time - before)) >= LongDifference ? time : throw Violation("a time is longer than it need be");
        }

        ulong difference = ReadVarint(ref page);
        if (difference >= LongDifference) throw Violation("a difference of times is longer than the time");
        return unchecked(before + ((long)(difference >> 1) ^ -(long)(difference & 1)));
    }

    private static ulong ZigZag(long value) => (ulong)(value << 1 ^ value >> 63);

    /// <summary>What the entry before was.</summary>
    private struct State()
    {
        private readonly byte[] _path = ArrayPool<byte>.Shared.Rent(SafePath.MaxPathBytes);
        private int _length;

        /// <summary>Gives its memory back; once.</summary>
        public readonly void Return() => ArrayPool<byte>.Shared.Return(_path);

        public int Mode { get; set; } = -1;

        public long Time { get; set; }

        public long Size { get; set; }

        /// <summary>Writes what a path does not share; returns the bytes written.</summary>
        public int WritePath(Span<byte> destination, ReadOnlySpan<byte> path)
        {
            int shared = Math.Min(path.CommonPrefixLength(_path.AsSpan(0, _length)), byte.MaxValue);
            destination[0] = (byte)shared;
            int at = 1 + Varint.Write(destination[1..], (ulong)(path.Length - shared));
            path[shared..].CopyTo(destination[at..]);
            path[shared..].CopyTo(_path.AsSpan(shared));
            _length = path.Length;
            return at + path.Length - shared;
        }

        /// <summary>Reads a path; valid until the next one.</summary>
        public ReadOnlySpan<byte> ReadPath(ref ReadOnlySpan<byte> page)
        {
            int shared = Take(ref page, 1)[0];
            ulong length = ReadVarint(ref page) + (ulong)shared;
            if (shared > _length) throw Violation("a path shares more than there is");
            if (length is 0 or > SafePath.MaxPathBytes) throw Violation($"a path has {length} bytes");
            ReadOnlySpan<byte> rest = Take(ref page, (int)length - shared);
            if (!rest.IsEmpty && shared < Math.Min(_length, byte.MaxValue) && rest[0] == _path[shared])
                throw Violation("a path shares less than it could");
            rest.CopyTo(_path.AsSpan(shared));
            _length = (int)length;
            return _path.AsSpan(0, _length);
        }
    }

    private static int TextLength(string text)
    {
        int length = StrictUtf8.GetByteCount(text);
        return Varint.Length((ulong)length) + length;
    }

    private static int WriteText(Span<byte> destination, string text)
    {
        int length = StrictUtf8.GetByteCount(text);
        int at = Varint.Write(destination, (ulong)length);
        return at + StrictUtf8.GetBytes(text, destination[at..]);
    }

    private static string ReadText(ref ReadOnlySpan<byte> page)
    {
        ulong length = ReadVarint(ref page);
        if (length is 0 or > SafePath.MaxPathBytes) throw Violation($"a path has {length} bytes");
        return ReadUtf8(Take(ref page, (int)length));
    }

    private static string ReadUtf8(ReadOnlySpan<byte> bytes)
    {
        try
        {
            return StrictUtf8.GetString(bytes);
        }
        catch (DecoderFallbackException e)
        {
            throw Violation("a path is not valid UTF-8", e);
        }
    }

    private static ulong ReadVarint(ref ReadOnlySpan<byte> page)
    {
        VarintStatus status = Varint.TryRead(page, out ulong value, out int used);
        if (status != VarintStatus.Done) throw Violation(status == VarintStatus.NeedMore ? "it ends early" : "a number is malformed");
        page = page[used..];
        return value;
    }

    private static ReadOnlySpan<byte> Take(ref ReadOnlySpan<byte> page, int length)
    {
        if (length > page.Length) throw Violation("it ends early");
        ReadOnlySpan<byte> taken = page[..length];
        page = page[length..];
        return taken;
    }

    private static TransferException Violation(string why, Exception? inner = null) =>
        new(TransferError.ProtocolViolation, $"The peer sent a malformed manifest page: {why}.", inner);
}
