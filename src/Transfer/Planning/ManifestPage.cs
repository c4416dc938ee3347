using System.Buffers;

namespace FastShare.Transfer.Planning;

/// <summary>Bytes of one page of a manifest.</summary>
internal static class ManifestPage
{
    /// <summary>Most entries in a page.</summary>
    public const int MaxEntries = 4096;

    /// <summary>Longest page, in bytes.</summary>
    public const int MaxBytes = 1 << 20;

    public static void Encode(IReadOnlyList<ManifestEntry> entries, IBufferWriter<byte> destination) => throw new NotImplementedException();

    public static List<ManifestEntry> Decode(ReadOnlySequence<byte> page) => throw new NotImplementedException();

    /// <summary>Bytes that <paramref name="entry"/> takes in a page; a page adds at most 18.</summary>
    public static int EncodedLength(ManifestEntry entry) => throw new NotImplementedException();
}
