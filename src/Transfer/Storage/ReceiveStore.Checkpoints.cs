using FastShare.Transfer.Storage.Internal;

namespace FastShare.Transfer.Storage;

// Journal slots: what is durable, written down so that a later run can go on from it.
internal sealed partial class ReceiveStore
{
    // More files than this are synced with the whole file system instead of one by one.
    private const int MostFilesSynced = 32;

    private readonly ResumeJournal _journal; // guarded by _checkpointGate
    private readonly JournalFiles _journalFiles; // guarded by _checkpointGate
    private readonly Lock _checkpointGate = new(); // outermost lock, before a file's gate and the store's
    private readonly SemaphoreSlim _wake = new(0, 1); // released when half of the checkpoint's bytes are written, on ticks, and to stop
    private readonly Task _loop; // owned: awaited by DisposeAsync
    private ulong _generation; // guarded by _checkpointGate
    private int _recorded; // guarded by _checkpointGate: files in the last slot
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
            // several writers may have come here for the same bytes
            if (Interlocked.Read(ref _unrecorded) < unlessBelow) return;
            lock (_gate)
            {
                if (_discarded) return;
            }

            try
            {
                WriteSlot(isClean: false);
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

    /// <summary>The last thing of an orderly stop: a slot that says so, or no staging at all if there is nothing to resume.</summary>
    private void EndStaging()
    {
        lock (_checkpointGate)
        {
            bool empty;
            lock (_gate) empty = _staged.Values.All(static file => file.Map.ClaimCount == 0);
            if (empty && !IsFaulted)
            {
                _staging.Remove();
                return;
            }

            // after a failed sync nothing more is claimed; after a failed write what was written before it still counts
            if (_staging.Folder.Stat(Staging.SyncFailedName) is null) WriteSlot(isClean: !IsFaulted);
        }
    }

    /// <summary>Snapshot of the maps, data synced, slot written and synced: in this order. Under _checkpointGate.</summary>
    private void WriteSlot(bool isClean)
    {
        StagedFile[] files;
        lock (_gate) files = [.. _staged.Values];
        long covered = Interlocked.Read(ref _unrecorded);

        bool changed = isClean || _generation == 0;
        var places = new List<(StagedFile File, int Place, long Version)>(files.Length);
        _journal.Begin(_generation + 1, isClean);
        foreach (StagedFile file in files)
        {
            if (file.Map.ClaimCount == 0) continue;
            (int place, long version) = _journal.Add(file.Key, file.EntryId, file.Serial, file.Map);
            changed |= version != file.RecordedVersion;
            places.Add((file, place, version));
        }

        if (!changed && places.Count == _recorded)
        {
            Interlocked.Add(ref _unrecorded, -covered); // all of it published meanwhile
            return;
        }

        try
        {
            SyncData(places);
            if (_namesChanged)
            {
                _namesChanged = false;
                _staging.Folder.Sync();
            }
        }
        catch (TransferException)
        {
            _syncFailed = true;
            throw;
        }

        foreach ((StagedFile file, int place, _) in places) _journal.SetFile(place, file.FileId, file.Changed);
        _journalFiles.Write(_journal.End());
        Interlocked.Add(ref _unrecorded, -covered);
        _generation++;
        _recorded = places.Count;
        foreach ((StagedFile file, _, long version) in places) file.RecordedVersion = version;
    }

    private void SyncData(List<(StagedFile File, int Place, long Version)> places)
    {
        var open = new List<ReceiveFile>(places.Count);
        lock (_gate)
        {
            foreach ((StagedFile file, _, _) in places)
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
