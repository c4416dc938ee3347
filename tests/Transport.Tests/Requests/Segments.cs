using System.Buffers;

namespace FastShare.Transport.Tests.Requests;

/// <summary>Bytes in several pieces, as they come from a stream.</summary>
internal static class Segments
{
    /// <summary>Pieces of <paramref name="size"/> bytes, the last shorter.</summary>
    public static ReadOnlySequence<byte> Of(byte[] bytes, int size)
    {
        if (bytes.Length == 0) return ReadOnlySequence<byte>.Empty;
        var first = new Segment(bytes.AsMemory(0, Math.Min(size, bytes.Length)), null);
        Segment last = first;
        for (int at = size; at < bytes.Length; at += size) last = new Segment(bytes.AsMemory(at, Math.Min(size, bytes.Length - at)), last);
        return new ReadOnlySequence<byte>(first, 0, last, last.Memory.Length);
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Segment(ReadOnlyMemory<byte> memory, Segment? previous)
        {
            Memory = memory;
            if (previous is null) return;
            RunningIndex = previous.RunningIndex + previous.Memory.Length;
            previous.Next = this;
        }
    }
}
