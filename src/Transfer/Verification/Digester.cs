using System.Buffers;
using System.Buffers.Binary;
using System.IO.Hashing;

namespace FastShare.Transfer.Verification;

/// <summary>
/// XXH128 of one chunk's payload or, as a file's root digest, of the concatenation of its chunks' digests in order, each as 16
/// bytes big-endian. One instance has one user at a time and is reused without allocating.
/// </summary>
internal sealed class Digester
{
    private static readonly byte[] Zeros = new byte[64 << 10];

    private readonly XxHash128 _hash = new(); // its single user
    private (int Length, UInt128 Digest) _zeros; // its single user

    /// <summary>The digest of bytes at hand.</summary>
    public static UInt128 Of(ReadOnlySpan<byte> payload) => XxHash128.HashToUInt128(payload);

    /// <summary>The digest of bytes in pieces.</summary>
    public UInt128 Of(in ReadOnlySequence<byte> payload)
    {
        if (payload.IsSingleSegment) return XxHash128.HashToUInt128(payload.FirstSpan);
        foreach (ReadOnlyMemory<byte> piece in payload) _hash.Append(piece.Span);
        return Finish();
    }

    /// <summary>The digest of as many zeros; the last one asked for is kept.</summary>
    public UInt128 OfZeros(int length)
    {
        if (_zeros.Length == length) return _zeros.Digest;
        for (int rest = length; rest > 0; rest -= Zeros.Length) _hash.Append(Zeros.AsSpan(0, Math.Min(rest, Zeros.Length)));
        _zeros = (length, Finish());
        return _zeros.Digest;
    }

    /// <summary>The root digest of a file of one chunk.</summary>
    public static UInt128 RootOf(UInt128 onlyChunk)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, onlyChunk);
        return XxHash128.HashToUInt128(bytes);
    }

    /// <summary>The root digest of a file; of an empty one, XXH128 of nothing.</summary>
    public UInt128 RootOf(ReadOnlySpan<UInt128> chunks)
    {
        Span<byte> bytes = stackalloc byte[16];
        foreach (UInt128 chunk in chunks)
        {
            BinaryPrimitives.WriteUInt128BigEndian(bytes, chunk);
            _hash.Append(bytes);
        }

        return Finish();
    }

    /// <summary>Adds bytes to the digest that <see cref="Finish"/> will yield.</summary>
    public void Append(ReadOnlySpan<byte> bytes) => _hash.Append(bytes);

    /// <summary>The digest of what was appended; the next one starts afresh.</summary>
    public UInt128 Finish()
    {
        UInt128 digest = _hash.GetCurrentHashAsUInt128();
        _hash.Reset();
        return digest;
    }

    /// <summary>As it is shown: 32 lower-case hexadecimal digits.</summary>
    public static string ToText(UInt128 digest)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, digest);
        return Convert.ToHexStringLower(bytes);
    }
}
