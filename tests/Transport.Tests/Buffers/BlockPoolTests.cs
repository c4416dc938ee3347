using System.Buffers;
using System.Runtime.InteropServices;
using FastShare.Transport.Buffers;

namespace FastShare.Transport.Tests.Buffers;

public sealed class BlockPoolTests
{
    [Theory]
    [InlineData(-1, 4 << 10)]
    [InlineData(0, 4 << 10)]
    [InlineData(1, 4 << 10)]
    [InlineData(4 << 10, 4 << 10)]
    [InlineData((4 << 10) + 1, 64 << 10)]
    [InlineData(64 << 10, 64 << 10)]
    [InlineData((64 << 10) + 1, 256 << 10)]
    [InlineData((256 << 10) + 1, 1 << 20)]
    [InlineData(1 << 20, 1 << 20)]
    public void The_smallest_size_that_fits_is_rented(int asked, int given)
    {
        var pool = new BlockPool();
        using IMemoryOwner<byte> block = pool.Rent(asked);
        Assert.Equal(given, block.Memory.Length);
        Assert.Equal(1, pool.RentedBlocks);
    }

    [Fact]
    public void A_request_beyond_the_largest_block_is_refused()
    {
        var pool = new BlockPool();
        Assert.Throws<ArgumentOutOfRangeException>(() => pool.Rent(pool.MaxBufferSize + 1));
        Assert.Equal(0, pool.RentedBlocks);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_second_return_throws(bool poison)
    {
        var pool = new BlockPool { PoisonOnReturn = poison };
        IMemoryOwner<byte> block = pool.Rent(1);
        block.Dispose();
        Assert.Throws<InvalidOperationException>(block.Dispose);
        Assert.Equal(0, pool.RentedBlocks);
    }

    [Fact]
    public void A_returned_block_is_used_again()
    {
        var pool = new BlockPool();
        IMemoryOwner<byte> first = pool.Rent(100_000);
        first.Dispose();
        IMemoryOwner<byte> second = pool.Rent(200_000);
        Assert.Same(first, second);
        second.Dispose();
        Assert.NotSame(first, pool.Rent(1));
    }

    [Fact]
    public void The_block_returned_last_is_rented_first()
    {
        var pool = new BlockPool();
        IMemoryOwner<byte>[] blocks = [pool.Rent(1 << 20), pool.Rent(1 << 20), pool.Rent(1 << 20)];
        foreach (IMemoryOwner<byte> block in blocks) block.Dispose();
        Assert.Same(blocks[2], pool.Rent(1 << 20));
        Assert.Same(blocks[1], pool.Rent(1 << 20));
        blocks[2].Dispose();
        Assert.Same(blocks[2], pool.Rent(1 << 20));
        Assert.Same(blocks[0], pool.Rent(1 << 20));
        Assert.DoesNotContain(pool.Rent(1 << 20), blocks);
    }

    [Fact]
    public void A_poisoned_block_shows_use_after_return_and_is_not_used_again()
    {
        var pool = new BlockPool { PoisonOnReturn = true };
        IMemoryOwner<byte> block = pool.Rent(1);
        Memory<byte> kept = block.Memory;
        kept.Span.Fill(1);
        block.Dispose();
        Assert.True(kept.Span.IndexOfAnyExcept((byte)0xdd) < 0);
        Assert.NotSame(block, pool.Rent(1));
    }

    [Fact]
    public void Renting_and_returning_allocates_nothing_in_steady_state()
    {
        var pool = new BlockPool();
        IMemoryOwner<byte>[] held = new IMemoryOwner<byte>[16];
        void Cycle(int rounds)
        {
            for (int round = 0; round < rounds; round++)
            {
                for (int i = 0; i < held.Length; i++) held[i] = pool.Rent((i & 3) switch { 0 => 1, 1 => 64 << 10, 2 => 256 << 10, _ => 1 << 20 });
                foreach (IMemoryOwner<byte> block in held) block.Dispose();
            }
        }

        // The runtime itself allocates now and then (its cache of casts grows); a pool that did would do so in every window.
        long[] windows = new long[8];
        Cycle(1_000);
        for (int i = 0; i < windows.Length; i++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            Cycle(1_000);
            windows[i] = GC.GetAllocatedBytesForCurrentThread() - before;
        }

        Assert.Contains(0, windows);
        Assert.Equal(0, pool.RentedBlocks);
    }

    [Fact]
    public void What_lies_idle_is_bounded()
    {
        var pool = new BlockPool();
        IMemoryOwner<byte>[] blocks = [.. Enumerable.Range(0, 40).Select(_ => pool.Rent(1 << 20))];
        Assert.Equal(40, pool.RentedBlocks);
        foreach (IMemoryOwner<byte> block in blocks) block.Dispose();
        HashSet<IMemoryOwner<byte>> before = [.. blocks];
        Assert.Equal(16, Enumerable.Range(0, 40).Count(_ => before.Contains(pool.Rent(1 << 20))));
    }

    [Fact]
    public unsafe void Blocks_stay_where_they_are()
    {
        var pool = new BlockPool();
        using IMemoryOwner<byte> block = pool.Rent(1);
        using MemoryHandle start = block.Memory.Pin();
        using MemoryHandle middle = block.Memory[100..].Pin();
        Assert.Equal((nint)start.Pointer + 100, (nint)middle.Pointer);
        GC.Collect(2, GCCollectionMode.Forced, blocking: true, compacting: true);
        fixed (byte* now = block.Memory.Span) Assert.Equal((nint)start.Pointer, (nint)now);
        Assert.True(MemoryMarshal.TryGetArray<byte>(block.Memory, out ArraySegment<byte> array));
        Assert.Equal(block.Memory.Length, array.Count);
    }

    [Fact]
    public async Task No_block_has_two_owners_at_once()
    {
        var pool = new BlockPool();
        await Task.WhenAll(Enumerable.Range(1, 4).Select(mark => Task.Run(() =>
        {
            for (int i = 0; i < 20_000; i++)
            {
                using IMemoryOwner<byte> one = pool.Rent(1), two = pool.Rent(1);
                one.Memory.Span[0] = (byte)mark;
                two.Memory.Span[0] = (byte)(mark + 100);
                if (i % 64 == 0) Thread.Yield();
                Assert.Equal(mark, one.Memory.Span[0]);
                Assert.Equal(mark + 100, two.Memory.Span[0]);
            }
        })));
        Assert.Equal(0, pool.RentedBlocks);
    }

    [Fact]
    public void Blocks_that_come_and_go_in_great_number_are_not_made_anew()
    {
        var pool = new BlockPool();
        var blocks = new Queue<IMemoryOwner<byte>>();
        for (int i = 0; i < 100; i++) blocks.Enqueue(pool.Rent(1 << 20));
        var known = new HashSet<IMemoryOwner<byte>>(blocks);
        for (int round = 0; round < 10; round++)
        {
            for (int i = 0; i < 50; i++) blocks.Dequeue().Dispose();
            for (int i = 0; i < 50; i++) blocks.Enqueue(pool.Rent(1 << 20));
        }

        Assert.All(blocks, block => Assert.Contains(block, known));
        Assert.Equal(100, pool.RentedBlocks);
    }

    [Fact]
    public void What_lies_idle_shrinks_along_with_what_is_in_use()
    {
        var pool = new BlockPool();
        IMemoryOwner<byte>[] blocks = [.. Enumerable.Range(0, 100).Select(_ => pool.Rent(1 << 20))];
        foreach (IMemoryOwner<byte> block in blocks) block.Dispose();
        Assert.Equal(0, pool.RentedBlocks);
        Assert.InRange(pool.IdleBytes, 15 << 20, 16 << 20);
    }
}
