using System.Text;

namespace FastShare.Transport.Buffers;

/// <summary>Reads the fields of one protobuf message in place; unknown fields are for the caller to skip.</summary>
/// <remarks>Only what libp2p's messages need: varint and length-delimited fields; fixed-size fields can be skipped.</remarks>
internal ref struct ProtobufReader(ReadOnlySpan<byte> message)
{
    private ReadOnlySpan<byte> _rest = message;

    /// <summary>Number of the current field.</summary>
    public int Field { get; private set; }

    /// <summary>Value of the current field if it is a varint.</summary>
    public ulong Varint { get; private set; }

    /// <summary>Content of the current field if it is length-delimited; a slice of the message.</summary>
    public ReadOnlySpan<byte> Bytes { get; private set; }

    /// <summary>Wire type of the current field: 0 varint, 1 fixed 64, 2 length-delimited, 5 fixed 32.</summary>
    public int WireType { get; private set; }

    /// <summary>Advances to the next field; false at the end of the message.</summary>
    /// <exception cref="FormatException">The message is malformed.</exception>
    public bool Read()
    {
        if (_rest.IsEmpty) return false;
        ulong tag = ReadVarint();
        if (tag >> 3 is 0 or > 536_870_911) throw new FormatException("protobuf field number out of range");
        Field = (int)(tag >> 3);
        WireType = (int)(tag & 7);
        Bytes = default;
        Varint = 0;
        switch (WireType)
        {
            case 0: Varint = ReadVarint(); break;
            case 1: Bytes = Take(8); break;
            case 2:
                ulong length = ReadVarint();
                if (length > (ulong)_rest.Length) throw new FormatException("protobuf field longer than its message");
                Bytes = Take((int)length);
                break;
            case 5: Bytes = Take(4); break;
            default: throw new FormatException($"protobuf wire type {WireType} is not supported");
        }

        return true;
    }

    /// <summary>The current length-delimited field as strict UTF-8 text.</summary>
    /// <exception cref="FormatException">It is not UTF-8.</exception>
    public readonly string ReadString()
    {
        try
        {
            return StrictUtf8.GetString(Bytes);
        }
        catch (DecoderFallbackException e)
        {
            throw new FormatException("protobuf text is not UTF-8", e);
        }
    }

    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count > _rest.Length) throw new FormatException("protobuf message is truncated");
        ReadOnlySpan<byte> taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }

    // Protobuf varints may be padded and take ten bytes, unlike multiformats varints.
    private ulong ReadVarint()
    {
        ulong value = 0;
        for (int i = 0; i < 10; i++)
        {
            if (i >= _rest.Length) throw new FormatException("protobuf message is truncated");
            byte b = _rest[i];
            if (i == 9 && b > 1) throw new FormatException("protobuf varint is too long");
            value |= (ulong)(b & 0x7f) << (7 * i);
            if ((b & 0x80) == 0)
            {
                _rest = _rest[(i + 1)..];
                return value;
            }
        }

        throw new FormatException("protobuf varint is too long");
    }
}

/// <summary>Builds one protobuf message. Fields are written in the order of the calls, defaults included.</summary>
internal sealed class ProtobufWriter
{
    private readonly MemoryStream _stream = new();

    public ProtobufWriter WriteVarint(int field, ulong value)
    {
        Raw((ulong)(field << 3));
        Raw(value);
        return this;
    }

    public ProtobufWriter WriteBytes(int field, ReadOnlySpan<byte> value)
    {
        Raw((ulong)((field << 3) | 2));
        Raw((ulong)value.Length);
        _stream.Write(value);
        return this;
    }

    public ProtobufWriter WriteString(int field, string value) => WriteBytes(field, Encoding.UTF8.GetBytes(value));

    public byte[] ToArray() => _stream.ToArray();

    private void Raw(ulong value)
    {
        while (value >= 0x80)
        {
            _stream.WriteByte((byte)(value | 0x80));
            value >>= 7;
        }

        _stream.WriteByte((byte)value);
    }
}
