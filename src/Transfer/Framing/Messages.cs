using System.Buffers;

namespace FastShare.Transfer.Framing;

/// <summary>The body of a control message.</summary>
internal interface IWireMessage
{
    void Write(IBufferWriter<byte> writer);
}

/// <summary>The sender's first message.</summary>
/// <param name="Key">Names the transfer together with the sender's peer id; 32 bytes.</param>
/// <param name="Instance">Random, chosen once per transfer object: tells a sender that reconnects from another run of the same
/// command.</param>
/// <param name="IsResume">Whether the sender was connected before and goes on; it then waits for <see cref="MessageType.Known"/>.</param>
/// <param name="ChunkBits">Binary logarithm of the largest chunk size.</param>
/// <param name="Lanes">Most data streams the sender will have at the same time.</param>
/// <param name="SenderName">What the sender calls itself.</param>
/// <param name="Compares">Whether files that are there already are compared by digest instead of size and time.</param>
internal sealed record Offer(
    ReadOnlyMemory<byte> Key, UInt128 Instance, bool IsResume, int ChunkBits, int Lanes, string SenderName, bool Compares = false)
    : IWireMessage
{
    private const byte ResumeFlag = 1, CompareFlag = 2;

    public void Write(IBufferWriter<byte> writer)
    {
        writer.WriteUInt16(TransferProtocol.Version);
        writer.Write(Key.Span);
        writer.WriteUInt128(Instance);
        writer.WriteByte((byte)((IsResume ? ResumeFlag : 0) | (Compares ? CompareFlag : 0)));
        writer.WriteByte((byte)ChunkBits);
        writer.WriteUInt16((ushort)Lanes);
        writer.WriteText(SenderName, TransferProtocol.MaxNameLength);
    }

    public static Offer Parse(in ReadOnlySequence<byte> body)
    {
        var reader = new WireReader(MessageType.Offer, body);
        ushort version = reader.ReadUInt16();
        if (version != TransferProtocol.Version)
        {
            throw new TransferException(
                TransferError.Refused, $"the sender speaks version {version} of the transfer protocol, not {TransferProtocol.Version}");
        }
        byte[] key = new byte[TransferId.KeyLength];
        reader.ReadBytes(key);
        UInt128 instance = reader.ReadUInt128();
        byte flags = reader.ReadByte();
        if ((flags & ~(ResumeFlag | CompareFlag)) != 0) throw reader.Malformed($"unknown flags {flags:x2}");
        int chunkBits = reader.ReadByte();
        if (chunkBits is < ChunkSize.MinBits or > ChunkSize.MaxBits)
            throw reader.Malformed($"a chunk size of 2^{chunkBits} bytes is not allowed");
        int lanes = reader.ReadUInt16();
        if (lanes is < 1 or > TransferProtocol.MaxLanes) throw reader.Malformed($"{lanes} data streams are not allowed");
        string name = reader.ReadText(TransferProtocol.MaxNameLength);
        reader.End();
        return new Offer(key, instance, (flags & ResumeFlag) != 0, chunkBits, lanes, name, (flags & CompareFlag) != 0);
    }
}

/// <summary>Totals of the manifest, after its last page.</summary>
internal readonly record struct ManifestEnd(uint Entries, long Files, long Bytes) : IWireMessage
{
    public void Write(IBufferWriter<byte> writer)
    {
        writer.WriteUInt32(Entries);
        writer.WriteInt63(Files);
        writer.WriteInt63(Bytes);
    }

    public static ManifestEnd Parse(in ReadOnlySequence<byte> body)
    {
        var reader = new WireReader(MessageType.ManifestEnd, body);
        var end = new ManifestEnd(reader.ReadUInt32(), reader.ReadInt63(), reader.ReadInt63());
        reader.End();
        return end;
    }
}

/// <summary>All chunks of a file were handed to the connection.</summary>
internal readonly record struct FileEnd(uint Id, long Chunks, UInt128 Root) : IWireMessage
{
    public void Write(IBufferWriter<byte> writer)
    {
        writer.WriteUInt32(Id);
        writer.WriteInt63(Chunks);
        writer.WriteUInt128(Root);
    }

    public static FileEnd Parse(in ReadOnlySequence<byte> body)
    {
        var reader = new WireReader(MessageType.FileEnd, body);
        var end = new FileEnd(reader.ReadUInt32(), reader.ReadInt63(), reader.ReadUInt128());
        reader.End();
        return end;
    }
}

/// <summary>What a file's content is, for a receiver that has a file of that name and size and wants to know whether it is the same.</summary>
internal readonly record struct FileDigest(uint Id, UInt128 Root) : IWireMessage
{
    public void Write(IBufferWriter<byte> writer)
    {
        writer.WriteUInt32(Id);
        writer.WriteUInt128(Root);
    }

    public static FileDigest Parse(in ReadOnlySequence<byte> body)
    {
        var reader = new WireReader(MessageType.FileDigest, body);
        var digest = new FileDigest(reader.ReadUInt32(), reader.ReadUInt128());
        reader.End();
        return digest;
    }
}

/// <summary>All chunks of a stream were handed to the connection: what it is like as a whole.</summary>
internal readonly record struct StreamEnd(uint Id, long Size, UInt128 Root) : IWireMessage
{
    public void Write(IBufferWriter<byte> writer)
    {
        writer.WriteUInt32(Id);
        writer.WriteInt63(Size);
        writer.WriteUInt128(Root);
    }

    public static StreamEnd Parse(in ReadOnlySequence<byte> body)
    {
        var reader = new WireReader(MessageType.StreamEnd, body);
        var end = new StreamEnd(reader.ReadUInt32(), reader.ReadInt63(), reader.ReadUInt128());
        reader.End();
        return end;
    }
}

/// <summary>The receiver has taken a stream's chunks from the first on, and does not need them again.</summary>
internal readonly record struct StreamTaken(uint Id, long Chunks) : IWireMessage
{
    public void Write(IBufferWriter<byte> writer)
    {
        writer.WriteUInt32(Id);
        writer.WriteInt63(Chunks);
    }

    public static StreamTaken Parse(in ReadOnlySequence<byte> body)
    {
        var reader = new WireReader(MessageType.StreamTaken, body);
        var taken = new StreamTaken(reader.ReadUInt32(), reader.ReadInt63());
        reader.End();
        return taken;
    }
}

/// <summary>
/// A file failed on one side: <see cref="MessageType.FileFailed"/> from the sender, <see cref="MessageType.FileRejected"/> from the
/// receiver.
/// </summary>
internal readonly record struct FileFailure(uint Id, WireCode Code, string Text) : IWireMessage
{
    public void Write(IBufferWriter<byte> writer)
    {
        writer.WriteUInt32(Id);
        writer.WriteUInt16((ushort)Code);
        writer.WriteText(Text, TransferProtocol.MaxTextLength);
    }

    public static FileFailure Parse(MessageType type, in ReadOnlySequence<byte> body)
    {
        var reader = new WireReader(type, body);
        var failure = new FileFailure(reader.ReadUInt32(), (WireCode)reader.ReadUInt16(), reader.ReadText(TransferProtocol.MaxTextLength));
        reader.End();
        return failure;
    }
}

/// <summary>The end of the whole: <see cref="MessageType.Refuse"/> or <see cref="MessageType.Cancel"/>.</summary>
internal readonly record struct Ending(WireCode Code, string Text) : IWireMessage
{
    public void Write(IBufferWriter<byte> writer)
    {
        writer.WriteUInt16((ushort)Code);
        writer.WriteText(Text, TransferProtocol.MaxTextLength);
    }

    public static Ending Parse(MessageType type, in ReadOnlySequence<byte> body)
    {
        var reader = new WireReader(type, body);
        var ending = new Ending((WireCode)reader.ReadUInt16(), reader.ReadText(TransferProtocol.MaxTextLength));
        reader.End();
        return ending;
    }
}

/// <summary>The receiver's yes. Data streams attach with the session id, which nobody else knows.</summary>
internal readonly record struct Accept(UInt128 Session) : IWireMessage
{
    public void Write(IBufferWriter<byte> writer) => writer.WriteUInt128(Session);

    public static Accept Parse(in ReadOnlySequence<byte> body)
    {
        var reader = new WireReader(MessageType.Accept, body);
        var accept = new Accept(reader.ReadUInt128());
        reader.End();
        return accept;
    }
}

/// <summary>A chunk was refused and not written; the sender sends it again, once.</summary>
internal readonly record struct ChunkRejected(uint Id, long Offset, WireCode Code) : IWireMessage
{
    public void Write(IBufferWriter<byte> writer)
    {
        writer.WriteUInt32(Id);
        writer.WriteInt63(Offset);
        writer.WriteUInt16((ushort)Code);
    }

    public static ChunkRejected Parse(in ReadOnlySequence<byte> body)
    {
        var reader = new WireReader(MessageType.ChunkRejected, body);
        var rejected = new ChunkRejected(reader.ReadUInt32(), reader.ReadInt63(), (WireCode)reader.ReadUInt16());
        reader.End();
        return rejected;
    }
}

/// <summary>Every file is settled and every folder finished at the receiver.</summary>
internal readonly record struct Complete(long Files, long Bytes) : IWireMessage
{
    public void Write(IBufferWriter<byte> writer)
    {
        writer.WriteInt63(Files);
        writer.WriteInt63(Bytes);
    }

    public static Complete Parse(in ReadOnlySequence<byte> body)
    {
        var reader = new WireReader(MessageType.Complete, body);
        var complete = new Complete(reader.ReadInt63(), reader.ReadInt63());
        reader.End();
        return complete;
    }
}

/// <summary>
/// One number: <see cref="MessageType.Known"/> (entries the receiver has already), <see cref="MessageType.FileDone"/> or
/// <see cref="MessageType.FileWanted"/> (an id).
/// </summary>
internal readonly record struct Number(uint Value) : IWireMessage
{
    public void Write(IBufferWriter<byte> writer) => writer.WriteUInt32(Value);

    public static Number Parse(MessageType type, in ReadOnlySequence<byte> body)
    {
        var reader = new WireReader(type, body);
        var number = new Number(reader.ReadUInt32());
        reader.End();
        return number;
    }
}

/// <summary>A page of the manifest.</summary>
internal readonly record struct Page(ReadOnlyMemory<byte> Bytes) : IWireMessage
{
    public void Write(IBufferWriter<byte> writer) => writer.Write(Bytes.Span);
}

/// <summary>A data stream was lost: the sender sends nothing more on it and wants to know how much of it arrived.</summary>
internal readonly record struct LaneNumber(ushort Lane) : IWireMessage
{
    public void Write(IBufferWriter<byte> writer) => writer.WriteUInt16(Lane);

    public static LaneNumber Parse(in ReadOnlySequence<byte> body)
    {
        var reader = new WireReader(MessageType.LaneLost, body);
        var number = new LaneNumber(reader.ReadUInt16());
        reader.End();
        return number;
    }
}

/// <summary>How many chunks of a data stream the receiver has taken, from its first on.</summary>
internal readonly record struct LaneCount(ushort Lane, long Chunks) : IWireMessage
{
    public void Write(IBufferWriter<byte> writer)
    {
        writer.WriteUInt16(Lane);
        writer.WriteInt63(Chunks);
    }

    public static LaneCount Parse(MessageType type, in ReadOnlySequence<byte> body)
    {
        var reader = new WireReader(type, body);
        var count = new LaneCount(reader.ReadUInt16(), reader.ReadInt63());
        reader.End();
        return count;
    }
}
