using System.Buffers;
using System.Buffers.Binary;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using FastShare.Transfer.Planning;

namespace FastShare.Transfer.Storage.Internal;

/// <summary>A valid journal slot.</summary>
/// <param name="Generation">Counts up with each slot written.</param>
/// <param name="Log">Which log it goes on from.</param>
/// <param name="LogLength">Bytes of the log that count.</param>
/// <param name="LogDigest">XXH128 of those.</param>
/// <param name="Tail">Entries after those of the log.</param>
internal sealed record JournalSlot(ulong Generation, uint Log, long LogLength, UInt128 LogDigest, ReadOnlyMemory<byte> Tail);

/// <summary>What a journal says of one data file. Takes memory for what the journal has, not for the size it tells.</summary>
internal sealed record JournalFile(UInt128 Key, uint EntryId, uint Serial, long Size, uint ChunkSize)
{
    private readonly List<(long First, int Count, ReadOnlyMemory<byte> Digests)> _runs = [];

    /// <summary>Adds claims; without digests: takes one back.</summary>
    public void Add(long first, int count, ReadOnlyMemory<byte> digests) => _runs.Add((first, count, digests));

    /// <summary>The chunk map it describes, all chunks claimed and none verified.</summary>
    public ChunkMap ToMap()
    {
        var map = new ChunkMap(Size, ChunkSize);
        foreach ((long first, int count, ReadOnlyMemory<byte> digests) in _runs)
        {
            if (digests.IsEmpty) map.Withdraw(first);
            else for (int i = 0; i < count; i++) map.Claim(first + i, BinaryPrimitives.ReadUInt128BigEndian(digests.Span[(i * 16)..]));
        }

        return map;
    }
}

/// <summary>
/// The bytes of a resume journal: pure. Two slots are written in turn, and the newest valid one counts. A slot names a log that is only
/// ever appended to, says how much of it counts, and has the latest entries itself, so that a checkpoint writes what changed since the
/// one before, in one place, and is durable with one sync. Local, so its form may change with the version in the magic; anything
/// unreadable only costs a restart. All numbers big-endian:
/// <code>
/// slot = "FSHJRNL2" ‖ transfer id (16) ‖ generation (8) ‖ log (4) ‖ length of the log (8) ‖ XXH128 of that much of the log (16)
///      ‖ length of the tail (4) ‖ tail: entries ‖ XXH128 of everything before (16); what follows in the file is room to grow
/// log  = entries
/// </code>
/// Entries: <see cref="JournalEntryKind"/>. Those of a later one override those of an earlier one.
/// </summary>
internal sealed class ResumeJournal(TransferId transfer)
{
    /// <summary>Longest log read; a longer one is none. 64 TiB of 1 MiB chunks.</summary>
    public const int MaxBytes = 1 << 30;

    /// <summary>Longest tail: with more the entries go to the log. A slot then takes five pages.</summary>
    public const int MaxTailBytes = 16 << 10;

    /// <summary>Longest slot.</summary>
    public const int MaxSlotBytes = HeaderBytes + MaxTailBytes + ChecksumBytes;

    private const int HeaderBytes = 64, ChecksumBytes = 16;

    private static ReadOnlySpan<byte> Magic => "FSHJRNL2"u8;

    /// <summary>
    /// What a staged file belongs to: path, size, modification time and chunk size. A file of another plan has another key. Not
    /// resistant to collisions made on purpose, and need not be: the sender could only mix up its own files, and the digests notice.
    /// </summary>
    public static UInt128 KeyOf(ManifestEntry entry, uint chunkSize)
    {
        Span<byte> numbers = stackalloc byte[20];
        BinaryPrimitives.WriteInt64BigEndian(numbers, entry.Size);
        BinaryPrimitives.WriteInt64BigEndian(numbers[8..], entry.ModifiedUnixNanoseconds);
        BinaryPrimitives.WriteUInt32BigEndian(numbers[16..], chunkSize);
        ReadOnlySpan<byte> path = MemoryMarshal.AsBytes(entry.Path.AsSpan());
        Span<byte> all = path.Length <= 1024 ? stackalloc byte[numbers.Length + path.Length] : new byte[numbers.Length + path.Length];
        numbers.CopyTo(all);
        path.CopyTo(all[numbers.Length..]);
        return XxHash128.HashToUInt128(all);
    }

    /// <summary>Writes a slot.</summary>
    public void Encode(ArrayBufferWriter<byte> destination, ulong generation, uint log, long logLength, UInt128 logDigest,
        ReadOnlySpan<byte> tail)
    {
        destination.ResetWrittenCount();
        int length = HeaderBytes + tail.Length;
        Span<byte> slot = destination.GetSpan(length + ChecksumBytes);
        Magic.CopyTo(slot);
        BinaryPrimitives.WriteUInt128BigEndian(slot[8..], transfer.Value);
        BinaryPrimitives.WriteUInt64BigEndian(slot[24..], generation);
        BinaryPrimitives.WriteUInt32BigEndian(slot[32..], log);
        BinaryPrimitives.WriteInt64BigEndian(slot[36..], logLength);
        BinaryPrimitives.WriteUInt128BigEndian(slot[44..], logDigest);
        BinaryPrimitives.WriteInt32BigEndian(slot[60..], tail.Length);
        tail.CopyTo(slot[HeaderBytes..]);
        BinaryPrimitives.WriteUInt128BigEndian(slot[length..], XxHash128.HashToUInt128(slot[..length]));
        destination.Advance(length + ChecksumBytes);
    }

    /// <summary>Reads a slot; null if it is not a whole, valid one of this transfer. Never throws for what it reads.</summary>
    public JournalSlot? Decode(ReadOnlyMemory<byte> slot)
    {
        ReadOnlySpan<byte> bytes = slot.Span;
        if (bytes.Length < HeaderBytes + ChecksumBytes || !bytes.StartsWith(Magic)) return null;
        uint tail = BinaryPrimitives.ReadUInt32BigEndian(bytes[60..]);
        if (tail > MaxTailBytes || HeaderBytes + tail + ChecksumBytes > bytes.Length) return null;
        int end = HeaderBytes + (int)tail;
        if (BinaryPrimitives.ReadUInt128BigEndian(bytes[end..]) != XxHash128.HashToUInt128(bytes[..end])) return null;
        if (BinaryPrimitives.ReadUInt128BigEndian(bytes[8..]) != transfer.Value) return null;
        long logLength = BinaryPrimitives.ReadInt64BigEndian(bytes[36..]);
        if (logLength is < 0 or > MaxBytes) return null;
        return new JournalSlot(
            BinaryPrimitives.ReadUInt64BigEndian(bytes[24..]), BinaryPrimitives.ReadUInt32BigEndian(bytes[32..]), logLength,
            BinaryPrimitives.ReadUInt128BigEndian(bytes[44..]), slot[HeaderBytes..end]);
    }

    /// <summary>Reads entries, adding to what is known; false: they make no sense, though their checksum was right.</summary>
    public static bool TryReplay(ReadOnlyMemory<byte> entries, Dictionary<uint, JournalFile> files)
    {
        while (!entries.IsEmpty)
        {
            int length = TryReplayOne(entries, files);
            if (length < 0) return false;
            entries = entries[length..];
        }

        return true;
    }

    /// <summary>Returns the bytes used; −1: malformed.</summary>
    private static int TryReplayOne(ReadOnlyMemory<byte> entries, Dictionary<uint, JournalFile> files)
    {
        ReadOnlySpan<byte> bytes = entries.Span;
        var kind = (JournalEntryKind)bytes[0];
        int length = kind switch
        {
            JournalEntryKind.File => JournalEntry.FileLength,
            JournalEntryKind.Chunks => JournalEntry.ChunksLength,
            JournalEntryKind.Lost => JournalEntry.LostLength,
            JournalEntryKind.Gone => JournalEntry.GoneLength,
            _ => int.MaxValue,
        };
        if (bytes.Length < length) return -1;
        uint serial = BinaryPrimitives.ReadUInt32BigEndian(bytes[1..]);
        bytes = bytes[5..];
        if (kind == JournalEntryKind.Gone)
        {
            files.Remove(serial);
            return length;
        }

        if (kind == JournalEntryKind.File)
        {
            long size = BinaryPrimitives.ReadInt64BigEndian(bytes[20..]);
            uint chunkSize = BinaryPrimitives.ReadUInt32BigEndian(bytes[28..]);
            if (size < 0 || chunkSize is 0 or > int.MaxValue || ChunkMap.CountOf(size, chunkSize) > ChunkMap.MaxChunks) return -1;
            files[serial] = new JournalFile(
                BinaryPrimitives.ReadUInt128BigEndian(bytes), BinaryPrimitives.ReadUInt32BigEndian(bytes[16..]), serial, size, chunkSize);
            return length;
        }

        if (!files.TryGetValue(serial, out JournalFile? file)) return -1;
        long first = BinaryPrimitives.ReadInt64BigEndian(bytes), chunks = ChunkMap.CountOf(file.Size, file.ChunkSize);
        if (first < 0 || first >= chunks) return -1;
        if (kind == JournalEntryKind.Lost)
        {
            file.Add(first, 1, default);
            return length;
        }

        uint count = BinaryPrimitives.ReadUInt32BigEndian(bytes[8..]);
        if (count == 0 || count > chunks - first || (long)count * 16 > entries.Length - length) return -1;
        file.Add(first, (int)count, entries.Slice(length, (int)count * 16));
        return length + (int)count * 16;
    }
}
