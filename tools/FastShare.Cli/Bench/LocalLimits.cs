using System.IO.Hashing;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using NSec.Cryptography;
using ChaCha20Poly1305 = System.Security.Cryptography.ChaCha20Poly1305;

namespace FastShare.Cli.Bench;

/// <summary>What this machine can do by itself, each on one core, measured for a moment.</summary>
internal static class LocalLimits
{
    private const int ChunkBytes = 1 << 20;

    /// <summary>As much as one sealed record holds.</summary>
    private const int RecordBytes = 64 << 10;

    private static readonly TimeSpan _moment = TimeSpan.FromMilliseconds(300);

    /// <summary>The best slice counts: in others this thread may have waited for a core.</summary>
    private static readonly TimeSpan _slice = TimeSpan.FromMilliseconds(5);

    /// <summary>Bytes a second of the hash that every chunk gets.</summary>
    public static double Hash(TimeProvider time, CancellationToken cancellationToken)
    {
        byte[] chunk = RandomNumberGenerator.GetBytes(ChunkBytes);
        return Measure(time, ChunkBytes, () => XxHash128.HashToUInt128(chunk), cancellationToken);
    }

    /// <summary>Bytes a second of the cipher of a security protocol; null: it has none.</summary>
    public static double? Cipher(string security, TimeProvider time, CancellationToken cancellationToken)
    {
        if (security.StartsWith("/plaintext", StringComparison.Ordinal)) return null;
        byte[] plain = new byte[RecordBytes], sealedBytes = new byte[RecordBytes], tag = new byte[16], nonce = new byte[12];
        byte[] key = RandomNumberGenerator.GetBytes(32);
        // the same nonce again and again: nothing of this leaves the machine
        if (security.Contains("aegis", StringComparison.Ordinal))
        {
            AeadAlgorithm aegis = AeadAlgorithm.Aegis128L;
            using var aegisKey = Key.Create(aegis);
            byte[] tagged = new byte[RecordBytes + aegis.TagSize], counter = new byte[aegis.NonceSize];
            return Measure(time, RecordBytes, () => aegis.Encrypt(aegisKey, counter, default, plain, tagged), cancellationToken);
        }

        if (security.Contains("aesgcm", StringComparison.Ordinal))
        {
            using var aes = new AesGcm(key, tag.Length);
            return Measure(time, RecordBytes, () => aes.Encrypt(nonce, plain, sealedBytes, tag), cancellationToken);
        }

        using var chacha = new ChaCha20Poly1305(key);
        return Measure(time, RecordBytes, () => chacha.Encrypt(nonce, plain, sealedBytes, tag), cancellationToken);
    }

    /// <summary>
    /// Bytes a second of reading files, in their order, for at most so long and so much. What is in the system's cache comes from there.
    /// </summary>
    /// <exception cref="IOException">A file cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">Likewise.</exception>
    public static (double BytesPerSecond, long Bytes) Disk(
        IEnumerable<string> files, long bytes, TimeSpan limit, TimeProvider time, CancellationToken cancellationToken)
    {
        byte[] block = GC.AllocateUninitializedArray<byte>(ChunkBytes, pinned: true);
        long start = time.GetTimestamp(), read = 0;
        foreach (string file in files)
        {
            if (read >= bytes || time.GetElapsedTime(start) >= limit) break;
            using SafeFileHandle handle = File.OpenHandle(file, options: FileOptions.SequentialScan);
            for (long offset = 0; read < bytes && time.GetElapsedTime(start) < limit;)
            {
                cancellationToken.ThrowIfCancellationRequested();
                int count = RandomAccess.Read(handle, block, offset);
                if (count == 0) break;
                offset += count;
                read += count;
            }
        }

        double seconds = time.GetElapsedTime(start).TotalSeconds;
        return (seconds > 0 ? read / seconds : 0, read);
    }

    private static double Measure(TimeProvider time, int bytes, Action work, CancellationToken cancellationToken)
    {
        work(); // compiled, and in the cache
        double best = 0;
        for (long start = time.GetTimestamp(); time.GetElapsedTime(start) < _moment;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            long begin = time.GetTimestamp(), rounds = 0;
            TimeSpan elapsed;
            do
            {
                work();
                rounds++;
                elapsed = time.GetElapsedTime(begin);
            }
            while (elapsed < _slice);
            best = Math.Max(best, rounds * bytes / elapsed.TotalSeconds);
        }

        return best;
    }
}
