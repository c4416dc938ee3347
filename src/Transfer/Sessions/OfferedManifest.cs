using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transport.Identity;

namespace FastShare.Transfer.Sessions;

/// <summary>
/// The manifest of an incoming transfer as it arrives, validated entry by entry; it outlives connections. One writer (the control
/// reader of the connection at hand), any number of readers.
/// </summary>
internal sealed class OfferedManifest(long maxEntries)
{
    /// <summary>Memory that a manifest may take for each entry that it may have, and in any case, in bytes.</summary>
    internal const long MemoryPerEntry = 200, LeastMemory = 16 << 20;

    private readonly long _maxMemory = Math.Max(LeastMemory, MemoryPerEntry * maxEntries);
    private readonly Lock _gate = new();
    private readonly EntryLog _entries = new(); // guarded by _gate
    private readonly EntrySet _withoutContent = new(); // guarded by _gate
    private readonly ManifestValidator _validator = new(); // guarded by _gate
    private readonly Pulse _news = new();
    private readonly TaskCompletionSource _complete = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes when the whole manifest has arrived and is valid.</summary>
    public Task Complete => _complete.Task;

    public bool IsComplete => _complete.Task.IsCompleted;

    public uint Count
    {
        get
        {
            lock (_gate) return _entries.Count;
        }
    }

    public (long Files, long Bytes) Totals
    {
        get
        {
            lock (_gate) return (_validator.Files, _validator.TotalBytes);
        }
    }

    /// <summary>
    /// Memory it takes, in bytes: entries are few bytes on the wire, and as many here, but long paths and deep folders are more.
    /// </summary>
    public long MemoryHeld
    {
        get
        {
            lock (_gate) return _entries.MemoryHeld + _validator.MemoryHeld;
        }
    }

    public ManifestEntry this[uint id]
    {
        get
        {
            lock (_gate) return _entries[id];
        }
    }

    /// <summary>Folders and links, in order; once the manifest is complete.</summary>
    public IEnumerable<ManifestEntry> WithoutContent() => _withoutContent.All().Select(id => this[id]);

    /// <summary>Takes a page.</summary>
    /// <returns>Files and bytes it brought, and of how many files nobody knows the size.</returns>
    /// <exception cref="TransferException">Anything in it is unsafe or malformed: the whole transfer is to be refused.</exception>
    public (long Files, long Bytes, long OpenEnded) Add(List<ManifestEntry> page)
    {
        if (IsComplete) throw new TransferException(TransferError.ProtocolViolation, "a manifest page follows the manifest's end");
        long files, bytes, openEnded;
        lock (_gate)
        {
            (long filesBefore, long bytesBefore, long openBefore) = (_validator.Files, _validator.TotalBytes, _validator.OpenEnded);
            if (_entries.Count + page.Count > maxEntries)
                throw new TransferException(TransferError.Refused, $"the manifest has more entries than the {maxEntries} that are taken here");
            foreach (ManifestEntry entry in page)
            {
                _validator.Add(entry);
                _entries.Add(entry);
                if (!entry.HasContent) _withoutContent.Add(entry.Id);
            }

            if (_entries.MemoryHeld + _validator.MemoryHeld > _maxMemory)
                throw new TransferException(
                    TransferError.Refused,
                    $"the manifest takes more than {_maxMemory} bytes of memory, all that is given to one here: its paths are too long or too deep");
            (files, bytes, openEnded) = (
                _validator.Files - filesBefore, _validator.TotalBytes - bytesBefore, _validator.OpenEnded - openBefore);
        }

        _news.Signal();
        return (files, bytes, openEnded);
    }

    /// <summary>The sender says that the manifest is complete; repeated after a reconnection.</summary>
    public void End(ManifestEnd end)
    {
        lock (_gate)
        {
            if (end.Entries != _entries.Count || end.Files != _validator.Files || end.Bytes != _validator.TotalBytes)
                throw new TransferException(TransferError.ProtocolViolation, "the manifest's totals do not match its entries");
        }

        _complete.TrySetResult();
        _news.Signal();
    }

    /// <summary>Waits for entries from <paramref name="known"/> on; false: there will be none.</summary>
    public async ValueTask<bool> WaitBeyondAsync(uint known, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task news = _news.Next;
            if (Count > known) return true;
            if (IsComplete) return Count > known;
            await news.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>What a consent policy is asked about.</summary>
    public TransferOffer Describe(PeerId peer, string peerName)
    {
        bool complete = IsComplete;
        lock (_gate)
            return new TransferOffer(
                peer, peerName, [.. _validator.RootNames], _validator.Files, _validator.TotalBytes, [.. _validator.HiddenNames], complete)
            {
                IsOpenEnded = _validator.OpenEnded > 0,
            };
    }
}
