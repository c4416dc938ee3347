using FastShare.Transfer.Planning;

namespace FastShare.Transfer.Sessions;

/// <summary>
/// The manifest of an outgoing transfer while it is being listed, and after: it outlives connections, so that a resumed transfer
/// offers the same entries. Thread-safe.
/// </summary>
internal sealed class SourceManifest(IReadOnlyList<string> paths)
{
    private readonly Lock _gate = new();
    private readonly List<SourceEntry> _entries = []; // guarded by _gate
    private readonly Pulse _news = new();
    private long _files; // guarded by _gate
    private long _bytes; // guarded by _gate
    private bool _complete; // guarded by _gate

    public uint Count
    {
        get
        {
            lock (_gate) return (uint)_entries.Count;
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
            lock (_gate) return _entries[(int)id];
        }
    }

    /// <summary>
    /// Lists everything; run once, beside the connections. What cannot be read is left out and told to <paramref name="failed"/>.
    /// </summary>
    /// <exception cref="TransferException">Nothing can be sent at all.</exception>
    public void List(Action<long, long> added, Action<TransferException> failed, CancellationToken cancellationToken)
    {
        var lister = new SourceLister(paths);
        foreach (SourceEntry entry in lister.List())
        {
            cancellationToken.ThrowIfCancellationRequested();
            bool isFile = entry.Entry.Kind == EntryKind.File;
            lock (_gate)
            {
                if (_entries.Count >= Framing.TransferProtocol.MaxEntries)
                    throw new TransferException(TransferError.Refused,
                        $"there are more than {Framing.TransferProtocol.MaxEntries} files and folders to send; send them in parts");
                _entries.Add(entry);
                if (isFile)
                {
                    _files++;
                    _bytes += entry.Entry.Size;
                }
            }

            if (isFile) added(1, entry.Entry.Size);
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
