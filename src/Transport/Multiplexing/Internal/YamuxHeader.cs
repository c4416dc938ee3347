using System.Buffers.Binary;

namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>Frame types of yamux.</summary>
internal enum FrameType : byte
{
    /// <summary>The length counts payload bytes that follow.</summary>
    Data = 0,

    /// <summary>The length is credit added for the sender of data; nothing follows.</summary>
    WindowUpdate = 1,

    /// <summary>The length is an opaque value to be echoed.</summary>
    Ping = 2,

    /// <summary>The length is a <see cref="GoAwayCode"/>.</summary>
    GoAway = 3,
}

/// <summary>Flags of a frame; on streams they ride on data and window updates alike.</summary>
[Flags]
internal enum FrameFlags : ushort
{
    None = 0,
    Syn = 1,
    Ack = 2,
    Fin = 4,
    Rst = 8,
}

/// <summary>Why a side leaves. Other values occur (go uses 0x1000 and up) and count as errors.</summary>
internal enum GoAwayCode : uint
{
    Normal = 0,
    ProtocolError = 1,
    InternalError = 2,
}

/// <summary>The 12 bytes before every frame: version, type, flags, stream id, length, big-endian (yamux spec, "Framing").</summary>
internal readonly record struct YamuxHeader(FrameType Type, FrameFlags Flags, uint StreamId, uint Length)
{
    /// <summary>Encoded size, in bytes.</summary>
    public const int Size = 12;

    private const FrameFlags KnownFlags = FrameFlags.Syn | FrameFlags.Ack | FrameFlags.Fin | FrameFlags.Rst;

    public bool Has(FrameFlags flag) => (Flags & flag) != 0;

    /// <summary>Encodes into the first <see cref="Size"/> bytes.</summary>
    public void Write(Span<byte> destination)
    {
        destination[0] = 0;
        destination[1] = (byte)Type;
        BinaryPrimitives.WriteUInt16BigEndian(destination[2..], (ushort)Flags);
        BinaryPrimitives.WriteUInt32BigEndian(destination[4..], StreamId);
        BinaryPrimitives.WriteUInt32BigEndian(destination[8..], Length);
    }

    /// <summary>
    /// Decodes and checks what can be checked without any state: version, type, flags, and whether the id fits the type.
    /// </summary>
    /// <returns>Null, or what is wrong with the header.</returns>
    public static string? Read(ReadOnlySpan<byte> source, out YamuxHeader header)
    {
        header = new YamuxHeader(
            (FrameType)source[1],
            (FrameFlags)BinaryPrimitives.ReadUInt16BigEndian(source[2..]),
            BinaryPrimitives.ReadUInt32BigEndian(source[4..]),
            BinaryPrimitives.ReadUInt32BigEndian(source[8..]));
        if (source[0] != 0) return $"unknown version {source[0]}";
        if (header.Type > FrameType.GoAway) return $"unknown frame type {source[1]}";
        if ((header.Flags & ~KnownFlags) != 0) return $"unknown flags 0x{(ushort)header.Flags:x4}";
        bool ofSession = header.Type >= FrameType.Ping;
        if (ofSession != (header.StreamId == 0)) return $"{header.Type} frame on stream {header.StreamId}";
        // js-libp2p rejects any other combination as well.
        if (header.Type == FrameType.Ping && header.Flags is not (FrameFlags.Syn or FrameFlags.Ack))
            return $"ping with flags 0x{(ushort)header.Flags:x4}";
        return null;
    }
}
