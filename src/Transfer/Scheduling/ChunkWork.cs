using System.Buffers;
using FastShare.Transfer.Framing;
using Microsoft.Extensions.ObjectPool;

namespace FastShare.Transfer.Scheduling;

/// <summary>
/// A chunk that was read and waits to be sent. Recycled; owned by whoever took it from the channel, who returns it to the pool,
/// and its block with it.
/// </summary>
internal sealed class ChunkWork
{
    /// <summary>The frame's header.</summary>
    public ChunkHeader Header { get; private set; }

    /// <summary>The payload; <see cref="ChunkHeader.Length"/> bytes of the block.</summary>
    public ReadOnlyMemory<byte> Payload => _block!.Memory[..Header.Length];

    private IMemoryOwner<byte>? _block;

    /// <summary>Takes over <paramref name="block"/>.</summary>
    public void Set(in ChunkHeader header, IMemoryOwner<byte> block)
    {
        Header = header;
        _block = block;
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
            return true;
        }
    }
}
