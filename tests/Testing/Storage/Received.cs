using System.IO.Hashing;
using FastShare.Transfer;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Storage;

namespace FastShare.Testing.Storage;

/// <summary>Shorthand for playing the engine's part towards a <see cref="ReceiveStore"/>.</summary>
internal static class Received
{
    /// <summary>A transfer id.</summary>
    public static readonly TransferId Id = new(new UInt128(0x0123456789abcdef, 0x0011223344556677));

    /// <summary>2025-01-02 03:04:05.006007008 UTC.</summary>
    public const long Time = 1_735_787_045_006_007_008;

    /// <summary>A file's entry.</summary>
    public static ManifestEntry File(uint id, string path, long size, int mode = 0x1A4, long time = Time) =>
        new(id, EntryKind.File, path, size, mode, time, null);

    /// <summary>A folder's entry.</summary>
    public static ManifestEntry Folder(uint id, string path, int mode = 0x1ED, long time = Time) =>
        new(id, EntryKind.Directory, path, 0, mode, time, null);

    /// <summary>Content that depends on <paramref name="seed"/>.</summary>
    public static byte[] Content(int seed, int length)
    {
        byte[] content = new byte[length];
        new Random(seed).NextBytes(content);
        return content;
    }

    /// <summary>Writes every chunk that the file does not have; returns how many.</summary>
    public static int WriteMissing(this ReceiveFile file, byte[] content, int chunkSize)
    {
        int written = 0;
        for (long i = 0; i < file.ChunkCount; i++)
        {
            if (!file.HasChunk(i) && file.WriteChunk(content, i, chunkSize)) written++;
        }

        return written;
    }

    /// <summary>Writes one chunk of the content.</summary>
    public static bool WriteChunk(this ReceiveFile file, byte[] content, long index, int chunkSize)
    {
        int start = (int)index * chunkSize;
        ReadOnlySpan<byte> chunk = content.AsSpan(start, Math.Min(chunkSize, content.Length - start));
        return file.WriteChunk(index, chunk, XxHash128.HashToUInt128(chunk));
    }

    /// <summary>Receives one file from start to publication.</summary>
    public static void Receive(this ReceiveStore store, ManifestEntry entry, byte[] content, int chunkSize = 1 << 16)
    {
        using ReceiveFile file = store.OpenFile(entry, (uint)chunkSize);
        file.WriteMissing(content, chunkSize);
        file.Publish();
    }
}
