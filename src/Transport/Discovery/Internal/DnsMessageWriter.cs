using System.Buffers.Binary;
using System.Diagnostics;

namespace FastShare.Transport.Discovery.Internal;

/// <summary>
/// Writes one DNS message of bounded size, names compressed except SRV targets (some readers hold to RFC 2782, which forbids it).
/// Questions first, then answers, then additionals. Not thread-safe.
/// </summary>
internal sealed class DnsMessageWriter
{
    private const int HeaderLength = 12;
    private const int MaxPointer = 0x3fff;
    private const ushort AuthoritativeResponse = 0x8400, Truncated = 0x0200;

    private readonly byte[] _buffer;
    private readonly List<int> _suffixes = []; // where names, and the rests of names, were written: targets for pointers
    private int _length = HeaderLength;

    /// <summary>Starts a message. The id is 0, as RFC 6762, 18.1 wants it.</summary>
    /// <param name="isResponse">A response (with the AA bit) or a query.</param>
    /// <param name="maxLength">Largest message in bytes.</param>
    public DnsMessageWriter(bool isResponse, int maxLength)
    {
        _buffer = new byte[maxLength];
        if (isResponse) BinaryPrimitives.WriteUInt16BigEndian(_buffer.AsSpan(2), AuthoritativeResponse);
    }

    /// <summary>Sets the TC bit: more known answers follow.</summary>
    public void MarkTruncated() => _buffer[2] |= Truncated >> 8;

    /// <summary>Adds a question; false, with nothing written, if it does not fit.</summary>
    public bool TryAddQuestion(DnsName name, DnsType type)
    {
        Debug.Assert(Count(6) + Count(10) == 0, "questions come first");
        int start = Mark(out int suffixes);
        if (TryWriteName(name, compress: true) && TryWriteUInt16((ushort)type) && TryWriteUInt16(1)) return Counted(4);
        return Rollback(start, suffixes);
    }

    /// <summary>Adds a record to the answer section; false, with nothing written, if it does not fit.</summary>
    public bool TryAddAnswer(DnsRecord record, uint? ttl = null)
    {
        Debug.Assert(Count(10) == 0, "answers come before additionals");
        return TryAddRecord(record, ttl ?? record.Ttl, 6);
    }

    /// <summary>Adds a record to the additional section; false, with nothing written, if it does not fit.</summary>
    public bool TryAddAdditional(DnsRecord record) => TryAddRecord(record, record.Ttl, 10);

    /// <summary>The message written so far.</summary>
    public byte[] ToArray() => _buffer.AsSpan(0, _length).ToArray();

    private bool TryAddRecord(DnsRecord record, uint ttl, int count)
    {
        int start = Mark(out int suffixes);
        if (!TryWriteName(record.Name, compress: true)
            || !TryWriteUInt16((ushort)record.Type)
            || !TryWriteUInt16((ushort)(record.CacheFlush ? 0x8001 : 1))
            || !TryWriteUInt16((ushort)(ttl >> 16))
            || !TryWriteUInt16((ushort)ttl)
            || !TryWriteUInt16(0)) return Rollback(start, suffixes);
        int data = _length;
        bool written = record.Type switch
        {
            DnsType.Ptr => TryWriteName(record.Target!, compress: true),
            DnsType.Srv => TryWriteUInt16(0) && TryWriteUInt16(0) && TryWriteUInt16(record.Port)
                && TryWriteName(record.Target!, compress: false),
            _ => TryWrite(record.Data.Span),
        };
        if (!written) return Rollback(start, suffixes);
        BinaryPrimitives.WriteUInt16BigEndian(_buffer.AsSpan(data - 2), (ushort)(_length - data));
        return Counted(count);
    }

    private bool TryWriteName(DnsName name, bool compress)
    {
        ReadOnlySpan<byte> rest = name.Wire;
        while (rest[0] != 0)
        {
            int known = compress ? FindSuffix(rest) : -1;
            if (known >= 0) return TryWriteUInt16((ushort)(0xc000 | known));
            if (_length <= MaxPointer) _suffixes.Add(_length);
            int label = rest[0] + 1;
            if (!TryWrite(rest[..label])) return false;
            rest = rest[label..];
        }

        return TryWrite(rest);
    }

    // Linear, but a message of one MTU holds few names.
    private int FindSuffix(ReadOnlySpan<byte> suffix)
    {
        foreach (int start in _suffixes)
        {
            if (IsWrittenAt(start, suffix)) return start;
        }

        return -1;
    }

    private bool IsWrittenAt(int at, ReadOnlySpan<byte> suffix)
    {
        while (at < _length)
        {
            if ((_buffer[at] & 0xc0) == 0xc0)
            {
                at = BinaryPrimitives.ReadUInt16BigEndian(_buffer.AsSpan(at)) & MaxPointer;
                continue;
            }

            int label = _buffer[at] + 1;
            if (label > suffix.Length || at + label > _length
                || !DnsName.SameIgnoringCase(_buffer.AsSpan(at, label), suffix[..label])) return false;
            if (label == 1) return true;
            at += label;
            suffix = suffix[label..];
        }

        return false;
    }

    private bool TryWriteUInt16(ushort value)
    {
        if (_buffer.Length - _length < 2) return false;
        BinaryPrimitives.WriteUInt16BigEndian(_buffer.AsSpan(_length), value);
        _length += 2;
        return true;
    }

    private bool TryWrite(ReadOnlySpan<byte> bytes)
    {
        if (!bytes.TryCopyTo(_buffer.AsSpan(_length))) return false;
        _length += bytes.Length;
        return true;
    }

    private int Mark(out int suffixes)
    {
        suffixes = _suffixes.Count;
        return _length;
    }

    private bool Rollback(int length, int suffixes)
    {
        _length = length;
        _suffixes.RemoveRange(suffixes, _suffixes.Count - suffixes);
        return false;
    }

    private int Count(int at) => BinaryPrimitives.ReadUInt16BigEndian(_buffer.AsSpan(at));

    private bool Counted(int at)
    {
        BinaryPrimitives.WriteUInt16BigEndian(_buffer.AsSpan(at), (ushort)(Count(at) + 1));
        return true;
    }
}
