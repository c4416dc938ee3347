using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using FastShare.Transport.Buffers;

namespace FastShare.Transfer.Planning;

/// <summary>
/// The bytes of one page of a manifest (docs/wire-format.md, "Manifest page"). Paths are written out in full: the page of a deep
/// tree shrinks to a third with shared prefixes, but a few bytes could then expand to kilobytes in the reader.
/// <code>
/// page  = first id (varint) ‖ count (varint, at most 4096) ‖ count × entry
/// entry = kind (1 byte: 0 file, 1 folder, 2 symbolic link, 3 stream)
///       ‖ path length (varint, 1 to 4095) ‖ path (UTF-8, '/' between segments)
///       ‖ mode (varint: 0 unknown, else permission bits + 1, at most 512)
///       ‖ modification time (8 bytes, big-endian two's complement: nanoseconds since 1970-01-01 UTC)
///       ‖ file: size (varint) | folder: nothing | link: target length (varint, 1 to 4095) ‖ target (UTF-8)
///         | stream: 0, or announced size + 1 (varint)
/// </code>
/// Ids count up from the first id, which is 0 in an empty page. Varints are minimal, nothing follows the last entry. Pure and thread-safe.
/// </summary>
internal static class ManifestPage
{
    /// <summary>Most entries in a page.</summary>
    public const int MaxEntries = 4096;

    /// <summary>Longest page, in bytes.</summary>
    public const int MaxBytes = 1 << 20;

    // kind, path length, one byte of path, mode, time; a folder has no more
    private const int MinEntryBytes = 1 + 1 + 1 + 1 + 8;

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Bytes that <paramref name="entry"/> takes in a page; a page adds at most 11 to the sum of its entries'.</summary>
    public static int EncodedLength(ManifestEntry entry)
    {
        int length = 1 + TextLength(entry.Path) + Varint.Length((ulong)(entry.Mode + 1)) + 8;
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

        Span<byte> page = destination.GetSpan(length)[..length];
        int at = Varint.Write(page, first);
        at += Varint.Write(page[at..], (ulong)entries.Count);
        foreach (ManifestEntry entry in entries)
        {
            page[at++] = (byte)entry.Kind;
            at += WriteText(page[at..], entry.Path);
            at += Varint.Write(page[at..], (ulong)(entry.Mode + 1));
            BinaryPrimitives.WriteInt64BigEndian(page[at..], entry.ModifiedUnixNanoseconds);
            at += 8;
            if (entry.Kind == EntryKind.File) at += Varint.Write(page[at..], (ulong)entry.Size);
            else if (entry.Kind == EntryKind.Stream) at += Varint.Write(page[at..], (ulong)(entry.Size + 1));
            else if (entry.Kind == EntryKind.Symlink) at += WriteText(page[at..], entry.LinkTarget!);
        }

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
        for (uint i = 0; i < count; i++) entries.Add(ReadEntry(ref page, (uint)first + i));
        if (!page.IsEmpty) throw Violation($"{page.Length} bytes follow the last entry");
        return entries;
    }

    private static ManifestEntry ReadEntry(ref ReadOnlySpan<byte> page, uint id)
    {
        byte kind = Take(ref page, 1)[0];
        if (kind > (byte)EntryKind.Stream) throw Violation($"an entry's kind is {kind}");
        string path = ReadText(ref page);
        ulong mode = ReadVarint(ref page);
        if (mode > 512) throw Violation("a mode has more than the permission bits");
        long time = BinaryPrimitives.ReadInt64BigEndian(Take(ref page, 8));
        long size = (EntryKind)kind switch
        {
            EntryKind.File => (long)ReadVarint(ref page),
            EntryKind.Stream => (long)ReadVarint(ref page) - 1,
            _ => 0,
        };
        string? target = kind == (byte)EntryKind.Symlink ? ReadText(ref page) : null;
        return new ManifestEntry(id, (EntryKind)kind, path, size, (int)mode - 1, time, target);
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
        try
        {
            return StrictUtf8.GetString(Take(ref page, (int)length));
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
