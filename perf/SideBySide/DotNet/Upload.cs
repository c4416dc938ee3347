using System.Buffers.Binary;
using System.Diagnostics;

namespace FastShare.SideBySide.DotNet;

/// <summary>The smallest exchange that can be timed: a length, that many bytes, and one byte back once all have come.</summary>
internal static class Upload
{
    public static async Task<TimeSpan> SendAsync(Stream stream, long bytes, CancellationToken cancellationToken)
    {
        byte[] block = new byte[Peers.BufferLength];
        new Random(7).NextBytes(block);
        byte[] length = new byte[8];
        BinaryPrimitives.WriteInt64BigEndian(length, bytes);
        long start = Stopwatch.GetTimestamp();
        await stream.WriteAsync(length, cancellationToken);
        for (long left = bytes; left > 0; left -= block.Length)
            await stream.WriteAsync(block.AsMemory(0, (int)Math.Min(block.Length, left)), cancellationToken);
        await stream.FlushAsync(cancellationToken);
        await stream.ReadExactlyAsync(length.AsMemory(0, 1), cancellationToken);
        return Stopwatch.GetElapsedTime(start);
    }

    public static async Task TakeAsync(Stream stream, CancellationToken cancellationToken)
    {
        byte[] block = new byte[Peers.BufferLength];
        await stream.ReadExactlyAsync(block.AsMemory(0, 8), cancellationToken);
        for (long left = BinaryPrimitives.ReadInt64BigEndian(block); left > 0;)
        {
            int count = await stream.ReadAsync(block.AsMemory(0, (int)Math.Min(block.Length, left)), cancellationToken);
            if (count == 0) return;
            left -= count;
        }

        await stream.WriteAsync(block.AsMemory(0, 1), cancellationToken);
        await stream.FlushAsync(cancellationToken);
    }
}
