using System.Buffers;
using FastShare.Transport.Requests.Internal;

namespace FastShare.Transport.Tests.Requests;

public sealed class MessageBufferTests
{
    [Fact]
    public void What_is_written_in_pieces_comes_out_whole()
    {
        byte[] expected = new byte[100_000];
        new Random(3).NextBytes(expected);
        using var buffer = new MessageBuffer(expected.Length);
        for (int at = 0, step = 1; at < expected.Length; step = step * 3 + 1)
        {
            int count = Math.Min(step, expected.Length - at);
            if (count % 2 == 0) buffer.Write(expected.AsSpan(at, count));
            else Assert.True(buffer.TryAppend(new ReadOnlySequence<byte>(expected, at, count)));
            at += count;
        }

        Assert.True(buffer.Written.Span.SequenceEqual(expected));
    }

    [Fact]
    public void The_limit_counts_what_is_written_not_what_was_asked_for()
    {
        using var buffer = new MessageBuffer(1000);
        buffer.GetSpan(3000)[..1000].Fill(7);
        buffer.Advance(1000);
        Assert.Equal(1000, buffer.Length);
        Assert.False(buffer.TryAppend(new ReadOnlySequence<byte>(new byte[1])));
        buffer.GetSpan(1);
        Assert.Throws<MessageTooLongException>(() => buffer.Advance(1));
    }

    [Fact]
    public void More_than_was_handed_out_cannot_be_advanced_over()
    {
        using var buffer = new MessageBuffer(int.MaxValue);
        int length = buffer.GetMemory(10).Length;
        Assert.Throws<ArgumentOutOfRangeException>(() => buffer.Advance(length + 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => buffer.Advance(-1));
    }
}
