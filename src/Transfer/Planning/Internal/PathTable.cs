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
/// Remembers paths in 16 bytes each (a table of a million is 23 MiB): 64 + 30 bits of the folded path's hash, 32 bits of the exact
/// path's, 2 bits of use. The hashes are seeded afresh, so a peer can neither aim at a slot nor hide a second spelling; two
/// different paths taken for one would only refuse that manifest (with chance 2^-50 for a million entries). Not thread-safe.
/// </summary>
internal sealed class PathTable
{
    private const int PartBits = 10;
    private const int FirstSlots = 4;
    private const long SlotBytes = 16;
    private const ulong UseMask = 3;
    private const ulong FoldedLowMask = ~((1UL << 34) - 1);

    private readonly long _seed = BitConverter.ToInt64(RandomNumberGenerator.GetBytes(8));

    // In parts, by the first bits of the hash: a part is copied as it grows, the whole never. Each is open addressing; a slot with
    // Low & UseMask = 0 is free.
    private readonly Slot[]?[] _parts = new Slot[1 << PartBits][];
    private readonly int[] _counts = new int[1 << PartBits];

    /// <summary>Memory taken, in bytes.</summary>
    public long MemoryHeld { get; private set; }

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
        Slot slot = _parts[PartOf(key)] is { } slots ? slots[Probe(slots, key)] : default;
        sameSpelling = (uint)(slot.Low >> 2) == key.Exact;
        return (PathUse)(slot.Low & UseMask);
    }

    /// <summary>Adds a path, or changes the use of a known one.</summary>
    public void Set(Key key, PathUse use)
    {
        int part = PartOf(key);
        if (_parts[part] is not { } slots) slots = Renew(part, new Slot[FirstSlots]);
        if (_counts[part] >= slots.Length * 3L / 4) slots = Renew(part, Grow(slots));
        ref Slot slot = ref slots[Probe(slots, key)];
        if ((slot.Low & UseMask) == 0) _counts[part]++;
        slot = new Slot(key.FoldedHigh, key.FoldedLow | (ulong)key.Exact << 2 | (ulong)use);
    }

    private Slot[] Renew(int part, Slot[] slots)
    {
        MemoryHeld += (slots.Length - (_parts[part]?.Length ?? 0)) * SlotBytes;
        return _parts[part] = slots;
    }

    private static int PartOf(Key key) => (int)(key.FoldedHigh >> (64 - PartBits));

    private static int Probe(Slot[] slots, Key key)
    {
        // the low half of the hash as a fraction of the length, which need not be a power of two
        for (int i = (int)((key.FoldedHigh & uint.MaxValue) * (ulong)slots.Length >> 32); ; i = i + 1 == slots.Length ? 0 : i + 1)
        {
            Slot slot = slots[i];
            if ((slot.Low & UseMask) == 0 || (slot.High == key.FoldedHigh && (slot.Low & FoldedLowMask) == key.FoldedLow)) return i;
        }
    }

    private static Slot[] Grow(Slot[] slots)
    {
        var larger = new Slot[slots.Length / 2 * 3];
        foreach (Slot slot in slots)
        {
            if ((slot.Low & UseMask) == 0) continue;
            larger[Probe(larger, new Key(slot.High, slot.Low & FoldedLowMask, 0))] = slot;
        }

        return larger;
    }
}
