using FastShare.Transfer.Planning;

namespace FastShare.Transfer.Sessions;

/// <summary>
/// The manifest of an outgoing transfer while it is being listed, and after: it outlives connections, so that a resumed transfer
/// offers the same entries. Thread-safe.
/// </summary>
/// <param name="paths">Files and folders; none where a stream is sent.</param>
/// <param name="keepLinks">Whether symbolic links are sent.</param>
/// <param name="stream">The one entry that is no path.</param>
internal sealed class SourceManifest(IReadOnlyList<string> paths, bool keepLinks, ManifestEntry? stream = null)
{
    /// <summary>Who waits is told of so many new entries at once: each time costs a page, a plan and a dozen thread switches.</summary>
    private const uint NewsEntries = 256;

    /// <summary>Or after this time, where listing is slow.</summary>
    private static readonly TimeSpan NewsTime = TimeSpan.FromMilliseconds(20);

    /// <summary>Inodes of a page.</summary>
    private const int PageEntries = 4096;

    private readonly Lock _gate = new();
    private readonly EntryLog _entries = new(); // guarded by _gate
    private readonly List<ulong[]> _inodes = []; // guarded by _gate; by id, in pages: one list would be copied as it grows
    private readonly EntrySet _sparse = new(); // guarded by _gate
    private readonly List<(uint First, string Root, ulong Device)> _places = []; // guarded by _gate; of all entries from the first on; few
    private readonly Pulse _news = new();
    private long _files; // guarded by _gate
    private long _bytes; // guarded by _gate
    private bool _complete; // guarded by _gate

    public uint Count
    {
        get
        {
            lock (_gate) return _entries.Count;
        }
    }

    /// <summary>Whether everything is listed.</summary>
    public bool IsComplete
    {
        get
        {
            lock (_gate) return _complete;
        }
    }

    /// <summary>Files and bytes listed so far.</summary>
    public (long Files, long Bytes) Totals
    {
        get
        {
            lock (_gate) return (_files, _bytes);
        }
    }

    public SourceEntry this[uint id]
    {
        get
        {
            lock (_gate)
            {
                (_, string root, ulong device) = _places[PlaceOf(id)];
                return new SourceEntry(_entries[id], root)
                {
                    FileId = _inodes[(int)(id / PageEntries)][id % PageEntries],
                    Device = device,
                    IsSparse = _sparse.Contains(id),
                };
            }
        }
    }

    /// <summary>What the peer is told of an entry.</summary>
    public ManifestEntry EntryOf(uint id)
    {
        lock (_gate) return _entries[id];
    }

    /// <summary>The bytes of a manifest page that begins with an entry that is listed, and the entry behind it.</summary>
    public ReadOnlyMemory<byte> PageFrom(uint first, out uint next)
    {
        lock (_gate) return _entries.PageFrom(first, out next);
    }

    /// <summary>
    /// Lists everything; run once, beside the connections. What cannot be read is left out and told to <paramref name="failed"/>.
    /// </summary>
    /// <exception cref="TransferException">Nothing can be sent at all.</exception>
    public void List(
        Action<long, long> added, Action<TransferException> failed, TimeProvider time, CancellationToken cancellationToken)
    {
        if (stream is not null)
        {
            lock (_gate)
            {
                _entries.Add(stream);
                AddIdentity(new SourceEntry(stream, ""));
                _files = 1;
                _bytes = stream.AnnouncedBytes;
                _complete = true;
            }

            _news.Signal();
            return;
        }

        uint told = 0;
        long toldAt = time.GetTimestamp();
        var lister = new SourceLister(paths, keepLinks);
        foreach (SourceEntry entry in lister.List())
        {
            cancellationToken.ThrowIfCancellationRequested();
            bool isFile = entry.Entry.Kind == EntryKind.File;
            lock (_gate)
            {
                if (_entries.Count >= Framing.TransferProtocol.MaxEntries)
                    throw new TransferException(TransferError.Refused,
                        $"there are more than {Framing.TransferProtocol.MaxEntries} files and folders to send; send them in parts");
                _entries.Add(entry.Entry);
                AddIdentity(entry);
                if (isFile)
                {
                    _files++;
                    _bytes += entry.Entry.Size;
                }
            }

            if (isFile) added(1, entry.Entry.Size);
            uint listed = entry.Entry.Id + 1;
            if (listed - told < NewsEntries && time.GetElapsedTime(toldAt) < NewsTime) continue;
            told = listed;
            toldAt = time.GetTimestamp();
            _news.Signal();
        }

        foreach (TransferException failure in lister.Failures)
        {
            // Nothing listed: the failure is the transfer's.
            if (Count == 0) throw failure;
            failed(failure);
        }

        lock (_gate) _complete = true;
        _news.Signal();
    }

    // Under the gate.
    private void AddIdentity(SourceEntry entry)
    {
        uint id = entry.Entry.Id;
        if (id / PageEntries == _inodes.Count) _inodes.Add(new ulong[PageEntries]);
        _inodes[^1][id % PageEntries] = entry.FileId;
        if (entry.IsSparse) _sparse.Add(id);
        if (_places.Count == 0 || _places[^1].Device != entry.Device || _places[^1].Root != entry.Root)
            _places.Add((id, entry.Root, entry.Device));
    }

    // Under the gate. The last place that begins at the entry or before.
    private int PlaceOf(uint id)
    {
        int low = 0;
        for (int high = _places.Count - 1; low < high;)
        {
            int middle = (low + high + 1) / 2;
            if (_places[middle].First <= id) low = middle;
            else high = middle - 1;
        }

        return low;
    }

    /// <summary>Waits for entries from <paramref name="known"/> on; false: there will be none.</summary>
    public async ValueTask<bool> WaitBeyondAsync(uint known, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task news = _news.Next;
            lock (_gate)
            {
                if (_entries.Count > known) return true;
                if (_complete) return false;
            }

            await news.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }
}
