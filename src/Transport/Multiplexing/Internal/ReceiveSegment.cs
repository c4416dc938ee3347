using System.Buffers;
using System.Diagnostics;
using Microsoft.Extensions.ObjectPool;

namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>
/// A pooled block of received bytes as a link of the sequence that a reader sees. Not thread-safe: guarded by the lock of
/// <see cref="StreamInput"/>. The memory behind <see cref="End"/> belongs to the frame reader while it fills it.
/// </summary>
internal sealed class ReceiveSegment : ReadOnlySequenceSegment<byte>
{
    private static readonly ObjectPool<ReceiveSegment> Pool = new DefaultObjectPool<ReceiveSegment>(new Policy(), 1024);

    private IMemoryOwner<byte>? _block;
    private Memory<byte> _memory;

    private ReceiveSegment()
    {
    }

    /// <summary>Bytes filled.</summary>
    public int End { get; private set; }

    /// <summary>Size of the block, in bytes.</summary>
    public int Capacity => _memory.Length;

    /// <summary>Memory behind what is filled.</summary>
    public Memory<byte> Free => _memory[End..];

    /// <summary>The segment behind this one.</summary>
    public ReceiveSegment? Following => (ReceiveSegment?)Next;

    /// <summary>A segment that owns <paramref name="block"/>.</summary>
    public static ReceiveSegment Rent(IMemoryOwner<byte> block)
    {
        ReceiveSegment segment = Pool.Get();
        Debug.Assert(segment._block is null, "a segment in the pool still owns a block");
        segment._block = block;
        segment._memory = block.Memory;
        return segment;
    }

    /// <summary>Makes this the end of a chain; <paramref name="position"/> counts the stream's bytes before it.</summary>
    public void Link(ReceiveSegment? previous, long position)
    {
        RunningIndex = position;
        previous?.Next = this;
    }

    /// <summary>Adds bytes written to <see cref="Free"/>. A reader's sequence over earlier bytes stays valid.</summary>
    public void Append(int count)
    {
        End += count;
        Memory = _memory[..End];
    }

    /// <summary>Returns the block and this object to their pools.</summary>
    public void Return()
    {
        IMemoryOwner<byte> block = _block!;
        _block = null;
        _memory = default;
        Memory = default;
        Next = null;
        RunningIndex = 0;
        End = 0;
        block.Dispose();
        Pool.Return(this);
    }

    private sealed class Policy : PooledObjectPolicy<ReceiveSegment>
    {
        public override ReceiveSegment Create() => new();

        public override bool Return(ReceiveSegment obj) => true;
    }
}
