using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using FastShare.Cli.Output;
using FastShare.Cli.Parsing;
using FastShare.Transfer;

namespace FastShare.Cli.Demo;

/// <summary>One file of the demonstration.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Length">Its size in bytes.</param>
internal sealed record DemoFile(string Name, long Length);

/// <summary>The files that the demonstration sends: made, and compared afterwards.</summary>
internal static class DemoFiles
{
    private const int BlockLength = 1 << 20;
    private static readonly TimeSpan _reportInterval = TimeSpan.FromMilliseconds(100);

    /// <summary>Five files of everyday sizes and a large one.</summary>
    public static IReadOnlyList<DemoFile> List(long largeLength) =>
    [
        new("readme.txt", 4_321),
        new("notes.md", 65_536),
        new("spreadsheet.ods", 750_001),
        new("photo.jpg", 3_456_789),
        new("song.flac", 12_582_912),
        new("large.bin", largeLength),
    ];

    /// <summary>Fills the files with content that cannot be compressed or guessed. Overwrites nothing.</summary>
    public static async Task CreateAsync(
        string folder, IReadOnlyList<DemoFile> files, OutputWriter output, TimeProvider timeProvider, CancellationToken cancellationToken)
    {
        using IProgressRow row = output.BeginProgress("Making files");
        var state = new TransferProgress(
            TransferState.Running, 0, files.Sum(file => file.Length), 0, files.Count, 0, TransferMode.Sequential);
        long start = timeProvider.GetTimestamp(), reported = start;
        byte[] block = GC.AllocateUninitializedArray<byte>(BlockLength);
        var random = new Xoshiro256();
        foreach (DemoFile file in files)
        {
            var options = new FileStreamOptions
            {
                Mode = FileMode.CreateNew,
                Access = FileAccess.Write,
                BufferSize = 0,
                PreallocationSize = file.Length,
                Options = FileOptions.Asynchronous,
            };
            await using var stream = new FileStream(Path.Combine(folder, file.Name), options);
            for (long left = file.Length; left > 0;)
            {
                int length = (int)Math.Min(left, BlockLength);
                random.Fill(block);
                await stream.WriteAsync(block.AsMemory(0, length), cancellationToken);
                left -= length;
                state = state with { Bytes = state.Bytes + length };
                if (timeProvider.GetElapsedTime(reported) < _reportInterval) continue;
                reported = timeProvider.GetTimestamp();
                row.Update(state with { BytesPerSecond = state.Bytes / timeProvider.GetElapsedTime(start).TotalSeconds });
            }

            state = state with { Files = state.Files + 1 };
        }
    }

    /// <summary>Reads a file again and returns the SHA-256 of what is in it, in lower-case hexadecimal; null if it is not there.</summary>
    public static async Task<string?> Sha256Async(string path, CancellationToken cancellationToken)
    {
        if (!File.Exists(path)) return null;
        await using var stream = new FileStream(path, new FileStreamOptions { BufferSize = 0, Options = FileOptions.SequentialScan });
        using var digest = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] block = GC.AllocateUninitializedArray<byte>(BlockLength);
        while (true)
        {
            int read = await stream.ReadAsync(block, cancellationToken);
            if (read == 0) return Convert.ToHexStringLower(digest.GetHashAndReset());
            digest.AppendData(block, 0, read);
        }
    }

    /// <summary>Fails early where the folder's disk has no room for the files and their copies.</summary>
    public static void CheckRoom(string folder, IReadOnlyList<DemoFile> files)
    {
        const long Margin = 64L << 20; // journals, and what others write meanwhile
        long needed = (2 * files.Sum(file => file.Length)) + Margin;
        long free = new DriveInfo(folder).AvailableFreeSpace;
        if (free < needed)
        {
            throw new TransferException(
                TransferError.StorageFull,
                $"the demonstration needs {ByteSize.Format(needed)} in '{folder}', and {ByteSize.Format(free)} are free; "
                + "choose a smaller --size or another --dir");
        }
    }

    /// <summary>xoshiro256** (Blackman and Vigna): several gigabytes a second of bytes that look random.</summary>
    private struct Xoshiro256
    {
        private ulong _s0, _s1, _s2, _s3;

        public Xoshiro256()
        {
            Span<byte> seed = stackalloc byte[32];
            RandomNumberGenerator.Fill(seed);
            _s0 = BinaryPrimitives.ReadUInt64LittleEndian(seed) | 1; // not all zero
            _s1 = BinaryPrimitives.ReadUInt64LittleEndian(seed[8..]);
            _s2 = BinaryPrimitives.ReadUInt64LittleEndian(seed[16..]);
            _s3 = BinaryPrimitives.ReadUInt64LittleEndian(seed[24..]);
        }

        public void Fill(Span<byte> destination)
        {
            foreach (ref ulong word in MemoryMarshal.Cast<byte, ulong>(destination))
            {
                word = ulong.RotateLeft(_s1 * 5, 7) * 9;
                ulong t = _s1 << 17;
                _s2 ^= _s0;
                _s3 ^= _s1;
                _s1 ^= _s2;
                _s0 ^= _s3;
                _s2 ^= t;
                _s3 = ulong.RotateLeft(_s3, 45);
            }
        }
    }
}
