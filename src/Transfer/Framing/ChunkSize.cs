using System.Numerics;

namespace FastShare.Transfer.Framing;

/// <summary>
/// The rule by which both sides derive a file's chunk size and chunk count from its size and the offer's limit
/// (docs/wire-format.md, "Chunks"). Fixed for a file, so that a chunk's index says where it stands.
/// </summary>
internal static class ChunkSize
{
    /// <summary>Binary logarithm of the smallest chunk size: 64 KiB.</summary>
    public const int MinBits = 16;

    /// <summary>Binary logarithm of the largest chunk size the protocol allows: 4 MiB.</summary>
    public const int MaxBits = 22;

    /// <summary>
    /// What this implementation offers: 1 MiB, one block of the pool. Measured on loopback, 64 KiB halves the throughput of 1 MiB.
    /// </summary>
    public const int DefaultBits = 20;

    /// <summary>
    /// The chunk size of a file: the smallest power of two that holds the whole file, but at least 64 KiB and at most
    /// 2^<paramref name="maxBits"/> bytes. So a file up to the limit is one chunk.
    /// </summary>
    public static uint Of(long fileSize, int maxBits = DefaultBits)
    {
        if (fileSize >= 1L << maxBits) return 1u << maxBits;
        return Math.Max(1u << MinBits, BitOperations.RoundUpToPowerOf2((uint)fileSize));
    }

    /// <summary>The chunk size of a stream, whose size is not known when its first chunk goes out.</summary>
    public static uint OfStream(int maxBits = DefaultBits) => 1u << Math.Min(maxBits, DefaultBits);

    /// <summary>How many chunks a file has; none if it is empty.</summary>
    public static long Count(long fileSize, uint chunkSize) => fileSize / chunkSize + (fileSize % chunkSize == 0 ? 0 : 1);

    /// <summary>The length of chunk <paramref name="index"/>, which must exist: the chunk size, but the last one is what remains.</summary>
    public static int LengthOf(long index, long fileSize, uint chunkSize) => (int)Math.Min(chunkSize, fileSize - index * chunkSize);
}
