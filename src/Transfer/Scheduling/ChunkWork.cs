using System.Buffers;
using FastShare.Transfer.Framing;
using Microsoft.Extensions.ObjectPool;

namespace FastShare.Transfer.Scheduling;

/// <summary>
/// A chunk that was read and waits to be sent, or a bundle of small ones, framed one behind the other in one block. Recycled; owned by
/// whoever took it from the channel, who returns it to the pool, and with it its block and what it took of the memory budget.
/// </summary>
internal sealed class ChunkWork
{
    private readonly List<SentChunk> _bundled = [];
    private int _framed; // bytes of the block that are frames of a bundle
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

    /// <summary>The chunks of a bundle, in the order of their frames; none: this is a single chunk.</summary>
    public IReadOnlyList<SentChunk> Bundled => _bundled;

    /// <summary>Bytes of the bundled chunks without their headers.</summary>
    public int BundledBytes => _framed - _bundled.Count * ChunkHeader.Size;

    /// <summary>The frames of a bundle.</summary>
    public ReadOnlyMemory<byte> Frames => _block!.Memory[.._framed];

    /// <summary>Where the next frame of a bundle goes: its header, to be left to <see cref="Append"/>, and behind it the payload.</summary>
    public Memory<byte> Room => _block!.Memory[_framed..];

    /// <summary>Becomes an empty bundle. Takes over as <see cref="Set"/> does.</summary>
    public void Begin(IMemoryOwner<byte> block, MemoryBudget budget, int charged)
    {
        _block = block;
        _budget = budget;
        _charged = charged;
    }

    /// <summary>Adds a file's only chunk, whose payload stands in <see cref="Room"/>.</summary>
    public void Append(in ChunkHeader header)
    {
        header.Write(Room.Span);
        _framed += ChunkHeader.Size + header.Length;
        _bundled.Add(new SentChunk(header.FileId, 0, header.Length));
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
            work._bundled.Clear();
            work._framed = 0;
            return true;
        }
    }
}
