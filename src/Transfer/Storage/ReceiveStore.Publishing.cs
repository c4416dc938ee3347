using FastShare.Transfer.Storage.Internal;

namespace FastShare.Transfer.Storage;

// From complete to published. Many small files share one sync: they wait, closed, in staging until their batch is full or due.
internal sealed partial class ReceiveStore
{
    private List<ReceiveFile> _pending = []; // guarded by _gate

    /// <summary>Publishes the small files that wait for their batch. Runs by itself every 2 s; call it when there is nothing else to do.</summary>
    /// <exception cref="TransferException">Never for a file: those are reported. The store had failed before.</exception>
    public void PublishPending()
    {
        List<ReceiveFile> batch;
        lock (_gate)
        {
            if (_pending.Count == 0) return;
            batch = _pending;
            _pending = [];
        }

        TransferException? fault = _fault;
        if (fault is null)
        {
            try
            {
                // content, mode and time of the whole batch become durable at once
                _destination.SyncFileSystem();
            }
            catch (TransferException e)
            {
                fault = SetFault(e, null, syncFailed: true);
            }
        }

        foreach (ReceiveFile file in batch)
        {
            if (fault is null) PublishNow(file);
            else Report(new PublishOutcome(file.Entry, DestinationTree.ForEntry(fault, file.Entry.Path)));
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

    private void Release(ReceiveFile file, bool published)
    {
        lock (_gate)
        {
            file.Staged.Open = null;
            if (published) _staged.Remove(file.Staged.Key);
        }
    }
}
