using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;

namespace FastShare.Transport.Discovery.Internal;

/// <summary>
/// Reads DNS messages from anyone on the network: pure, bounded in work and memory, and never throwing. Work is linear in the datagram
/// (each name costs at most <see cref="DnsName.MaxLength"/> bytes and <see cref="MaxJumps"/> jumps); memory is capped by
/// <see cref="MaxRecords"/> and <see cref="MaxNameBytes"/>, not by what the counts in the header claim.
/// </summary>
internal ref struct DnsMessageReader
{
    /// <summary>Largest mDNS message in bytes (RFC 6762, 17).</summary>
    public const int MaxMessageLength = 9000;

    /// <summary>Compression pointers in one name: a real one needs one per label at most, and names here have about five.</summary>
    public const int MaxJumps = 16;

    /// <summary>Questions and records kept of one message: one MTU holds about 120 of the smallest.</summary>
    public const int MaxRecords = 256;

    /// <summary>Bytes of names kept of one message, after decompression.</summary>
    public const int MaxNameBytes = 32 * 1024;

    private const ushort ResponseBit = 0x8000, OpcodeMask = 0x7800, TruncatedBit = 0x0200, RcodeMask = 0x000f;
    private const ushort ClassIn = 1, ClassAny = 255, ClassMask = 0x7fff, TopBit = 0x8000;
    private const int HeaderLength = 12;

    private readonly ReadOnlyMemory<byte> _datagram;
    private readonly ReadOnlySpan<byte> _bytes;
    private readonly Span<byte> _name;
    private int _at;
    private int _nameLength;
    private int _nameStart; // where the name in _name stands, or stands that it only points to
    private DnsName? _first; // the name at the very start, which most later ones only point to
    private int _kept;
    private int _nameBytes;

    private DnsMessageReader(ReadOnlyMemory<byte> datagram, Span<byte> name)
    {
        _datagram = datagram;
        _bytes = datagram.Span;
        _name = name;
        _at = HeaderLength;
    }

    /// <summary>
    /// Reads a message; false if any of it is malformed, or opcode or response code is not 0 (RFC 6762, 18.3 and 18.11). Records of
    /// other types and classes are skipped. The message refers to the memory of <paramref name="datagram"/>.
    /// </summary>
    public static bool TryRead(ReadOnlyMemory<byte> datagram, [NotNullWhen(true)] out DnsMessage? message)
    {
        message = null;
        ReadOnlySpan<byte> bytes = datagram.Span;
        if (bytes.Length is < HeaderLength or > MaxMessageLength) return false;
        ushort flags = BinaryPrimitives.ReadUInt16BigEndian(bytes[2..]);
        if ((flags & (OpcodeMask | RcodeMask)) != 0) return false;

        var read = new DnsMessage { IsResponse = (flags & ResponseBit) != 0, IsTruncated = (flags & TruncatedBit) != 0 };
        var reader = new DnsMessageReader(datagram, stackalloc byte[DnsName.MaxLength]);
        if (!reader.TryReadQuestions(BinaryPrimitives.ReadUInt16BigEndian(bytes[4..]), read.Questions)
            || !reader.TryReadRecords(BinaryPrimitives.ReadUInt16BigEndian(bytes[6..]), read.Answers)
            || !reader.TryReadRecords(BinaryPrimitives.ReadUInt16BigEndian(bytes[8..]), null)
            || !reader.TryReadRecords(BinaryPrimitives.ReadUInt16BigEndian(bytes[10..]), read.Additionals)) return false;
        message = read;
        return true;
    }

    private bool TryReadQuestions(int count, List<DnsQuestion> questions)
    {
        for (int i = 0; i < count; i++)
        {
            if (!TryReadName(_bytes.Length) || _bytes.Length - _at < 4) return false;
            var type = (DnsType)BinaryPrimitives.ReadUInt16BigEndian(_bytes[_at..]);
            ushort @class = BinaryPrimitives.ReadUInt16BigEndian(_bytes[(_at + 2)..]);
            _at += 4;
            if ((@class & ClassMask) is not (ClassIn or ClassAny)) continue;
            if (!TryKeep() || !TryKeepName(out DnsName? name)) return false;
            questions.Add(new DnsQuestion(name, type, (@class & TopBit) != 0));
        }

        return true;
    }

    private bool TryReadRecords(int count, List<DnsRecord>? records)
    {
        for (int i = 0; i < count; i++)
        {
            if (!TryReadName(_bytes.Length) || _bytes.Length - _at < 10) return false;
            var type = (DnsType)BinaryPrimitives.ReadUInt16BigEndian(_bytes[_at..]);
            ushort @class = BinaryPrimitives.ReadUInt16BigEndian(_bytes[(_at + 2)..]);
            uint ttl = BinaryPrimitives.ReadUInt32BigEndian(_bytes[(_at + 4)..]);
            int length = BinaryPrimitives.ReadUInt16BigEndian(_bytes[(_at + 8)..]);
            _at += 10;
            if (_bytes.Length - _at < length) return false;
            int end = _at + length;
            bool wanted = records is not null && (@class & ClassMask) == ClassIn
                && type is DnsType.A or DnsType.Ptr or DnsType.Txt or DnsType.Aaaa or DnsType.Srv;
            if (wanted)
            {
                // RFC 2181, 8: a time to live with the top bit set counts as 0.
                if (ttl > int.MaxValue) ttl = 0;
                if (!TryKeep() || !TryKeepName(out DnsName? name)
                    || !TryReadData(name, type, ttl, (@class & TopBit) != 0, end, out DnsRecord? record)) return false;
                records!.Add(record);
            }

            _at = end;
        }

        return true;
    }

    private bool TryReadData(DnsName name, DnsType type, uint ttl, bool flush, int end, [NotNullWhen(true)] out DnsRecord? record)
    {
        record = null;
        int length = end - _at;
        switch (type)
        {
            case DnsType.A when length == 4:
            case DnsType.Aaaa when length == 16:
                record = DnsRecord.Address(name, _datagram.Slice(_at, length), ttl, flush);
                return true;
            case DnsType.Ptr:
                if (!TryReadName(end) || _at != end || !TryKeepName(out DnsName? target)) return false;
                record = DnsRecord.Ptr(name, target, ttl, flush);
                return true;
            case DnsType.Srv when length > 6:
                ushort port = BinaryPrimitives.ReadUInt16BigEndian(_bytes[(_at + 4)..]);
                _at += 6;
                if (!TryReadName(end) || _at != end || !TryKeepName(out target)) return false;
                record = DnsRecord.Srv(name, target, port, ttl, flush);
                return true;
            case DnsType.Txt:
                for (int at = _at; at < end; at += _bytes[at] + 1)
                {
                    if (at + _bytes[at] + 1 > end) return false;
                }

                record = DnsRecord.Txt(name, _datagram.Slice(_at, length), ttl, flush);
                return true;
            default:
                return false;
        }
    }

    // Expands the name at _at into _name and moves _at behind it; its first stretch ends at `end`. Each pointer must lead before the
    // stretch it stands in, so no name can loop or point forward.
    private bool TryReadName(int end)
    {
        int at = _at, limit = end, stretch = _at, jumps = 0;
        bool jumped = false;
        _nameLength = 0;
        _nameStart = at;
        while (true)
        {
            if (at >= limit) return false;
            byte length = _bytes[at];
            switch (length & 0xc0)
            {
                case 0x00:
                    // room for this label and, unless it is the last, the final zero
                    if (limit - at < length + 1 || _nameLength + length + 1 + (length == 0 ? 0 : 1) > DnsName.MaxLength) return false;
                    _bytes.Slice(at, length + 1).CopyTo(_name[_nameLength..]);
                    _nameLength += length + 1;
                    at += length + 1;
                    if (length != 0) continue;
                    if (!jumped) _at = at;
                    return true;
                case 0xc0:
                    if (limit - at < 2) return false;
                    int target = BinaryPrimitives.ReadUInt16BigEndian(_bytes[at..]) & 0x3fff;
                    if (target >= stretch || target < HeaderLength || ++jumps > MaxJumps) return false;
                    if (!jumped) _at = at + 2;
                    if (_nameLength == 0) _nameStart = target;
                    jumped = true;
                    limit = stretch;
                    at = stretch = target;
                    continue;
                default:
                    return false; // label types that never came into use (RFC 6891, 5)
            }
        }
    }

    private bool TryKeep() => ++_kept <= MaxRecords;

    private bool TryKeepName([NotNullWhen(true)] out DnsName? name)
    {
        name = _nameStart == HeaderLength ? _first : null;
        if (name is not null) return true;
        _nameBytes += _nameLength;
        name = _nameBytes <= MaxNameBytes ? DnsName.FromCheckedWire(_name[.._nameLength]) : null;
        if (_nameStart == HeaderLength) _first = name;
        return name is not null;
    }
}
