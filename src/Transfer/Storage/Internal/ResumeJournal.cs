using System.Buffers;
using System.Buffers.Binary;
using System.IO.Hashing;
using System.Numerics;
using System.Runtime.InteropServices;
using FastShare.Transfer.Planning;

namespace FastShare.Transfer.Storage.Internal;

/// <summary>What a journal says of one staged file.</summary>
/// <param name="Key">Names the plan it belongs to: <see cref="ResumeJournal.KeyOf"/>.</param>
/// <param name="EntryId">First half of the data file's name.</param>
/// <param name="Serial">Second half.</param>
/// <param name="Size">Bytes of the whole file.</param>
/// <param name="ChunkSize">Bytes of a chunk.</param>
/// <param name="FileId">The data file's inode when this was written; 0 where unknown.</param>
/// <param name="Changed">Its time of last change then.</param>
/// <param name="Bitmap">A bit for each chunk, lowest bit first.</param>
/// <param name="Digests">16 bytes big-endian for each bit set.</param>
internal sealed record JournalRecord(
    UInt128 Key, uint EntryId, uint Serial, long Size, uint ChunkSize, ulong FileId, long Changed, ReadOnlyMemory<byte> Bitmap,
    ReadOnlyMemory<byte> Digests)
{
    /// <summary>The chunk map it describes, all chunks claimed and none verified.</summary>
    public ChunkMap ToMap()
    {
        var map = new ChunkMap(Size, ChunkSize);
        ReadOnlySpan<byte> digests = Digests.Span;
        for (long i = 0; i < map.Count; i++)
        {
            if ((Bitmap.Span[(int)(i >> 3)] >> (int)(i & 7) & 1) == 0) continue;
            map.Claim(i, BinaryPrimitives.ReadUInt128BigEndian(digests));
            digests = digests[16..];
        }

        return map;
    }
}

/// <summary>A valid journal slot.</summary>
/// <param name="Generation">Counts up with each slot written.</param>
/// <param name="IsClean">Whether it was the last thing an orderly stop wrote.</param>
/// <param name="Records">The staged files.</param>
internal sealed record JournalState(ulong Generation, bool IsClean, IReadOnlyList<JournalRecord> Records);

/// <summary>
/// The bytes of a resume journal's slot; two slots are written in turn, the newest valid one counts. Pure. Local, so its form may
/// change with the version in the magic; anything unreadable only costs a restart. All numbers big-endian:
/// <code>
/// slot   = "FSHJRNL1" ‖ transfer id (16) ‖ generation (8) ‖ flags (4; bit 0: orderly stop) ‖ records (4)
///        ‖ length of the slot (8) ‖ record… ‖ XXH128 of everything before (16); what follows in the file is room to grow
/// record = key (16) ‖ entry id (4) ‖ serial (4) ‖ size (8) ‖ chunk size (4) ‖ file id (8) ‖ changed (8)
///        ‖ claimed chunks (8) ‖ bitmap (one bit a chunk, padded with zeros to a byte) ‖ digest (16) for each bit set
/// </code>
/// </summary>
internal sealed class ResumeJournal
{
    /// <summary>Longest slot read; a longer file is no journal.</summary>
    public const int MaxBytes = 1 << 30;

    private const int HeaderBytes = 48, RecordBytes = 60, ChecksumBytes = 16, FileIdOffset = 36;

    private readonly TransferId _transfer;
    private readonly ArrayBufferWriter<byte> _buffer = new(4096); // reused from slot to slot; single user at a time
    private uint _records;

    /// <summary>A journal of one transfer.</summary>
    public ResumeJournal(TransferId transfer) => _transfer = transfer;

    private static ReadOnlySpan<byte> Magic => "FSHJRNL1"u8;

    /// <summary>
    /// What a staged file belongs to: path, size, modification time and chunk size. A file of another plan has another key. Not
    /// resistant to collisions made on purpose, and need not be: the sender could only mix up its own files, and the digests notice.
    /// </summary>
    public static UInt128 KeyOf(ManifestEntry entry, uint chunkSize)
    {
        var hash = new XxHash128();
        Span<byte> numbers = stackalloc byte[20];
        BinaryPrimitives.WriteInt64BigEndian(numbers, entry.Size);
        BinaryPrimitives.WriteInt64BigEndian(numbers[8..], entry.ModifiedUnixNanoseconds);
        BinaryPrimitives.WriteUInt32BigEndian(numbers[16..], chunkSize);
        hash.Append(numbers);
        hash.Append(MemoryMarshal.AsBytes(entry.Path.AsSpan()));
        return hash.GetCurrentHashAsUInt128();
    }

    /// <summary>Bytes that a slot needs at most for one file.</summary>
    public static long RecordLength(ChunkMap map) => RecordBytes + (map.Count + 7) / 8 + map.Count * 16;

    /// <summary>Starts a slot.</summary>
    public void Begin(ulong generation, bool isClean)
    {
        _records = 0;
        _buffer.ResetWrittenCount();
        _buffer.Write(Magic);
        Span<byte> rest = _buffer.GetSpan(HeaderBytes - 8)[..(HeaderBytes - 8)];
        BinaryPrimitives.WriteUInt128BigEndian(rest, _transfer.Value);
        BinaryPrimitives.WriteUInt64BigEndian(rest[16..], generation);
        BinaryPrimitives.WriteUInt32BigEndian(rest[24..], isClean ? 1u : 0);
        _buffer.Advance(rest.Length);
    }

    /// <summary>Adds what a map has now. Returns where the record stands, for <see cref="SetFile"/>, and the map's version.</summary>
    public (int Place, long Version) Add(UInt128 key, uint entryId, uint serial, ChunkMap map)
    {
        int place = _buffer.WrittenCount;
        Span<byte> fixedPart = _buffer.GetSpan(RecordBytes - 8)[..(RecordBytes - 8)];
        BinaryPrimitives.WriteUInt128BigEndian(fixedPart, key);
        BinaryPrimitives.WriteUInt32BigEndian(fixedPart[16..], entryId);
        BinaryPrimitives.WriteUInt32BigEndian(fixedPart[20..], serial);
        BinaryPrimitives.WriteInt64BigEndian(fixedPart[24..], map.Size);
        BinaryPrimitives.WriteUInt32BigEndian(fixedPart[32..], map.ChunkSize);
        fixedPart[FileIdOffset..].Clear();
        _buffer.Advance(fixedPart.Length);
        long version = map.WriteClaims(_buffer);
        _records++;
        return (place, version);
    }

    /// <summary>Fills in the data file's id and time of change, known once it is synced.</summary>
    public void SetFile(int place, ulong fileId, long changed)
    {
        Span<byte> at = WritableSpan(place + FileIdOffset, 16);
        BinaryPrimitives.WriteUInt64BigEndian(at, fileId);
        BinaryPrimitives.WriteInt64BigEndian(at[8..], changed);
    }

    /// <summary>Ends the slot; the bytes are valid until the next <see cref="Begin"/>.</summary>
    public ReadOnlySpan<byte> End()
    {
        BinaryPrimitives.WriteUInt32BigEndian(WritableSpan(HeaderBytes - 12, 4), _records);
        BinaryPrimitives.WriteInt64BigEndian(WritableSpan(HeaderBytes - 8, 8), _buffer.WrittenCount + ChecksumBytes);
        UInt128 checksum = XxHash128.HashToUInt128(_buffer.WrittenSpan);
        BinaryPrimitives.WriteUInt128BigEndian(_buffer.GetSpan(ChecksumBytes), checksum);
        _buffer.Advance(ChecksumBytes);
        return _buffer.WrittenSpan;
    }

    /// <summary>Reads a slot; null if it is not a whole, valid one of this transfer. Never throws for what it reads.</summary>
    public JournalState? Decode(ReadOnlyMemory<byte> slot)
    {
        ReadOnlySpan<byte> bytes = slot.Span;
        if (bytes.Length < HeaderBytes + ChecksumBytes || !bytes.StartsWith(Magic)) return null;
        long length = BinaryPrimitives.ReadInt64BigEndian(bytes[40..]);
        if (length < HeaderBytes + ChecksumBytes || length > bytes.Length) return null;
        int end = (int)length - ChecksumBytes;
        if (BinaryPrimitives.ReadUInt128BigEndian(bytes.Slice(end, ChecksumBytes)) != XxHash128.HashToUInt128(bytes[..end])) return null;
        if (BinaryPrimitives.ReadUInt128BigEndian(bytes[8..]) != _transfer.Value) return null;
        ulong generation = BinaryPrimitives.ReadUInt64BigEndian(bytes[24..]);
        uint flags = BinaryPrimitives.ReadUInt32BigEndian(bytes[32..]), count = BinaryPrimitives.ReadUInt32BigEndian(bytes[36..]);
        if (flags > 1 || (ulong)count * RecordBytes > (ulong)(end - HeaderBytes)) return null;

        var records = new List<JournalRecord>((int)count);
        int at = HeaderBytes;
        for (uint i = 0; i < count; i++)
        {
            if (DecodeRecord(slot[at..end], out int used) is not { } record) return null;
            records.Add(record);
            at += used;
        }

        return at == end ? new JournalState(generation, flags == 1, records) : null;
    }

    private static JournalRecord? DecodeRecord(ReadOnlyMemory<byte> source, out int length)
    {
        length = 0;
        ReadOnlySpan<byte> bytes = source.Span;
        if (bytes.Length < RecordBytes) return null;
        long size = BinaryPrimitives.ReadInt64BigEndian(bytes[24..]);
        uint chunkSize = BinaryPrimitives.ReadUInt32BigEndian(bytes[32..]);
        long claimed = BinaryPrimitives.ReadInt64BigEndian(bytes[52..]);
        if (size < 0 || chunkSize is 0 or > int.MaxValue) return null;
        long chunks = ChunkMap.CountOf(size, chunkSize);
        long bitmapLength = (chunks + 7) / 8;
        if (chunks > ChunkMap.MaxChunks || claimed < 0 || claimed > chunks) return null;
        long total = RecordBytes + bitmapLength + claimed * 16;
        if (total > bytes.Length) return null;

        ReadOnlySpan<byte> bitmap = bytes.Slice(RecordBytes, (int)bitmapLength);
        long set = 0;
        foreach (byte b in bitmap) set += BitOperations.PopCount(b);
        if (set != claimed || ((chunks & 7) != 0 && bitmap[^1] >> (int)(chunks & 7) != 0)) return null;

        length = (int)total;
        return new JournalRecord(
            BinaryPrimitives.ReadUInt128BigEndian(bytes), BinaryPrimitives.ReadUInt32BigEndian(bytes[16..]),
            BinaryPrimitives.ReadUInt32BigEndian(bytes[20..]), size, chunkSize, BinaryPrimitives.ReadUInt64BigEndian(bytes[FileIdOffset..]),
            BinaryPrimitives.ReadInt64BigEndian(bytes[44..]), source.Slice(RecordBytes, (int)bitmapLength),
            source.Slice(RecordBytes + (int)bitmapLength, (int)claimed * 16));
    }

    private Span<byte> WritableSpan(int start, int length) =>
        // the writer only hands out what it wrote as read-only; it is this object's own array
        MemoryMarshal.AsMemory(_buffer.WrittenMemory).Span.Slice(start, length);
}
