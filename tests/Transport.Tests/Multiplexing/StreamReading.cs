using System.Buffers;
using System.IO.Pipelines;

namespace FastShare.Transport.Tests.Multiplexing;

/// <summary>Reading and writing whole messages in tests.</summary>
internal static class StreamReading
{
    /// <summary>Reads exactly <paramref name="count"/> bytes; fewer if the end comes first.</summary>
    public static async Task<byte[]> ReadAsync(this PipeReader reader, int count, CancellationToken cancellationToken = default)
    {
        var bytes = new byte[count];
        int filled = 0;
        while (filled < count)
        {
            ReadResult result = await reader.ReadAsync(cancellationToken);
            ReadOnlySequence<byte> part = result.Buffer.Slice(0, Math.Min(result.Buffer.Length, count - filled));
            part.CopyTo(bytes.AsSpan(filled));
            filled += (int)part.Length;
            reader.AdvanceTo(part.End);
            if (result.IsCompleted && part.Length == result.Buffer.Length && filled < count) return bytes[..filled];
        }

        return bytes;
    }

    /// <summary>Reads to the end.</summary>
    public static async Task<byte[]> ReadToEndAsync(this PipeReader reader, CancellationToken cancellationToken = default)
    {
        var bytes = new MemoryStream();
        while (true)
        {
            ReadResult result = await reader.ReadAsync(cancellationToken);
            foreach (ReadOnlyMemory<byte> segment in result.Buffer) bytes.Write(segment.Span);
            reader.AdvanceTo(result.Buffer.End);
            if (result.IsCompleted) return bytes.ToArray();
        }
    }

    /// <summary>Bytes that look random and are the same for the same seed.</summary>
    public static byte[] Pattern(int length, int seed)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
