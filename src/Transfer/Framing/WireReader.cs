using System.Buffers;
using System.Text;

namespace FastShare.Transfer.Framing;

/// <summary>
/// Reads the fields of one message, big-endian, never past its end. Every fault is a <see cref="TransferException"/> with
/// <see cref="TransferError.ProtocolViolation"/>.
/// </summary>
internal ref struct WireReader
{
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly MessageType _type;
    private SequenceReader<byte> _reader;

    public WireReader(MessageType type, in ReadOnlySequence<byte> body)
    {
        _type = type;
        _reader = new SequenceReader<byte>(body);
    }

    /// <summary>Bytes not read yet.</summary>
    public readonly long Remaining => _reader.Remaining;

    public byte ReadByte() => _reader.TryRead(out byte value) ? value : throw Malformed("it is truncated");

    public ushort ReadUInt16() => _reader.TryReadBigEndian(out short value) ? (ushort)value : throw Malformed("it is truncated");

    public uint ReadUInt32() => _reader.TryReadBigEndian(out int value) ? (uint)value : throw Malformed("it is truncated");

    /// <summary>An unsigned 64-bit field that must fit in a <see cref="long"/>, as sizes, counts and offsets must.</summary>
    public long ReadInt63()
    {
        if (!_reader.TryReadBigEndian(out long value)) throw Malformed("it is truncated");
        return value >= 0 ? value : throw Malformed("a number is larger than 2^63");
    }

    public UInt128 ReadUInt128()
    {
        if (!_reader.TryReadBigEndian(out long upper) || !_reader.TryReadBigEndian(out long lower)) throw Malformed("it is truncated");
        return new UInt128((ulong)upper, (ulong)lower);
    }

    public void ReadBytes(Span<byte> destination)
    {
        if (!_reader.TryCopyTo(destination)) throw Malformed("it is truncated");
        _reader.Advance(destination.Length);
    }

    /// <summary>Text behind its length in bytes (u16), valid UTF-8, at most <paramref name="maxLength"/> bytes.</summary>
    public string ReadText(int maxLength)
    {
        int length = ReadUInt16();
        if (length > maxLength) throw Malformed($"a text of {length} bytes is longer than {maxLength}");
        if (!_reader.TryReadExact(length, out ReadOnlySequence<byte> bytes)) throw Malformed("it is truncated");
        try
        {
            return StrictUtf8.GetString(bytes);
        }
        catch (DecoderFallbackException e)
        {
            throw new TransferException(TransferError.ProtocolViolation, $"malformed {_type} message: a text is not UTF-8", e);
        }
    }

    /// <summary>Checks that nothing follows the last field.</summary>
    public readonly void End()
    {
        if (_reader.Remaining != 0) throw Malformed($"{_reader.Remaining} bytes follow its last field");
    }

    public readonly TransferException Malformed(string why) => new(TransferError.ProtocolViolation, $"malformed {_type} message: {why}");
}
