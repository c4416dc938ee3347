using System.Buffers.Binary;
using FastShare.Testing;
using FastShare.Transport.Buffers;
using FastShare.Transport.Security.Internal;
using static FastShare.Transport.Tests.Security.SecurityFixture;

namespace FastShare.Transport.Tests.Security;

public sealed class NoiseChannelTests
{
    private const int MaxPlaintext = 65535 - 32;

    /// <summary>Plaintext sizes of the records that lie in a connection.</summary>
    private static async Task<List<int>> RecordSizes(MemoryConnection connection, int wireBytes)
    {
        var peer = new ScriptedPeer(connection);
        var sizes = new List<int>();
        while (wireBytes > 0)
        {
            int length = BinaryPrimitives.ReadUInt16BigEndian(await peer.ReceiveAsync(2));
            await peer.ReceiveAsync(length);
            sizes.Add(length - 32);
            wireBytes -= 2 + length;
        }

        Assert.Equal(0, wireBytes);
        return sizes;
    }

    [Fact]
    public async Task Small_writes_share_a_record_and_a_large_one_has_its_own()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        NoiseChannel channel = NoiseEnd(left, 1, 2);
        for (int i = 0; i < 5; i++) channel.Write(RandomBytes(12));
        Assert.Equal(60 + 34, channel.Pending);
        channel.Write(RandomBytes(10_000));
        channel.Write(RandomBytes(12));
        channel.Write(RandomBytes(4096));
        int pending = channel.Pending;
        Assert.Equal(60 + 10_000 + 4108 + (3 * 34), pending);
        await channel.FlushAsync(CancellationToken.None);
        Assert.Equal(0, channel.Pending);
        Assert.Equal(1, left.Sends);
        Assert.Equal([60, 10_000, 4108], await RecordSizes(right, pending));
    }

    [Fact]
    public async Task A_write_above_a_record_is_split_and_its_short_end_joins_what_follows()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        NoiseChannel channel = NoiseEnd(left, 1, 2);
        channel.Write(RandomBytes(12));
        channel.Write(RandomBytes(256 << 10));
        channel.Write(RandomBytes(12));
        int pending = channel.Pending;
        await channel.FlushAsync(CancellationToken.None);
        Assert.Equal([12, MaxPlaintext, MaxPlaintext, MaxPlaintext, MaxPlaintext, (256 << 10) - (4 * MaxPlaintext) + 12],
            await RecordSizes(right, pending));
    }

    [Fact]
    public async Task Small_writes_never_make_a_record_too_long()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        NoiseChannel channel = NoiseEnd(left, 1, 2);
        for (int i = 0; i < 40; i++) channel.Write(RandomBytes(4096));
        int pending = channel.Pending;
        await channel.FlushAsync(CancellationToken.None);
        Assert.Equal([15 * 4096, 15 * 4096, 10 * 4096], await RecordSizes(right, pending));
    }

    [Fact]
    public async Task A_batch_just_below_its_size_takes_another_256_KiB()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        (NoiseChannel sender, NoiseChannel receiver) = NoisePair(left, right);
        byte[] filler = RandomBytes(1000);
        var written = new List<byte>();
        while (sender.Pending < sender.BatchSize - 1000)
        {
            sender.Write(filler);
            written.AddRange(filler);
        }

        byte[] large = RandomBytes(256 << 10, 2);
        sender.Write(large);
        written.AddRange(large);
        await sender.FlushAsync(CancellationToken.None);
        Assert.Equal(written, await ReadAsync(receiver, written.Count));
        Assert.Throws<InvalidOperationException>(() =>
        {
            for (int i = 0; i < 8; i++) sender.Write(large);
        });
    }

    [Fact]
    public async Task What_was_written_is_taken_at_once()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        (NoiseChannel sender, NoiseChannel receiver) = NoisePair(left, right);
        byte[] small = RandomBytes(100), large = RandomBytes(100_000);
        byte[] expected = [.. small, .. large];
        sender.Write(small);
        sender.Write(large);
        small.AsSpan().Clear();
        large.AsSpan().Clear();
        await sender.FlushAsync(CancellationToken.None);
        Assert.Equal(expected, await ReadAsync(receiver, expected.Length));
    }

    [Fact]
    public async Task An_empty_flush_sends_nothing()
    {
        (MemoryConnection left, _) = DuplexPair.Create();
        NoiseChannel channel = NoiseEnd(left, 1, 2);
        channel.Write(ReadOnlyMemory<byte>.Empty);
        await channel.FlushAsync(CancellationToken.None);
        Assert.Equal(0, left.Sends);
    }

    [Fact]
    public async Task Buffered_records_are_read_without_waiting_and_the_end_follows_them()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        (NoiseChannel sender, NoiseChannel receiver) = NoisePair(left, right);
        byte[] data = RandomBytes(3000);
        await WriteAsync(sender, data);
        sender.CloseWrite();
        var read = new List<byte>();
        byte[] buffer = new byte[100];
        while (true)
        {
            ValueTask<int> pending = receiver.ReadAsync(buffer, CancellationToken.None);
            Assert.True(pending.IsCompleted);
            int count = await pending;
            if (count == 0) break;
            read.AddRange(buffer[..count]);
        }

        Assert.Equal(data, read);
        Assert.Equal(0, await receiver.ReadAsync(buffer, CancellationToken.None));
    }

    [Fact]
    public async Task One_read_takes_all_whole_records_that_fit()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        (NoiseChannel sender, NoiseChannel receiver) = NoisePair(left, right);
        for (int i = 0; i < 4; i++) await WriteAsync(sender, RandomBytes(1000, i));
        byte[] buffer = new byte[3500];
        Assert.Equal(3000, await receiver.ReadAsync(buffer, CancellationToken.None));
        Assert.Equal(RandomBytes(1000, 2), buffer[2000..3000]);
        Assert.Equal(1000, await receiver.ReadAsync(buffer, CancellationToken.None));
    }

    [Fact]
    public async Task Bulk_is_received_in_large_pieces_and_idleness_costs_a_page()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create(capacity: 16 << 20);
        BlockPool pool = PoisonedPool();
        (NoiseChannel sender, NoiseChannel receiver) = NoisePair(left, right, pool: pool);
        right.RecordReceives = true;
        byte[] data = RandomBytes(1 << 20);
        for (int i = 0; i < 4; i++)
        {
            for (int at = 0; at < data.Length; at += 256 << 10) await WriteAsync(sender, data.AsMemory(at, 256 << 10));
        }

        Assert.Equal(0, pool.RentedBlocks); // batches of bulk too are sealed into a block that serves all connections
        for (int i = 0; i < 4; i++) Assert.Equal(data, await ReadAsync(receiver, data.Length));
        Assert.True(right.ReceiveSizes.Count < 26, $"{right.ReceiveSizes.Count} receives");
        Assert.InRange(right.ReceiveSizes.Max(), 192 << 10, 256 << 10); // no more: many busy connections have that much each

        await WriteAsync(sender, RandomBytes(10));
        await ReadAsync(receiver, 10);
        await WriteAsync(sender, RandomBytes(10));
        await ReadAsync(receiver, 10);
        Task<int> idle = receiver.ReadAsync(new byte[1 << 16], CancellationToken.None).AsTask();
        Assert.Equal(4096, right.ReceiveSizes[^1]);
        Assert.Equal(1, pool.RentedBlocks); // that page; the sender holds nothing
        await sender.DisposeAsync();
        Assert.Equal(0, await idle);
        await receiver.DisposeAsync();
        Assert.Equal(0, pool.RentedBlocks);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(40)]
    [InlineData(5000)]
    public async Task A_damaged_record_ends_the_channel_and_delivers_nothing_of_it(int size)
    {
        NoiseCipherState cipher = Cipher(1);
        byte[] good = Record(cipher, RandomBytes(10, 7));
        byte[] record = Record(cipher, RandomBytes(size));
        for (int at = 2; at < record.Length; at += Math.Max(1, record.Length / 50))
        {
            (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
            NoiseChannel channel = NoiseEnd(right, 2, 1);
            byte[] damaged = (byte[])record.Clone();
            damaged[at] ^= 1;
            await new ScriptedPeer(left).SendAsync((byte[])[.. good, .. damaged]);
            byte[] buffer = new byte[8192];
            Assert.Equal(10, await channel.ReadAsync(buffer, CancellationToken.None));
            Array.Clear(buffer);
            for (int i = 0; i < 2; i++)
            {
                var error = await Assert.ThrowsAsync<TransportException>(() => channel.ReadAsync(buffer, CancellationToken.None).AsTask());
                Assert.Equal(TransportError.ProtocolViolation, error.Error);
                Assert.Equal(Bob.PeerId, error.Peer);
            }

            Assert.True(right.IsAborted);
            Assert.False(buffer.AsSpan().ContainsAnyExcept((byte)0));
            channel.Write(RandomBytes(1));
            await Assert.ThrowsAsync<TransportException>(() => channel.FlushAsync(CancellationToken.None).AsTask());
        }
    }

    [Fact]
    public async Task A_damaged_record_read_in_small_pieces_delivers_nothing_of_it()
    {
        byte[] record = Record(Cipher(1), RandomBytes(5000));
        record[^1] ^= 1;
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        NoiseChannel channel = NoiseEnd(right, 2, 1);
        await new ScriptedPeer(left).SendAsync(record);
        byte[] buffer = new byte[100];
        var error = await Assert.ThrowsAsync<TransportException>(() => channel.ReadAsync(buffer, CancellationToken.None).AsTask());
        Assert.Equal(TransportError.ProtocolViolation, error.Error);
        Assert.False(buffer.AsSpan().ContainsAnyExcept((byte)0));
    }

    [Theory]
    [InlineData("replayed")]
    [InlineData("reordered")]
    [InlineData("dropped")]
    public async Task Records_out_of_order_are_refused(string what)
    {
        NoiseCipherState cipher = Cipher(1);
        byte[] first = Record(cipher, RandomBytes(10)), second = Record(cipher, RandomBytes(10)), third = Record(cipher, RandomBytes(10));
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        NoiseChannel channel = NoiseEnd(right, 2, 1);
        await new ScriptedPeer(left).SendAsync(what switch
        {
            "replayed" => (byte[])[.. first, .. first],
            "reordered" => [.. second, .. first],
            _ => [.. first, .. third],
        });
        byte[] buffer = new byte[100];
        if (what != "reordered") Assert.Equal(10, await channel.ReadAsync(buffer, CancellationToken.None));
        var error = await Assert.ThrowsAsync<TransportException>(() => channel.ReadAsync(buffer, CancellationToken.None).AsTask());
        Assert.Equal(TransportError.ProtocolViolation, error.Error);
    }

    [Fact]
    public async Task An_end_inside_a_record_is_an_error_wherever_it_is()
    {
        byte[] record = Record(Cipher(1), RandomBytes(40));
        for (int length = 1; length < record.Length; length++)
        {
            (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
            NoiseChannel channel = NoiseEnd(right, 2, 1);
            await new ScriptedPeer(left).SendAsync(record.AsMemory(0, length));
            left.CloseWrite();
            var error = await Assert.ThrowsAsync<TransportException>(
                () => channel.ReadAsync(new byte[100], CancellationToken.None).AsTask());
            Assert.Equal(TransportError.ConnectionClosed, error.Error);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(15)]
    public async Task A_record_too_short_for_its_tag_is_refused_at_once(int length)
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        NoiseChannel channel = NoiseEnd(right, 2, 1);
        await new ScriptedPeer(left).SendAsync((byte[])[0, (byte)length]);
        var error = await Assert.ThrowsAsync<TransportException>(() => channel.ReadAsync(new byte[100], CancellationToken.None).AsTask());
        Assert.Equal(TransportError.ProtocolViolation, error.Error);
    }

    [Fact]
    public async Task Empty_records_are_passed_over_but_not_for_ever()
    {
        NoiseCipherState cipher = Cipher(1);
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        NoiseChannel channel = NoiseEnd(right, 2, 1);
        var peer = new ScriptedPeer(left);
        byte[] buffer = new byte[100];
        for (int round = 0; round < 2; round++)
        {
            for (int i = 0; i < NoiseRecordOpener.MaxEmptyRecords; i++) await peer.SendAsync(Record(cipher, []));
            await peer.SendAsync(Record(cipher, RandomBytes(5)));
            Assert.Equal(5, await channel.ReadAsync(buffer, CancellationToken.None));
        }

        for (int i = 0; i <= NoiseRecordOpener.MaxEmptyRecords; i++) await peer.SendAsync(Record(cipher, []));
        var error = await Assert.ThrowsAsync<TransportException>(() => channel.ReadAsync(buffer, CancellationToken.None).AsTask());
        Assert.Equal(TransportError.ProtocolViolation, error.Error);
    }

    [Fact]
    public async Task A_record_of_the_largest_size_passes()
    {
        byte[] data = RandomBytes(MaxPlaintext);
        byte[] record = Record(Cipher(1), data);
        Assert.Equal((0xff, 0xff), (record[0], record[1]));
        foreach (int destination in (int[])[MaxPlaintext, MaxPlaintext - 1, 1000])
        {
            (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
            NoiseChannel channel = NoiseEnd(right, 2, 1);
            await new ScriptedPeer(left).SendAsync(record);
            byte[] buffer = new byte[destination];
            Assert.Equal(destination, await channel.ReadAsync(buffer, CancellationToken.None));
            Assert.Equal(data[..destination], buffer);
            Assert.Equal(data[destination..], await ReadAsync(channel, MaxPlaintext - destination));
        }
    }

    [Fact]
    public async Task The_last_nonce_is_never_used()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        (NoiseChannel sender, NoiseChannel receiver) = NoisePair(left, right, nonce: ulong.MaxValue - 1);
        await WriteAsync(sender, RandomBytes(5));
        await ReadAsync(receiver, 5);
        sender.Write(RandomBytes(5));
        var error = await Assert.ThrowsAsync<TransportException>(() => sender.FlushAsync(CancellationToken.None).AsTask());
        Assert.Equal(TransportError.LimitExceeded, error.Error);
        Assert.Throws<TransportException>(() => sender.Write(RandomBytes(5)));
        await new ScriptedPeer(left).SendAsync(Record(Cipher(1), RandomBytes(5)));
        error = await Assert.ThrowsAsync<TransportException>(() => receiver.ReadAsync(new byte[10], CancellationToken.None).AsTask());
        Assert.Equal(TransportError.LimitExceeded, error.Error);
    }

    [Fact]
    public async Task After_a_cancelled_flush_nothing_more_is_sent()
    {
        (MemoryConnection left, _) = DuplexPair.Create(capacity: 1000);
        NoiseChannel channel = NoiseEnd(left, 1, 2);
        using var cancel = new CancellationTokenSource();
        channel.Write(RandomBytes(5000));
        Task flush = channel.FlushAsync(cancel.Token).AsTask();
        Assert.False(flush.IsCompleted);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => flush);
        Assert.Equal(TransportError.ConnectionClosed, Assert.Throws<TransportException>(() => channel.Write(RandomBytes(1))).Error);
        var error = await Assert.ThrowsAsync<TransportException>(() => channel.FlushAsync(CancellationToken.None).AsTask());
        Assert.Equal(TransportError.ConnectionClosed, error.Error);
    }

    [Fact]
    public async Task A_cancelled_read_loses_nothing()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        (NoiseChannel sender, NoiseChannel receiver) = NoisePair(left, right);
        using var cancel = new CancellationTokenSource();
        byte[] buffer = new byte[100];
        Task<int> read = receiver.ReadAsync(buffer, cancel.Token).AsTask();
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read);
        await WriteAsync(sender, RandomBytes(10));
        Assert.Equal(10, await receiver.ReadAsync(buffer, CancellationToken.None));
    }

    [Fact]
    public async Task Disposing_ends_pending_calls_and_returns_every_block_once()
    {
        BlockPool pool = PoisonedPool();
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create(capacity: 1000);
        NoiseChannel channel = NoiseEnd(left, 1, 2, pool: pool);
        channel.Write(RandomBytes(100_000));
        Task flush = channel.FlushAsync(CancellationToken.None).AsTask();
        Task<int> read = channel.ReadAsync(new byte[100], CancellationToken.None).AsTask();
        channel.Abort();
        await channel.DisposeAsync();
        await channel.DisposeAsync();
        await Assert.ThrowsAsync<TransportException>(() => flush);
        await Assert.ThrowsAsync<TransportException>(() => read);
        Assert.Equal(0, pool.RentedBlocks);
        Assert.True(left.IsDisposed);
        Assert.Equal(TransportError.ConnectionClosed, Assert.Throws<TransportException>(() => channel.Write(RandomBytes(1))).Error);
        await Assert.ThrowsAsync<TransportException>(async () => await channel.ReadAsync(new byte[1], CancellationToken.None));
    }

    [Fact]
    public async Task Two_readers_at_once_are_refused()
    {
        (MemoryConnection left, _) = DuplexPair.Create();
        NoiseChannel channel = NoiseEnd(left, 1, 2);
        Task<int> read = channel.ReadAsync(new byte[100], CancellationToken.None).AsTask();
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await channel.ReadAsync(new byte[100], CancellationToken.None));
        channel.Abort();
        await Assert.ThrowsAsync<TransportException>(() => read);
    }
}
