using System.Buffers.Binary;
using System.IO.Hashing;

namespace FastShare.Transfer.Framing;

/// <summary>
/// What every control message, chunk header and attach message ends with: XXH3 (64 bits, seed 0) of all of it that stands before, as u64.
/// It finds what a link, a memory or a program damaged: without encryption nothing else guards names, times and numbers. An attacker can
/// make a right one; against him stands the connection's encryption.
/// </summary>
internal static class WireCheck
{
    /// <summary>Its size in bytes.</summary>
    public const int Size = 8;

    /// <summary>The check of bytes at hand.</summary>
    public static ulong Of(ReadOnlySpan<byte> bytes) => XxHash3.HashToUInt64(bytes);

    /// <summary>Fills in the last 8 bytes of a message.</summary>
    public static void Write(Span<byte> message) =>
        BinaryPrimitives.WriteUInt64BigEndian(message[^Size..], Of(message[..^Size]));

    /// <summary>Compares the last 8 bytes of a message.</summary>
    /// <param name="message">All of it.</param>
    /// <param name="what">What it is, for the error.</param>
    /// <exception cref="TransferException"><see cref="TransferError.ConnectionLost"/>: it was damaged.</exception>
    public static void Verify(ReadOnlySpan<byte> message, string what)
    {
        if (BinaryPrimitives.ReadUInt64BigEndian(message[^Size..]) != Of(message[..^Size])) throw Damaged(what);
    }

    /// <summary>Nothing more of such a connection is believed; another one may do better.</summary>
    public static TransferException Damaged(string what) => new(
        TransferError.ConnectionLost,
        $"{what} arrived damaged (its check is wrong); if it happens again, the network or the memory of one of the machines is at fault");
}
