using System.Buffers;

namespace FastShare.Transfer.Planning;

/// <summary>
/// The entries of a manifest by id, held in the form of manifest pages: what tells each from the one before, where objects take ten times
/// as much. Made for ids that are asked for in about their order: a page that is asked for is decoded once and kept for a while.
/// Append-only. Not thread-safe.
/// </summary>
internal sealed class EntryLog
{
    /// <summary>Entries of a page: what one stray question costs to decode, about 25 µs.</summary>
    private const int PageEntries = 256;

    /// <summary>Bytes of a page, for paths that are extremely long: what is kept decoded stays within a few megabytes.</summary>
    private const int PageBytes = ManifestPage.MaxBytes / 8;

    /// <summary>Decoded pages kept: planning, each lane, acknowledgements and finishing are at different places.</summary>
    private const int KeptPages = 16;

    private readonly List<(uint First, byte[] Bytes)> _pages = [];
    private List<ManifestEntry> _tail = new(PageEntries); // not yet a page
    private readonly (int Page, List<ManifestEntry> Entries)[] _kept = new (int, List<ManifestEntry>)[KeptPages];
    private readonly ArrayBufferWriter<byte> _encoded = new();
    private uint _tailFirst;
    private int _tailBytes;
    private int _nextKept;

    /// <summary>Makes an empty one.</summary>
    public EntryLog() => Array.Fill(_kept, (-1, []));

    /// <summary>
    /// Memory that grows with the entries, in bytes. Beside it there are at most <see cref="KeptPages"/> decoded pages.
    /// </summary>
    public long MemoryHeld { get; private set; }

    /// <summary>Entries so far: the id of the next one.</summary>
    public uint Count => _tailFirst + (uint)_tail.Count;

    /// <summary>The entry with an id.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is none.</exception>
    public ManifestEntry this[uint id]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(id, Count);
            if (id >= _tailFirst) return _tail[(int)(id - _tailFirst)];
            int page = Find(id);
            return Decoded(page)[(int)(id - _pages[page].First)];
        }
    }

    /// <summary>Appends a validated entry, whose id is <see cref="Count"/>.</summary>
    public void Add(ManifestEntry entry)
    {
        if (entry.Id != Count) throw new ArgumentException($"entry {entry.Id} comes where {Count} is due", nameof(entry));
        _tail.Add(entry);
        _tailBytes += ManifestPage.EncodedLength(entry);
        if (_tail.Count < PageEntries && _tailBytes < PageBytes) return;
        _encoded.ResetWrittenCount();
        ManifestPage.Encode(_tail, _encoded);
        _pages.Add((_tailFirst, _encoded.WrittenSpan.ToArray()));
        MemoryHeld += _encoded.WrittenCount;
        _tailFirst += (uint)_tail.Count;
        // who asks for what has just come need not decode it
        Keep(_pages.Count - 1, _tail);
        _tail = new List<ManifestEntry>(PageEntries);
        _tailBytes = 0;
    }

    /// <summary>The bytes of a manifest page that begins with an entry, and the entry behind it.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such entry.</exception>
    public ReadOnlyMemory<byte> PageFrom(uint first, out uint next)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(first, Count);
        int page = first < _tailFirst ? Find(first) : _pages.Count;
        next = page + 1 < _pages.Count ? _pages[page + 1].First : page < _pages.Count ? _tailFirst : Count;
        if (page < _pages.Count && _pages[page].First == first) return _pages[page].Bytes;
        uint start = page < _pages.Count ? _pages[page].First : _tailFirst;
        List<ManifestEntry> entries = page < _pages.Count ? Decoded(page) : _tail;
        _encoded.ResetWrittenCount();
        ManifestPage.Encode(entries.GetRange((int)(first - start), (int)(next - first)), _encoded);
        return _encoded.WrittenSpan.ToArray();
    }

    private int Find(uint id)
    {
        // Most pages are full ones, so the guess is the answer unless paths are extremely long; then it is a later page.
        int low = Math.Min((int)(id / PageEntries), _pages.Count - 1);
        if (low + 1 == _pages.Count || _pages[low + 1].First > id) return low;
        for (int high = _pages.Count - 1; low < high;)
        {
            int middle = (low + high + 1) / 2;
            if (_pages[middle].First <= id) low = middle;
            else high = middle - 1;
        }

        return low;
    }

    private List<ManifestEntry> Decoded(int page)
    {
        foreach ((int kept, List<ManifestEntry> entries) in _kept)
        {
            if (kept == page) return entries;
        }

        List<ManifestEntry> decoded = ManifestPage.Decode(new ReadOnlySequence<byte>(_pages[page].Bytes));
        Keep(page, decoded);
        return decoded;
    }

    private void Keep(int page, List<ManifestEntry> entries)
    {
        _kept[_nextKept] = (page, entries);
        _nextKept = (_nextKept + 1) % KeptPages;
    }
}
