using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace FastShare.Transfer.Planning.Internal;

/// <summary>What a <see cref="PathTable"/> knows about a path.</summary>
internal enum PathUse : byte
{
    /// <summary>Not seen.</summary>
    None = 0,

    /// <summary>A file or a symbolic link.</summary>
    Leaf = 1,

    /// <summary>A folder with an entry of its own.</summary>
    Folder = 2,

    /// <summary>A folder known only from paths below it.</summary>
    ImplicitFolder = 3,
}

/// <summary>
/// Remembers paths in 16 bytes each (a table of a million is 32 MiB): 64 + 30 bits of the folded path's hash, 32 bits of the exact
/// path's, 2 bits of use. The hashes are seeded afresh, so a peer can neither aim at a slot nor hide a second spelling; two
/// different paths taken for one would only refuse that manifest (with chance 2^-50 for a million entries). Not thread-safe.
/// </summary>
internal sealed class PathTable
{
    private const ulong UseMask = 3;
    private const ulong FoldedLowMask = ~((1UL << 34) - 1);

    private readonly long _seed = BitConverter.ToInt64(RandomNumberGenerator.GetBytes(8));
    private Slot[] _slots = new Slot[64]; // open addressing; length a power of two; a slot with Low & UseMask = 0 is free
    private int _count;

    /// <summary>A path's key.</summary>
    internal readonly record struct Key(ulong FoldedHigh, ulong FoldedLow, uint Exact);

    private record struct Slot(ulong High, ulong Low);

    /// <summary>The key of a path.</summary>
    /// <param name="exact">As it is spelled.</param>
    /// <param name="folded">What <see cref="NameFolding.Fold"/> made of it.</param>
    public Key KeyOf(ReadOnlySpan<char> exact, ReadOnlySpan<int> folded)
    {
        UInt128 hash = XxHash128.HashToUInt128(MemoryMarshal.AsBytes(folded), _seed);
        return new Key((ulong)(hash >> 64), (ulong)hash & FoldedLowMask, (uint)XxHash3.HashToUInt64(MemoryMarshal.AsBytes(exact), ~_seed));
    }

    /// <summary>What is known about a path, and whether it was spelled exactly so.</summary>
    public PathUse Find(Key key, out bool sameSpelling)
    {
        Slot slot = _slots[Probe(_slots, key)];
        sameSpelling = (uint)(slot.Low >> 2) == key.Exact;
        return (PathUse)(slot.Low & UseMask);
    }

    /// <summary>Adds a path, or changes the use of a known one.</summary>
    public void Set(Key key, PathUse use)
    {
        if (_count >= _slots.Length / 4 * 3) Grow();
        ref Slot slot = ref _slots[Probe(_slots, key)];
        if ((slot.Low & UseMask) == 0) _count++;
        slot = new Slot(key.FoldedHigh, key.FoldedLow | (ulong)key.Exact << 2 | (ulong)use);
    }

    private static int Probe(Slot[] slots, Key key)
    {
        int mask = slots.Length - 1;
        for (int i = (int)key.FoldedHigh & mask; ; i = (i + 1) & mask)
        {
            Slot slot = slots[i];
            if ((slot.Low & UseMask) == 0 || (slot.High == key.FoldedHigh && (slot.Low & FoldedLowMask) == key.FoldedLow)) return i;
        }
    }

    private void Grow()
    {
        var larger = new Slot[_slots.Length * 2];
        foreach (Slot slot in _slots)
        {
            if ((slot.Low & UseMask) == 0) continue;
            larger[Probe(larger, new Key(slot.High, slot.Low & FoldedLowMask, 0))] = slot;
        }

        _slots = larger;
    }
}
