using System.Buffers;

namespace FastShare.Transfer.Framing;

/// <summary>A run of chunks of one file.</summary>
internal readonly record struct ChunkRange(long First, long Count);

/// <summary>
/// A file of a plan of which not everything is wanted. No ranges: nothing, the receiver has it under its final name, or
/// (<paramref name="IsPending"/>) has all its chunks and will tell how it ended, or (<paramref name="IsCompared"/>) has a file of that
/// name and size and wants the sender's digest first. With <paramref name="StreamFrom"/> it is wanted as a stream, from that chunk on.
/// <paramref name="Count"/>: it stands for so many entries that follow one another, of which nothing is wanted.
/// </summary>
internal sealed record PlannedFile(
    uint Id, IReadOnlyList<ChunkRange> Ranges, bool IsPending = false, bool IsCompared = false, long? StreamFrom = null, uint Count = 1)
{
    /// <summary>Whether nothing of it is wanted, now or later.</summary>
    public bool IsLeftOut => Ranges.Count == 0 && !IsPending && !IsCompared && StreamFrom is null;
}

/// <summary>
/// What the receiver wants of the entries <see cref="First"/> to <see cref="First"/> + <see cref="Count"/> − 1: of each file
/// everything, but for the files listed as exceptions, in order of their ids. Plans follow one another without gaps.
/// </summary>
internal sealed record PlanMessage(uint First, uint Count, IReadOnlyList<PlannedFile> Exceptions) : IWireMessage
{
    private const int FixedLength = 12;
    private const int ExceptionLength = 6;
    private const int RangeLength = 16;

    /// <summary>Stand in place of a count of ranges.</summary>
    private const ushort PendingMark = 0xffff, ComparedMark = 0xfffe, StreamMark = 0xfffd, RunMark = 0xfffc;

    /// <summary>Bytes an exception takes at most, by which a writer keeps a message below its limit.</summary>
    public static int LengthOf(PlannedFile exception) => ExceptionLength + Math.Max(1, exception.Ranges.Count) * RangeLength;

    public void Write(IBufferWriter<byte> writer)
    {
        writer.WriteUInt32(First);
        writer.WriteUInt32(Count);
        writer.WriteUInt32((uint)Exceptions.Count);
        foreach (PlannedFile file in Exceptions)
        {
            writer.WriteUInt32(file.Id);
            if (file.StreamFrom is { } chunk)
            {
                writer.WriteUInt16(StreamMark);
                writer.WriteInt63(chunk);
                continue;
            }

            if (file.Count > 1)
            {
                writer.WriteUInt16(RunMark);
                writer.WriteUInt32(file.Count);
                continue;
            }

            writer.WriteUInt16(file.IsPending ? PendingMark : file.IsCompared ? ComparedMark : (ushort)file.Ranges.Count);
            foreach (ChunkRange range in file.Ranges)
            {
                writer.WriteInt63(range.First);
                writer.WriteInt63(range.Count);
            }
        }
    }

    public static PlanMessage Parse(in ReadOnlySequence<byte> body)
    {
        var reader = new WireReader(MessageType.Plan, body);
        uint first = reader.ReadUInt32(), count = reader.ReadUInt32(), exceptions = reader.ReadUInt32();
        if (count == 0 || (ulong)first + count > TransferProtocol.MaxEntries)
            throw reader.Malformed("it covers no entries, or more than there can be");
        // The list grows with what is really there: an announced count takes no memory.
        if ((ulong)exceptions * ExceptionLength > (ulong)reader.Remaining) throw reader.Malformed("it is truncated");
        var files = new List<PlannedFile>((int)exceptions);
        long next = first;
        for (uint i = 0; i < exceptions; i++)
        {
            uint id = reader.ReadUInt32();
            if (id < next || id >= first + count) throw reader.Malformed("its files are out of order or out of range");
            int ranges = reader.ReadUInt16();
            files.Add(ranges switch
            {
                RunMark => new PlannedFile(id, [], Count: reader.ReadUInt32()),
                PendingMark => new PlannedFile(id, [], IsPending: true),
                ComparedMark => new PlannedFile(id, [], IsCompared: true),
                StreamMark => new PlannedFile(id, [], StreamFrom: reader.ReadInt63()),
                _ => new PlannedFile(id, ReadRanges(ref reader, ranges)),
            });
            uint run = files[^1].Count;
            if (ranges == RunMark && (run < 2 || id + (long)run > first + (long)count)) throw reader.Malformed("a run is too short or too long");
            next = id + (long)run;
        }

        reader.End();
        return new PlanMessage(first, count, files);
    }

    private static ChunkRange[] ReadRanges(ref WireReader reader, int count)
    {
        if (count > TransferProtocol.MaxRangesPerFile)
            throw reader.Malformed($"{count} ranges of one file are more than {TransferProtocol.MaxRangesPerFile}");
        if ((long)count * RangeLength > reader.Remaining) throw reader.Malformed("it is truncated");
        if (count == 0) return [];
        var ranges = new ChunkRange[count];
        long next = 0;
        for (int i = 0; i < count; i++)
        {
            var range = new ChunkRange(reader.ReadInt63(), reader.ReadInt63());
            if (range.First < next || range.Count == 0 || range.Count > long.MaxValue - range.First)
                throw reader.Malformed("a range is empty, overlaps another or is out of order");
            next = range.First + range.Count;
            ranges[i] = range;
        }

        return ranges;
    }
}
