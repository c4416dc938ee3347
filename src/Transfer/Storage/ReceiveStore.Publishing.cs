using FastShare.Transfer.Storage.Internal;

namespace FastShare.Transfer.Storage;

// From complete to published. Many small files share one sync: they wait, closed, in staging until their batch is full or due.
internal sealed partial class ReceiveStore
{
    private readonly Lock _publishGate = new(); // outermost lock, held from taking a batch to reporting it, so that who waits finds it done
    private List<ReceiveFile> _pending = []; // guarded by _gate

    /// <summary>
    /// Publishes the small files that wait for their batch, and waits for a batch that another thread is at. Runs by itself every 2 s;
    /// call it when there is nothing else to do. Failures are reported for each file.
    /// </summary>
    public void PublishPending()
    {
        lock (_publishGate)
        {
            List<ReceiveFile> batch;
            lock (_gate)
            {
                if (_pending.Count == 0) return;
                batch = _pending;
                _pending = [];
            }

            TransferException? fault = _fault ?? SyncBatch();
            foreach (ReceiveFile file in batch)
            {
                if (fault is null) PublishNow(file);
                else Report(new PublishOutcome(file.Entry, DestinationTree.ForEntry(fault, file.Entry.Path)));
            }
        }
    }

    /// <summary>Whether a file of this size waits for a batch instead of being synced by itself.</summary>
    internal bool SyncsInBatches(long size) => _storage.CanSyncFileSystem && size < _options.OwnSyncBytes;

    /// <summary>Puts a closed, complete file whose content is not yet durable in the batch.</summary>
    internal void PublishWithBatch(ReceiveFile file)
    {
        bool full;
        lock (_gate)
        {
            _pending.Add(file);
            full = _pending.Count >= _options.BatchFiles;
        }

        if (full) PublishPending();
    }

    /// <summary>Renames a closed, complete, durable file to its final name, and reports.</summary>
    internal void PublishNow(ReceiveFile file)
    {
        try
        {
            _tree.Place(_staging.Folder, file.Staged.Name, file.Entry, _options.Replace);
        }
        catch (TransferException e)
        {
            // the data stays in staging: another run can publish it once the name is free
            Release(file, published: false);
            Report(new PublishOutcome(file.Entry, e));
            return;
        }

        Release(file, published: true);
        Report(new PublishOutcome(file.Entry, null));
    }

    internal void Report(PublishOutcome outcome) => _options.Published?.Invoke(outcome);

    /// <summary>Makes content, mode and time of a whole batch durable at once; returns what ended the store, if it did.</summary>
    private TransferException? SyncBatch()
    {
        try
        {
            _destination.SyncFileSystem();
            return null;
        }
        catch (TransferException e)
        {
            return SetFault(e, null, syncFailed: true);
        }
    }

    private void Release(ReceiveFile file, bool published)
    {
        lock (_gate)
        {
            file.Staged.Open = null;
            if (published && _staged.Remove(file.Staged.Key)) _slotBytes -= ResumeJournal.RecordLength(file.Staged.Map);
        }
    }
}
