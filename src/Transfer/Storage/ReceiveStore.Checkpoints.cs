using System.Buffers;
using FastShare.Transfer.Scheduling;
using FastShare.Transfer.Storage.Internal;

namespace FastShare.Transfer.Storage;

// Journal slots: what is durable, written down so that a later run can go on from it.
internal sealed partial class ReceiveStore
{
    // More files than this are synced with the whole file system instead of one by one.
    private const int MostFilesSynced = 32;

    private readonly ArrayBufferWriter<byte> _changes = new(); // guarded by _checkpointGate; reused
    private readonly List<uint> _gone = []; // guarded by _gate: data files the journal knows and that are no more
    private readonly JournalFiles _journalFiles; // guarded by _checkpointGate
    private readonly Lock _checkpointGate = new(); // outermost lock, before a file's gate and the store's
    private readonly SemaphoreSlim _wake = new(0, 1); // released when half of the checkpoint's bytes are written, on ticks, and to stop
    private readonly Task _loop; // owned: awaited by DisposeAsync
    private volatile bool _namesChanged; // data files were made since the staging folder was last synced
    private volatile bool _stopping;
    private long _unrecorded; // interlocked: bytes written and in no durable slot
    private long _slotBytes; // guarded by _gate: what a slot with all staged files needs at most
    private long _slotRoom; // interlocked: what room was kept for
    private bool _syncFailed; // guarded by _checkpointGate

    /// <summary>
    /// Makes what has arrived so far durable and writes it down. Runs by itself (<see cref="ReceiveStoreOptions.CheckpointBytes"/>,
    /// <see cref="ReceiveStoreOptions.CheckpointInterval"/>).
    /// </summary>
    /// <exception cref="TransferException">The store has failed, now or before.</exception>
    public void Checkpoint() => Checkpoint(unlessBelow: 0);

    private void Checkpoint(long unlessBelow)
    {
        ThrowIfFaulted();
        lock (_checkpointGate)
        {
            // the checkpoint waited for may have failed: what counts is why it did
            ThrowIfFaulted();
            // several writers may have come here for the same bytes
            if (Interlocked.Read(ref _unrecorded) < unlessBelow) return;
            lock (_gate)
            {
                if (_discarded) return;
            }

            try
            {
                WriteSlot();
            }
            catch (TransferException e)
            {
                throw SetFault(e, null, _syncFailed);
            }
        }
    }

    /// <summary>Counts bytes written; the writer that fills the measure waits for a checkpoint: that bounds what a crash costs.</summary>
    internal void CountWritten(int bytes)
    {
        Interlocked.Add(ref _written, bytes);
        long written = Interlocked.Add(ref _unrecorded, bytes);
        if (written >= _options.CheckpointBytes) Checkpoint(_options.CheckpointBytes);
        else if (written >= _options.CheckpointBytes / 2 && written - bytes < _options.CheckpointBytes / 2) Wake();
    }

    /// <summary>Counts bytes written of what was expected, which no checkpoint will claim.</summary>
    internal void CountUnclaimed(int bytes) => Interlocked.Add(ref _written, bytes);

    /// <summary>Keeps room for a slot with all files that are staged now.</summary>
    private void ReserveSlot()
    {
        long bytes;
        lock (_gate) bytes = _slotBytes;
        if (bytes <= Interlocked.Read(ref _slotRoom)) return;
        lock (_checkpointGate)
        {
            _journalFiles.Reserve(bytes);
            Interlocked.Exchange(ref _slotRoom, bytes);
        }
    }

    private void Wake()
    {
        try
        {
            _wake.Release();
        }
        catch (SemaphoreFullException)
        {
            // the loop is already about to run
        }
    }

    private async Task RunCheckpointsAsync()
    {
        TimeSpan interval = _options.CheckpointInterval;
        ITimer timer = _options.TimeProvider.CreateTimer(static store => ((ReceiveStore)store!).Wake(), this, interval, interval);
        await using (timer.ConfigureAwait(false))
        {
            while (true)
            {
                await _wake.WaitAsync().ConfigureAwait(false);
                if (_stopping || IsFaulted) return;
                try
                {
                    PublishPending();
                    Checkpoint();
                }
                catch (TransferException)
                {
                    return; // in Fault, where the next call of any writer finds it
                }
            }
        }
    }

    private async ValueTask StopCheckpointsAsync()
    {
        _stopping = true;
        Wake();
        await _loop.ConfigureAwait(false);
    }

    /// <summary>The last thing of an orderly stop: a checkpoint, or no staging at all if there is nothing to resume.</summary>
    private void EndStaging()
    {
        lock (_checkpointGate)
        {
            bool empty;
            lock (_gate) empty = _staged.Values.All(static file => file.Map.ClaimCount == 0);
            // folders that are made and not finished have to be known again, though everything in them is published
            if (empty && !IsFaulted && _ledger.IsEmpty)
            {
                _staging.Remove();
                return;
            }

            // after a failed sync nothing more is claimed; after a failed write what was written before it still counts
            if (!_hasSyncFailed && !_journalFiles.HasFailed) WriteSlot();
        }
    }

    /// <summary>What changed is noted, data is synced, the journal is written and synced: in this order. Under _checkpointGate.</summary>
    private void WriteSlot()
    {
        StagedFile[] files;
        long covered = Interlocked.Read(ref _unrecorded);
        _changes.ResetWrittenCount();
        lock (_gate)
        {
            files = [.. _staged.Values];
            foreach (uint serial in _gone) JournalEntry.WriteGone(_changes, serial);
            _gone.Clear();
        }

        long live = 0;
        foreach (StagedFile file in files)
        {
            long claims = file.Map.ClaimCount;
            if (claims == 0 && !file.IsInJournal) continue;
            if (!file.IsInJournal) JournalEntry.WriteFile(_changes, file);
            file.IsInJournal = true;
            file.Map.WriteChanges(file.Serial, all: false, _changes);
            live += JournalEntry.LengthOf(claims);
        }

        if (_changes.WrittenCount > 0)
        {
            SyncStaged(files);
            using StageMeter.Span measured = Stages.Measure(TransferStage.Syncing);
            _journalFiles.Commit(_changes.WrittenSpan);
        }

        Interlocked.Add(ref _unrecorded, -covered);
        if (_journalFiles.IsWasteful(live) && !IsFaulted) Compact(files);
    }

    /// <summary>Makes everything durable that the journal is about to claim. Under _checkpointGate.</summary>
    private void SyncStaged(StagedFile[] files)
    {
        using StageMeter.Span measured = Stages.Measure(TransferStage.Syncing);
        try
        {
            SyncData(files);
            if (!_namesChanged) return;
            _namesChanged = false;
            _staging.Folder.Sync();
        }
        catch (TransferException)
        {
            _syncFailed = true;
            throw;
        }
    }

    /// <summary>Writes a new log with what is in the journal and alive. Under _checkpointGate.</summary>
    private void Compact(StagedFile[] files)
    {
        _changes.ResetWrittenCount();
        foreach (StagedFile file in files)
        {
            if (!file.IsInJournal) continue;
            JournalEntry.WriteFile(_changes, file);
            file.Map.WriteChanges(file.Serial, all: true, _changes);
        }

        SyncStaged(files); // some of it arrived since the checkpoint
        try
        {
            _journalFiles.Restart(_changes.WrittenSpan);
        }
        catch (TransferException e) when (e.Error == TransferError.StorageFull && !_journalFiles.HasFailed)
        {
            // the longer journal serves as well
        }
    }

    private void SyncData(StagedFile[] files)
    {
        var open = new List<ReceiveFile>(files.Length);
        lock (_gate)
        {
            foreach (StagedFile file in files)
            {
                if (file.Open is { } receiving) open.Add(receiving);
            }
        }

        bool whole = _storage.CanSyncFileSystem && open.Count(static file => file.IsDirty) > MostFilesSynced;
        if (whole)
        {
            foreach (ReceiveFile file in open) file.ClearDirty();
        }

        foreach (ReceiveFile file in open) whole |= !file.Sync();
        if (whole) _destination.SyncFileSystem();
    }
}
