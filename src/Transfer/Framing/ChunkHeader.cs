using System.Buffers.Binary;

namespace FastShare.Transfer.Framing;

/// <summary>What a chunk frame says of itself.</summary>
[Flags]
internal enum ChunkFlags : ushort
{
    None = 0,

    /// <summary>
    /// The chunk is the whole file: no <see cref="MessageType.FileEnd"/> follows, the file's root digest follows from the chunk's.
    /// </summary>
    WholeFile = 1,

    /// <summary>The chunk is a hole of a sparse file: no payload follows, the digest is that of as many zeros.</summary>
    Hole = 2,
}

/// <summary>The fixed header in front of a chunk's payload (docs/wire-format.md, "Chunk frames").</summary>
internal readonly record struct ChunkHeader(uint FileId, ChunkFlags Flags, long Offset, int Length, UInt128 Digest)
{
    /// <summary>Its size: file u32, flags u16, reserved u16, offset u64, length u32, digest 16 bytes, check u64.</summary>
    public const int Size = 36 + WireCheck.Size;

    /// <summary>Whether the chunk is zeros that are not sent.</summary>
    public bool IsHole => (Flags & ChunkFlags.Hole) != 0;

    /// <summary>Bytes that follow the header.</summary>
    public int PayloadLength => IsHole ? 0 : Length;

    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt32BigEndian(destination, FileId);
        BinaryPrimitives.WriteUInt16BigEndian(destination[4..], (ushort)Flags);
        BinaryPrimitives.WriteUInt16BigEndian(destination[6..], 0);
        BinaryPrimitives.WriteInt64BigEndian(destination[8..], Offset);
        BinaryPrimitives.WriteInt32BigEndian(destination[16..], Length);
        BinaryPrimitives.WriteUInt128BigEndian(destination[20..], Digest);
        WireCheck.Write(destination[..Size]);
    }

    /// <exception cref="TransferException"><see cref="TransferError.ConnectionLost"/>: it was damaged on the way;
    /// <see cref="TransferError.ProtocolViolation"/>: no header of this version can look like this.</exception>
    public static ChunkHeader Parse(ReadOnlySpan<byte> source)
    {
        WireCheck.Verify(source[..Size], "a chunk's header");
        ushort flags = BinaryPrimitives.ReadUInt16BigEndian(source[4..]);
        if ((flags & ~(ushort)(ChunkFlags.WholeFile | ChunkFlags.Hole)) != 0) throw Malformed($"unknown flags {flags:x4}");
        if (BinaryPrimitives.ReadUInt16BigEndian(source[6..]) != 0) throw Malformed("a reserved field is not zero");
        ulong offset = BinaryPrimitives.ReadUInt64BigEndian(source[8..]);
        if (offset > long.MaxValue - TransferProtocol.MaxChunkLength) throw Malformed("the offset is out of range");
        uint length = BinaryPrimitives.ReadUInt32BigEndian(source[16..]);
        if (length is 0 or > TransferProtocol.MaxChunkLength) throw Malformed($"a payload of {length} bytes is not allowed");
        return new ChunkHeader(
            BinaryPrimitives.ReadUInt32BigEndian(source),
            (ChunkFlags)flags,
            (long)offset,
            (int)length,
            BinaryPrimitives.ReadUInt128BigEndian(source[20..]));
    }

    private static TransferException Malformed(string why) => new(TransferError.ProtocolViolation, $"malformed chunk header: {why}");
}

/// <summary>The first bytes of a data stream: which session it belongs to.</summary>
internal readonly record struct Attach(UInt128 Session, ushort Lane)
{
    /// <summary>Its size: version u16, lane u16, session 16 bytes, check u64.</summary>
    public const int Size = 20 + WireCheck.Size;

    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt16BigEndian(destination, TransferProtocol.Version);
        BinaryPrimitives.WriteUInt16BigEndian(destination[2..], Lane);
        BinaryPrimitives.WriteUInt128BigEndian(destination[4..], Session);
        WireCheck.Write(destination[..Size]);
    }

    /// <exception cref="TransferException"><see cref="TransferError.ConnectionLost"/>: it was damaged on the way;
    /// <see cref="TransferError.ProtocolViolation"/>: another version.</exception>
    public static Attach Parse(ReadOnlySpan<byte> source)
    {
        WireCheck.Verify(source[..Size], "the first message of a data stream");
        ushort version = BinaryPrimitives.ReadUInt16BigEndian(source), lane = BinaryPrimitives.ReadUInt16BigEndian(source[2..]);
        if (version != TransferProtocol.Version) throw TransferProtocol.Violation($"malformed attach message: version {version}");
        return new Attach(BinaryPrimitives.ReadUInt128BigEndian(source[4..]), lane);
    }
}
