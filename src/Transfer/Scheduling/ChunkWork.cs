using System.Buffers;
using FastShare.Transfer.Framing;
using Microsoft.Extensions.ObjectPool;

namespace FastShare.Transfer.Scheduling;

/// <summary>
/// A chunk that was read and waits to be sent. Recycled; owned by whoever took it from the channel, who returns it to the pool,
/// and with it its block and what it took of the memory budget.
/// </summary>
internal sealed class ChunkWork
{
    private IMemoryOwner<byte>? _block;
    private MemoryBudget? _budget;
    private int _charged;

    /// <summary>The frame's header.</summary>
    public ChunkHeader Header { get; private set; }

    /// <summary>Which of its file's chunks this is.</summary>
    public long Index { get; private set; }

    /// <summary>The payload; <see cref="ChunkHeader.PayloadLength"/> bytes of the block.</summary>
    public ReadOnlyMemory<byte> Payload => _block is null ? default : _block.Memory[..Header.PayloadLength];

    /// <summary>Takes over <paramref name="block"/> (null: a hole), and <paramref name="charged"/> bytes taken from <paramref name="budget"/>.</summary>
    public void Set(in ChunkHeader header, long index, IMemoryOwner<byte>? block, MemoryBudget budget, int charged)
    {
        Header = header;
        Index = index;
        _block = block;
        _budget = budget;
        _charged = charged;
    }

    /// <summary>Work items for one transfer.</summary>
    public static ObjectPool<ChunkWork> CreatePool() =>
        new DefaultObjectPool<ChunkWork>(new Policy(), maximumRetained: 2 * TransferProtocol.MaxLanes);

    private sealed class Policy : PooledObjectPolicy<ChunkWork>
    {
        public override ChunkWork Create() => new();

        public override bool Return(ChunkWork work)
        {
            work._block?.Dispose();
            work._block = null;
            work._budget?.Release(work._charged);
            work._budget = null;
            return true;
        }
    }
}
