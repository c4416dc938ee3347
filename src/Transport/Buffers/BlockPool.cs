using System.Buffers;
using System.Diagnostics.CodeAnalysis;

namespace FastShare.Transport.Buffers;

/// <summary>
/// A pool of pinned memory blocks in four sizes. A block has one owner, who disposes it exactly once; its content is whatever
/// the last owner left. Thread-safe; renting and returning allocate nothing in steady state. The block returned last goes out first:
/// of all idle ones, it is most likely still in a processor's cache.
/// </summary>
public sealed class BlockPool : MemoryPool<byte>
{
    /// <summary>Sizes of the blocks, in bytes: a small message, one sealed record, a batch of records, a chunk.</summary>
    private static readonly int[] Sizes = [4 << 10, 64 << 10, 256 << 10, 1 << 20];

    // What lies idle of each size: at most 16 MiB, 1 MiB of the smallest, or as much as is in use. Less, and with more than that coming
    // and going, blocks would be made and thrown away all the time.
    private static readonly int[] Retained = [256, 256, 64, 16];

    private readonly IdleBlocks[] _idle = [new(), new(), new(), new()];
    private readonly int[] _rentedCount = new int[4]; // interlocked

    /// <summary>The pool that everything uses unless it is given another.</summary>
    public static new BlockPool Shared { get; } = new();

    /// <summary>Largest block, in bytes; larger requests are refused.</summary>
    public override int MaxBufferSize => Sizes[^1];

    /// <summary>Blocks handed out and not returned.</summary>
    public long RentedBlocks
    {
        get
        {
            long sum = 0;
            for (int size = 0; size < Sizes.Length; size++) sum += Volatile.Read(ref _rentedCount[size]);
            return sum;
        }
    }

    /// <summary>Bytes in blocks that lie idle.</summary>
    internal long IdleBytes
    {
        get
        {
            long sum = 0;
            for (int size = 0; size < Sizes.Length; size++) sum += (long)Sizes[size] * _idle[size].Count;
            return sum;
        }
    }

    /// <summary>When set (tests), returned blocks are overwritten and never reused, so that use after return shows.</summary>
    internal bool PoisonOnReturn { get; init; }

    /// <summary>A block of at least <paramref name="minBufferSize"/> bytes (−1: the smallest size). Its length may be larger.</summary>
    /// <exception cref="ArgumentOutOfRangeException">More than <see cref="MaxBufferSize"/> bytes.</exception>
    public override IMemoryOwner<byte> Rent(int minBufferSize = -1)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(minBufferSize, MaxBufferSize);
        int size = 0;
        while (Sizes[size] < minBufferSize) size++;
        Interlocked.Increment(ref _rentedCount[size]);
        if (_idle[size].Take() is not { } block) return new Block(this, size);
        block.Reuse();
        return block;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
    }

    private void Return(Block block, int size)
    {
        int rented = Interlocked.Decrement(ref _rentedCount[size]);
        if (PoisonOnReturn) return;
        // Where there is no room, two go, so that what lies idle shrinks along with what is in use.
        if (!_idle[size].TryAdd(block, Math.Max(Retained[size], rented))) _idle[size].Take();
    }

    /// <summary>Blocks of one size that nobody uses, the latest on top. Thread-safe.</summary>
    private sealed class IdleBlocks
    {
        private readonly Lock _gate = new();
        private Block? _top; // guarded by _gate
        private int _count; // guarded by _gate

        public int Count
        {
            get
            {
                lock (_gate) return _count;
            }
        }

        public Block? Take()
        {
            lock (_gate)
            {
                if (_top is not { } block) return null;
                _top = block.Below;
                block.Below = null;
                _count--;
                return block;
            }
        }

        public bool TryAdd(Block block, int most)
        {
            lock (_gate)
            {
                if (_count >= most) return false;
                block.Below = _top;
                _top = block;
                _count++;
                return true;
            }
        }
    }

    private sealed class Block(BlockPool pool, int size) : MemoryManager<byte>
    {
        private readonly byte[] _array = GC.AllocateUninitializedArray<byte>(Sizes[size], pinned: true);
        private int _returned; // 0 rented, 1 idle; interlocked

        /// <summary>The idle block under this one. Guarded by the gate of <see cref="IdleBlocks"/>.</summary>
        public Block? Below { get; set; }

        public override Memory<byte> Memory => CreateMemory(_array.Length);

        public void Reuse() => Volatile.Write(ref _returned, 0);

        public override Span<byte> GetSpan() => _array;

        public override unsafe MemoryHandle Pin(int elementIndex = 0)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)elementIndex, (uint)_array.Length);
            // Pinned for life: the handle needs no GC handle of its own.
            fixed (byte* start = _array) return new MemoryHandle(start + elementIndex);
        }

        public override void Unpin()
        {
        }

        protected override bool TryGetArray(out ArraySegment<byte> segment)
        {
            segment = new ArraySegment<byte>(_array);
            return true;
        }

        [SuppressMessage("Usage", "CA2215", Justification = "The base has nothing to dispose; the block goes back to its pool.")]
        protected override void Dispose(bool disposing)
        {
            if (!disposing) return;
            if (Interlocked.Exchange(ref _returned, 1) != 0) throw new InvalidOperationException("a memory block was returned to its pool twice");
            if (pool.PoisonOnReturn) _array.AsSpan().Fill(0xdd);
            pool.Return(this, size);
        }
    }
}
