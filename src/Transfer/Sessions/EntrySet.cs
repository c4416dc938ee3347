namespace FastShare.Transfer.Sessions;

/// <summary>A set of entry ids: one bit each, growing with the largest. Used under its owner's lock.</summary>
internal sealed class EntrySet
{
    private readonly List<ulong> _words = [];

    public bool Contains(uint id) => id >> 6 < _words.Count && (_words[(int)(id >> 6)] & 1UL << (int)(id & 63)) != 0;

    /// <summary>All ids, ascending.</summary>
    public IEnumerable<uint> All()
    {
        for (int word = 0; word < _words.Count; word++)
        {
            for (ulong rest = _words[word]; rest != 0; rest &= rest - 1)
                yield return (uint)(word * 64 + System.Numerics.BitOperations.TrailingZeroCount(rest));
        }
    }

    /// <summary>True if it was not in the set.</summary>
    public bool Add(uint id)
    {
        int word = (int)(id >> 6);
        while (_words.Count <= word) _words.Add(0);
        ulong bit = 1UL << (int)(id & 63);
        bool added = (_words[word] & bit) == 0;
        _words[word] |= bit;
        return added;
    }
}
