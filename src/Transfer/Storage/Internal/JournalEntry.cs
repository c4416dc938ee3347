using System.Buffers;
using System.Buffers.Binary;

namespace FastShare.Transfer.Storage.Internal;

/// <summary>What one entry of the journal says.</summary>
internal enum JournalEntryKind : byte
{
    /// <summary>A data file: serial (4) ‖ key (16) ‖ entry id (4) ‖ size (8) ‖ chunk size (4).</summary>
    File = 1,

    /// <summary>Chunks that are durable: serial (4) ‖ first (8) ‖ count (4) ‖ digest (16) of each.</summary>
    Chunks = 2,

    /// <summary>A chunk that was there and is not: serial (4) ‖ chunk (8).</summary>
    Lost = 3,

    /// <summary>A data file that is published or thrown away: serial (4).</summary>
    Gone = 4,
}

/// <summary>Writes the entries of a <see cref="ResumeJournal"/>: a kind (1) and what it says of a file, big-endian.</summary>
internal static class JournalEntry
{
    public const int FileLength = 37, ChunksLength = 17, LostLength = 13, GoneLength = 5;

    /// <summary>Bytes for a file with that many chunks, at most: each of them by itself.</summary>
    public static long LengthOf(long chunks) => FileLength + chunks * (ChunksLength + 16);

    public static void WriteFile(IBufferWriter<byte> destination, StagedFile file)
    {
        Span<byte> span = Begin(destination, JournalEntryKind.File, file.Serial, FileLength);
        BinaryPrimitives.WriteUInt128BigEndian(span, file.Key);
        BinaryPrimitives.WriteUInt32BigEndian(span[16..], file.EntryId);
        BinaryPrimitives.WriteInt64BigEndian(span[20..], file.Map.Size);
        BinaryPrimitives.WriteUInt32BigEndian(span[28..], file.Map.ChunkSize);
    }

    /// <summary>The digests are to follow.</summary>
    public static void WriteChunks(IBufferWriter<byte> destination, uint serial, long first, int count)
    {
        Span<byte> span = Begin(destination, JournalEntryKind.Chunks, serial, ChunksLength);
        BinaryPrimitives.WriteInt64BigEndian(span, first);
        BinaryPrimitives.WriteInt32BigEndian(span[8..], count);
    }

    public static void WriteLost(IBufferWriter<byte> destination, uint serial, long chunk) =>
        BinaryPrimitives.WriteInt64BigEndian(Begin(destination, JournalEntryKind.Lost, serial, LostLength), chunk);

    public static void WriteGone(IBufferWriter<byte> destination, uint serial) =>
        Begin(destination, JournalEntryKind.Gone, serial, GoneLength);

    private static Span<byte> Begin(IBufferWriter<byte> destination, JournalEntryKind kind, uint serial, int length)
    {
        Span<byte> span = destination.GetSpan(length)[..length];
        span[0] = (byte)kind;
        BinaryPrimitives.WriteUInt32BigEndian(span[1..], serial);
        destination.Advance(length);
        return span[5..];
    }
}
