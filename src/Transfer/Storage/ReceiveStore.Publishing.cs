using FastShare.Transfer.Scheduling;
using FastShare.Transfer.Storage.Internal;

namespace FastShare.Transfer.Storage;

// From complete to published. Many small files share one sync: they wait, closed, in staging until their batch is full or due.
internal sealed partial class ReceiveStore
{
    private readonly Lock _publishGate = new(); // outermost lock, held from taking a batch to reporting it, so that who waits finds it done
    private List<ReceiveFile> _pending = []; // guarded by _gate
    private bool _holdsBatches; // guarded by _gate

    /// <summary>Small files that wait, closed, for their batch.</summary>
    public int PendingCount
    {
        get
        {
            lock (_gate) return _pending.Count;
        }
    }

    /// <summary>
    /// From now on no batch is published: small files that are complete are closed and wait. A stop keeps them staged for the next run.
    /// </summary>
    public void HoldBatches()
    {
        lock (_gate) _holdsBatches = true;
    }

    /// <summary>Batches are published again. True: files wait, to be published by <see cref="PublishPending"/>.</summary>
    public bool ReleaseBatches()
    {
        lock (_gate)
        {
            bool waits = _holdsBatches && _pending.Count > 0;
            _holdsBatches = false;
            return waits;
        }
    }

    /// <summary>
    /// Publishes the small files that wait for their batch, unless batches are held, and waits for a batch that another thread is at. Runs by
    /// itself every 2 s; call it when there is nothing else to do. Failures are reported for each file.
    /// </summary>
    public void PublishPending()
    {
        lock (_publishGate)
        {
            List<ReceiveFile> batch;
            lock (_gate)
            {
                if (_holdsBatches || _pending.Count == 0) return;
                batch = _pending;
                _pending = [];
            }

            // parallel lanes mix the folders; each is opened once a batch
            batch.Sort(static (one, other) => DestinationTree.FolderOf(one.Entry).SequenceCompareTo(DestinationTree.FolderOf(other.Entry)));
            List<string> folders = FoldersOf(batch);
            TransferException? fault = _fault ?? SyncBatch(folders);
            if (fault is null) Place(batch, folders);
            else foreach (ReceiveFile file in batch) Fail(file, fault);
        }
    }

    /// <summary>Whether a file of this size waits for a batch instead of being synced by itself.</summary>
    internal bool SyncsInBatches(long size) => _storage.CanSyncFileSystem && size < _options.OwnSyncBytes;

    /// <summary>
    /// Puts a closed, complete file whose content is not yet durable in the batch. True: that made it full, and it is left to the caller.
    /// </summary>
    internal bool PublishWithBatch(ReceiveFile file, bool leavesBatch)
    {
        bool full;
        lock (_gate)
        {
            _pending.Add(file);
            // left alone, the batch may grow beyond that: each of its size is told once
            full = !_holdsBatches && (leavesBatch ? _pending.Count % _options.BatchFiles == 0 : _pending.Count >= _options.BatchFiles);
        }

        if (leavesBatch || !full) return full;
        PublishPending();
        return false;
    }

    /// <summary>Renames a closed, complete, durable file to its final name, makes the name durable, and reports.</summary>
    internal void PublishNow(ReceiveFile file) => Place([file], FoldersOf([file]));

    internal void Report(PublishOutcome outcome) => _options.Published?.Invoke(outcome);

    /// <summary>The folders that files go to, each once where those of a folder follow one another.</summary>
    private static List<string> FoldersOf(List<ReceiveFile> files)
    {
        var folders = new List<string>();
        foreach (ReceiveFile file in files)
        {
            ReadOnlySpan<char> folder = DestinationTree.FolderOf(file.Entry);
            if (folders.Count == 0 || !folder.SequenceEqual(folders[^1])) folders.Add(folder.ToString());
        }

        return folders;
    }

    /// <summary>Makes content, mode and time of a whole batch durable at once; returns what ended the store, if it did.</summary>
    private TransferException? SyncBatch(List<string> folders)
    {
        using StageMeter.Span measured = Stages.Measure(TransferStage.Syncing);
        try
        {
            _tree.Announce(folders);
            _ledger.SyncWith(_destination.SyncFileSystem);
            return null;
        }
        catch (TransferException e)
        {
            return SetFault(e, null, syncFailed: true);
        }
    }

    /// <summary>Renames closed, complete, durable files to their final names, makes the names durable, and reports.</summary>
    private void Place(List<ReceiveFile> files, List<string> folders)
    {
        using StageMeter.Span measured = Stages.Measure(TransferStage.Publishing);
        var placed = new List<ReceiveFile>(files.Count);
        TransferException? fault = null;
        try
        {
            // a file must not be moved into a folder that a crash can take away
            if (_tree.MakeFolders(folders)) SyncNames();
            using DestinationTree.Placing placing = _tree.BeginPlacing(_staging.Folder);
            foreach (ReceiveFile file in files)
            {
                if (TryPlace(placing, file)) placed.Add(file);
            }

            placing.End();
            if (placed.Count > 0) SyncNames();
        }
        catch (TransferException e)
        {
            fault = SetFault(e, null, syncFailed: true);
            if (placed.Count == 0) placed.AddRange(files);
        }

        // only now may the journal forget them: until here a crash can take the new name back, and the old one with its claims holds
        foreach (ReceiveFile file in placed)
        {
            Release(file, published: fault is null);
            if (fault is null) Report(new PublishOutcome(file.Entry, null));
            else Fail(file, fault);
        }
    }

    private void SyncNames()
    {
        using StageMeter.Span measured = Stages.Measure(TransferStage.Syncing);
        _tree.SyncNames();
    }

    private bool TryPlace(DestinationTree.Placing placing, ReceiveFile file)
    {
        try
        {
            placing.Place(file.Staged.Name, file.Entry, _options.Replace);
            return true;
        }
        catch (TransferException e)
        {
            // the data stays in staging: another run can publish it once the name is free
            Release(file, published: false);
            Report(new PublishOutcome(file.Entry, e));
            return false;
        }
    }

    private void Fail(ReceiveFile file, TransferException fault) =>
        Report(new PublishOutcome(file.Entry, DestinationTree.ForEntry(fault, file.Entry.Path)));

    private void Release(ReceiveFile file, bool published)
    {
        lock (_gate)
        {
            file.Staged.Open = null;
            if (published) Remove(file.Staged);
        }
    }
}
