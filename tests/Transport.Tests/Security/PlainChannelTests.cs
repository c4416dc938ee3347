using FastShare.Testing;
using FastShare.Transport.Buffers;
using FastShare.Transport.Security.Internal;
using static FastShare.Transport.Tests.Security.SecurityFixture;

namespace FastShare.Transport.Tests.Security;

public sealed class PlainChannelTests
{
    [Fact]
    public async Task Small_reads_are_served_from_one_receive()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        right.RecordReceives = true;
        var channel = new PlainChannel(right, PoisonedPool());
        byte[] data = RandomBytes(1000);
        await new ScriptedPeer(left).SendAsync(data);
        var read = new List<byte>();
        for (int i = 0; i < 100; i++) read.AddRange(await ReadAsync(channel, 10));
        Assert.Equal(data, read);
        Assert.Single(right.ReceiveSizes);
    }

    [Fact]
    public async Task A_large_read_is_received_straight_into_its_memory_and_holds_no_block()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        right.RecordReceives = true;
        BlockPool pool = PoisonedPool();
        var channel = new PlainChannel(right, pool);
        byte[] data = RandomBytes(100_010);
        await new ScriptedPeer(left).SendAsync(data);
        Assert.Equal(data[..10], await ReadAsync(channel, 10));
        Assert.Equal(1, pool.RentedBlocks);
        byte[] buffer = new byte[1 << 20];
        int count = await channel.ReadAsync(buffer, CancellationToken.None); // what is buffered comes first
        Assert.Equal((64 << 10) - 10, count);
        count += await channel.ReadAsync(buffer.AsMemory(count), CancellationToken.None);
        Assert.Equal(data[10..], buffer[..count]);
        Assert.Equal(0, pool.RentedBlocks);
        Assert.Equal([64 << 10, (1 << 20) - (64 << 10) + 10], right.ReceiveSizes);
    }

    [Fact]
    public async Task A_batch_leaves_in_one_send_in_order()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        BlockPool pool = PoisonedPool();
        var channel = new PlainChannel(left, pool);
        var written = new List<byte>();
        int[] sizes = [12, 12, 10_000, 12, 4096, 4097, 1, 1, 60_000, 5, .. Enumerable.Repeat(4000, 20)];
        foreach (int size in sizes)
        {
            byte[] piece = RandomBytes(size, size);
            channel.Write(piece);
            written.AddRange(piece);
            Assert.Equal(written.Count, channel.Pending);
        }

        await channel.FlushAsync(CancellationToken.None);
        Assert.Equal((1, 0), (left.Sends, channel.Pending));
        Assert.Equal(0, pool.RentedBlocks);
        Assert.Equal(written, await new ScriptedPeer(right).ReceiveAsync(written.Count));
    }

    [Fact]
    public async Task An_empty_flush_sends_nothing()
    {
        (MemoryConnection left, _) = DuplexPair.Create();
        var channel = new PlainChannel(left);
        channel.Write(ReadOnlyMemory<byte>.Empty);
        await channel.FlushAsync(CancellationToken.None);
        Assert.Equal(0, left.Sends);
    }

    [Fact]
    public async Task The_end_shows_after_what_came_before_it()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        var sender = new PlainChannel(left);
        var receiver = new PlainChannel(right);
        await WriteAsync(sender, RandomBytes(10));
        sender.CloseWrite();
        Assert.Equal(10, (await ReadAsync(receiver, 100)).Length);
        Assert.Equal(0, await receiver.ReadAsync(new byte[100_000], CancellationToken.None));
    }

    [Fact]
    public async Task After_a_failed_flush_nothing_more_is_written()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        var channel = new PlainChannel(left);
        right.Abort();
        Assert.Equal(
            TransportError.ConnectionReset, (await Assert.ThrowsAsync<TransportException>(() => WriteAsync(channel, RandomBytes(10)))).Error);
        Assert.Equal(TransportError.ConnectionClosed, Assert.Throws<TransportException>(() => channel.Write(RandomBytes(1))).Error);
    }

    [Theory]
    [InlineData(10)]
    [InlineData(100_000)]
    public async Task Disposing_ends_pending_calls_and_returns_every_block_once(int size)
    {
        BlockPool pool = PoisonedPool();
        (MemoryConnection left, _) = DuplexPair.Create(capacity: 5);
        var channel = new PlainChannel(left, pool);
        channel.Write(RandomBytes(size));
        channel.Write(RandomBytes(10)); // copied
        Task flush = channel.FlushAsync(CancellationToken.None).AsTask();
        Task<int> read = channel.ReadAsync(new byte[size], CancellationToken.None).AsTask();
        channel.Abort();
        await channel.DisposeAsync();
        await channel.DisposeAsync();
        await Assert.ThrowsAsync<TransportException>(() => flush);
        await Assert.ThrowsAsync<TransportException>(() => read);
        Assert.Equal(0, pool.RentedBlocks);
        Assert.True(left.IsDisposed);
    }

    [Fact]
    public void Reading_and_writing_allocates_nothing()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        var pool = new BlockPool();
        var sender = new PlainChannel(left, pool);
        var receiver = new PlainChannel(right, pool);
        byte[] header = RandomBytes(12), data = RandomBytes(70_000), buffer = new byte[50_000];
        for (int i = 0; i < 100; i++) Round();
        Assert.Equal(0, Allocation.Least(Round));

        void Round()
        {
            for (int i = 0; i < 3; i++)
            {
                sender.Write(header);
                sender.Write(data);
                sender.Write(header);
            }

            sender.FlushAsync(CancellationToken.None).GetAwaiter().GetResult();
            int left = 3 * ((2 * header.Length) + data.Length);
            while (left > 0) left -= receiver.ReadAsync(
                buffer.AsMemory(0, left % 2 == 0 ? 12 : buffer.Length), CancellationToken.None).GetAwaiter().GetResult();
        }
    }
}
