using System.Buffers.Binary;
using System.Security.Cryptography;
using FastShare.Transport.Identity;

namespace FastShare.Transfer;

/// <summary>
/// Names a transfer for as long as it can be resumed: the same sender offering the same source paths has the same id. Its text
/// is safe as part of a file name. Immutable; equal by value.
/// </summary>
internal readonly record struct TransferId(UInt128 Value)
{
    /// <summary>Length of a transfer key in an offer, in bytes.</summary>
    public const int KeyLength = 32;

    /// <summary>
    /// The id the receiver derives: the first 16 bytes of SHA-256("fastshare-transfer/1" ‖ sender's peer id ‖ key)
    /// (docs/wire-format.md, "Transfer id"). The authenticated peer id is part of it, so that no peer can name another's transfer.
    /// </summary>
    public static TransferId Derive(PeerId sender, ReadOnlySpan<byte> key)
    {
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        sha.AppendData("fastshare-transfer/1"u8);
        sha.AppendData(sender.Bytes);
        sha.AppendData(key);
        Span<byte> digest = stackalloc byte[32];
        sha.GetHashAndReset(digest);
        return new TransferId(BinaryPrimitives.ReadUInt128BigEndian(digest));
    }

    /// <summary>The key of an outgoing transfer: SHA-256 over its absolute source paths, sorted by ordinal, each ended by a NUL.</summary>
    public static byte[] KeyOf(IEnumerable<string> paths)
    {
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (string path in paths.Select(Path.GetFullPath).Select(Path.TrimEndingDirectorySeparator).Order(StringComparer.Ordinal))
        {
            sha.AppendData(System.Text.Encoding.UTF8.GetBytes(path));
            sha.AppendData([0]);
        }

        return sha.GetHashAndReset();
    }

    /// <summary>32 lower-case hexadecimal digits.</summary>
    public override string ToString() => Value.ToString("x32", System.Globalization.CultureInfo.InvariantCulture);
}
