using System.Buffers;
using FastShare.Transfer.Framing;

namespace FastShare.Transfer.Scheduling;

/// <summary>
/// A chunk of a stream, kept until the receiver has taken it: it cannot be read again. Shared by the window and by whoever sends it;
/// each disposes its share, the last one returns the block. Thread-safe.
/// </summary>
internal sealed class HeldChunk(IMemoryOwner<byte> block) : IMemoryOwner<byte>
{
    private int _shares = 1; // interlocked

    public Memory<byte> Memory => block.Memory;

    public int Length { get; private set; }

    public UInt128 Digest { get; private set; }

    /// <summary>Whether it was handed out for sending before. Written by the stream's one reader.</summary>
    public bool WasSent { get; set; }

    /// <summary>What was read; before anybody else has the object.</summary>
    public void Fill(int length, UInt128 digest)
    {
        Length = length;
        Digest = digest;
    }

    /// <summary>One share more. Only by who holds one.</summary>
    public HeldChunk Share()
    {
        Interlocked.Increment(ref _shares);
        return this;
    }

    /// <summary>The frame's header.</summary>
    public ChunkHeader Header(uint id, long offset) => new(id, ChunkFlags.None, offset, Length, Digest);

    public void Dispose()
    {
        if (Interlocked.Decrement(ref _shares) == 0) block.Dispose();
    }
}
