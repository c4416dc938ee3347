using CsCheck;
using FastShare.Testing;
using FastShare.Transport.Buffers;
using FastShare.Transport.Security.Internal;
using FastShare.Transport.Tests.Identity;
using static FastShare.Transport.Tests.Security.SecurityFixture;

namespace FastShare.Transport.Tests.Security;

public sealed class NoiseChannelPropertyTests
{
    // Sizes around every boundary of the code, and anything between.
    private static readonly Gen<int> Size = Gen.OneOf(
        Gen.Int[1, 100],
        Gen.Int[4090, 4100],
        Gen.Int[65_500, 65_540],
        Gen.Int[1, 256 << 10],
        Gen.OneOf<int>(1, 2, 12, 16, 4096, 4097, 65_503, 65_504, 65_519, 65_520, 131_006, 256 << 10));

    [Fact]
    public void Whatever_the_sizes_what_is_written_is_read()
    {
        Gen<int> capacities = Gen.OneOf(1 << 20, 70_000, 5_000), receives = Gen.OneOf(int.MaxValue, 100_000, 1_447);
        Gen.Select(Size.Array[1, 12], Size.Array[1, 8], capacities, receives, Gen.OneOf(NoiseSuite.Aegis, NoiseSuite.AesGcm, NoiseSuite.ChaChaPoly))
            .Sample(
                (writes, reads, capacity, maxReceive, suite) =>
                {
                    // A thousand reads are enough of any size.
                    while (writes.Length > 1 && writes.Sum() > reads.Average() * 1000) writes = writes[1..];
                    BlockPool pool = PoisonedPool();
                    (MemoryConnection left, MemoryConnection right) = DuplexPair.Create(capacity, maxReceive);
                    (NoiseChannel sender, NoiseChannel receiver) = NoisePair(
                        left, right, suite, pool);
                    byte[] data = RandomBytes(writes.Sum(), writes.Length);
                    Task send = Task.Run(() => SendAll(sender, data, writes));
                    byte[] received = ReceiveAll(receiver, reads, data.Length).GetAwaiter().GetResult();
                    send.GetAwaiter().GetResult();
                    Assert.Equal(data, received);
                    receiver.DisposeAsync().AsTask().GetAwaiter().GetResult();
                    sender.DisposeAsync().AsTask().GetAwaiter().GetResult();
                    Assert.Equal(0, pool.RentedBlocks);
                },
                iter: 60,
                threads: 1);
    }

    private static async Task SendAll(NoiseChannel channel, byte[] data, int[] sizes)
    {
        int at = 0;
        foreach (int size in sizes)
        {
            channel.Write(data.AsMemory(at, size));
            at += size;
            if (channel.Pending >= channel.BatchSize || size % 3 == 0) await channel.FlushAsync(CancellationToken.None);
        }

        await channel.FlushAsync(CancellationToken.None);
        channel.CloseWrite();
    }

    private static async Task<byte[]> ReceiveAll(NoiseChannel channel, int[] sizes, int expected)
    {
        var received = new MemoryStream();
        for (int i = 0; ; i++)
        {
            byte[] buffer = new byte[sizes[i % sizes.Length]];
            int count = await channel.ReadAsync(buffer, CancellationToken.None);
            if (count == 0) break;
            received.Write(buffer, 0, count);
            if (received.Length > expected) break;
        }

        return received.ToArray();
    }

    [Fact]
    public async Task Dribbled_bytes_are_read_like_any_other()
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create(maxReceive: 1);
        (NoiseChannel sender, NoiseChannel receiver) = NoisePair(left, right);
        byte[] data = RandomBytes(70_000);
        await WriteAsync(sender, data);
        Assert.Equal(data, await ReadAsync(receiver, data.Length));
    }

    [Fact]
    public void Fuzzed_records_fail_with_the_typed_error_and_never_deliver_what_was_not_sealed()
    {
        BlockPool pool = BlockPool.Shared;
        Gen.Int.Sample(
            number =>
            {
                var random = new Random(number);
                byte[][] plaintexts = [.. Enumerable.Range(0, random.Next(1, 4)).Select(i => RandomBytes(random.Next(60), i))];
                NoiseCipherState cipher = Cipher(1);
                byte[] wire = Fuzz.Alter(random, plaintexts.SelectMany(plaintext => Record(cipher, plaintext)).ToArray());
                byte[] sent = [.. plaintexts.SelectMany(plaintext => plaintext)];
                using var opener = new NoiseRecordOpener(Cipher(1), pool);
                byte[] buffer = new byte[random.Next(1, 100)];
                var delivered = new List<byte>();
                try
                {
                    while (!wire.AsSpan().IsEmpty)
                    {
                        Memory<byte> free = opener.GetReceiveMemory();
                        int count = Math.Min(Math.Min(free.Length, wire.Length), random.Next(1, 80));
                        wire.AsSpan(0, count).CopyTo(free.Span);
                        opener.Received(count);
                        wire = wire[count..];
                        while ((count = opener.Read(buffer)) > 0) delivered.AddRange(buffer.AsSpan(0, count));
                    }
                }
                catch (TransportException e)
                {
                    Assert.Equal(TransportError.ProtocolViolation, e.Error);
                }

                Assert.True(sent.AsSpan().StartsWith(delivered.ToArray()));
            },
            iter: 20_000,
            threads: 1);
    }

    [Theory]
    [InlineData(64 << 10, 256 << 10)]
    [InlineData(100, 12)]
    [InlineData(10_000, 300)]
    public void Reading_and_writing_allocates_nothing(int writeSize, int readSize)
    {
        (MemoryConnection left, MemoryConnection right) = DuplexPair.Create();
        (NoiseChannel sender, NoiseChannel receiver) = NoisePair(left, right, pool: new BlockPool());
        byte[] header = RandomBytes(12), data = RandomBytes(writeSize), buffer = new byte[readSize];
        for (int i = 0; i < 100; i++) Round(); // pools fill, code is compiled
        Assert.Equal(0, Allocation.Least(Round));

        void Round()
        {
            sender.Write(header);
            sender.Write(data);
            Complete(sender.FlushAsync(CancellationToken.None));
            int left = header.Length + data.Length;
            while (left > 0)
            {
                ValueTask<int> read = receiver.ReadAsync(buffer, CancellationToken.None);
                if (!read.IsCompleted) throw new InvalidOperationException("a read waited although the bytes are there");
                left -= read.GetAwaiter().GetResult();
            }
        }

        static void Complete(ValueTask task)
        {
            if (!task.IsCompleted) throw new InvalidOperationException("a flush waited although there was room");
            task.GetAwaiter().GetResult();
        }
    }
}
