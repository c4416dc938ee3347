using System.Buffers;
using System.IO.Hashing;
using FastShare.Transfer.Storage.Internal;

namespace FastShare.Transfer.Storage;

// What an earlier run left in staging.
internal sealed partial class ReceiveStore
{
    /// <summary>Makes the data file of a staged file.</summary>
    /// <param name="staged">What it is.</param>
    /// <param name="mode">The mode it is to have in the end; −1: unknown.</param>
    /// <param name="hasMode">Whether it has that already, by being made so.</param>
    internal IStorageFile CreateData(StagedFile staged, int mode, out bool hasMode)
    {
        // With an unknown mode the umask decides, as for any new file. Otherwise nobody else may read it before it is published. One of a single
        // chunk is whole as soon as it has content, and nobody else gets into staging: it is made with its mode, where its owner can still
        // open it again.
        mode = mode < 0 ? -1 : mode & 0x1FF;
        bool atOnce = staged.Map.Count == 1 && mode >= 0 && (mode & OwnerOnly) == OwnerOnly;
        IStorageFile data = _staging.Folder.CreateFile(staged.Name, mode < 0 ? 0x1B6 : atOnce ? mode : OwnerOnly);
        _namesChanged = true;
        hasMode = atOnce && IsKept(data, mode);
        return data;
    }

    /// <summary>
    /// Whether a new file keeps the mode it was made with: umask, rules inherited from the folder, or a file system without modes may take
    /// from it. They are the same for all files in staging, so each mode is looked at once.
    /// </summary>
    private bool IsKept(IStorageFile data, int mode)
    {
        if (Volatile.Read(ref _keptModes[mode])) return true;
        if (data.Stat().Mode != mode) return false;
        Volatile.Write(ref _keptModes[mode], true);
        return true;
    }

    /// <summary>Drops a closed file: its data too, or only if it holds nothing to resume from.</summary>
    internal void Forget(ReceiveFile file, bool removeData)
    {
        StagedFile staged = file.Staged;
        lock (_gate)
        {
            if (staged.Open == file) staged.Open = null;
            removeData |= staged.Map.ClaimCount == 0;
            if (!removeData || !_staged.TryGetValue(staged.Key, out StagedFile? known) || known != staged) return;
            Remove(staged);
            if (_discarded) return;
        }

        if (file.HasData) _staging.Folder.RemoveFile(staged.Name);
    }

    /// <summary>Removes a data file that the journal does not know.</summary>
    internal void RemoveData(StagedFile staged)
    {
        lock (_gate)
        {
            if (_discarded) return;
        }

        _staging.Folder.RemoveFile(staged.Name);
    }

    /// <summary>Bytes an earlier run of this transfer has on the disk.</summary>
    private static long BytesStaged(string folder, TransferId id, ReceiveStoreOptions options)
    {
        if (options.ExpectedBytes == 0) return 0;
        using IStorageFolder? destination = options.Storage.OpenExisting(folder);
        using IStorageFolder? staging = destination?.OpenFolder(Staging.NameOf(id));
        return staging is null ? 0 : Staging.DataFiles(staging).Sum(file => staging.Stat(file.Name)?.AllocatedBytes ?? 0);
    }

    /// <summary>A data file is staged no more. Under _gate.</summary>
    private void Remove(StagedFile staged)
    {
        if (!_staged.Remove(staged.Key)) return;
        _slotBytes -= JournalEntry.LengthOf(staged.Map.Count);
        // one that a checkpoint tells of at this moment is told of in vain, until the log is written anew
        if (staged.IsInJournal) _gone.Add(staged.Serial);
    }

    /// <summary>Takes over what the journal claims; data files it does not know, written after its last slot, are removed.</summary>
    private void LoadStaged(IReadOnlyDictionary<uint, JournalFile>? found)
    {
        foreach ((string name, uint entryId, uint serial) in Staging.DataFiles(_staging.Folder))
        {
            _nextSerial = Math.Max(_nextSerial, serial + 1);
            if (found?.GetValueOrDefault(serial) is not { } file
                || file.EntryId != entryId
                || _staging.Folder.Stat(name) is not { Kind: StorageKind.File, Links: 1, IsOwn: true } stat
                || stat.Size > file.Size)
            {
                _staging.Folder.RemoveFile(name);
                continue;
            }

            // claimed, not believed: whatever stopped the earlier run, and whoever was at the file since, each chunk is read back
            var staged = new StagedFile(file.Key, file.EntryId, file.Serial, file.ToMap()) { IsInJournal = true };
            _staged[file.Key] = staged;
            _slotBytes += JournalEntry.LengthOf(staged.Map.Count);
        }
    }

    /// <summary>Opens the data file of chunks claimed by the journal; if it is not there, the file starts anew.</summary>
    private ReceiveFile Resume(ReceiveFile file)
    {
        StagedFile staged = file.Staged;
        IStorageFile? data = _staging.Folder.OpenFile(staged.Name);
        if (data is not null && staged.Serial >= _suspectBelow)
        {
            file.Attach(data);
            return file;
        }

        ReceiveFile fresh = Restart(file);
        if (data is null) return fresh;
        using (data) Rescue(data, staged.Map, fresh);
        _staging.Folder.RemoveFile(staged.Name);
        return fresh;
    }

    /// <summary>Puts a new, empty staged file in the place of one.</summary>
    private ReceiveFile Restart(ReceiveFile file)
    {
        StagedFile old = file.Staged;
        lock (_gate)
        {
            var staged = new StagedFile(old.Key, old.EntryId, _nextSerial++, new ChunkMap(old.Map.Size, old.Map.ChunkSize));
            var fresh = new ReceiveFile(this, file.Entry, staged);
            staged.Open = fresh;
            _staged[old.Key] = staged;
            if (old.IsInJournal) _gone.Add(old.Serial);
            return fresh;
        }
    }

    /// <summary>
    /// After a failed sync: the system may have marked pages clean that never reached the disk, and would not write them again. What can
    /// be read back and verified goes into a fresh file.
    /// </summary>
    private static void Rescue(IStorageFile data, ChunkMap claims, ReceiveFile fresh)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent((int)Math.Min(claims.ChunkSize, Math.Max(claims.Size, 1)));
        try
        {
            for (long i = 0; i < claims.Count; i++)
            {
                if (claims.BeginVerify(i, out _) is not { } digest) continue;
                Span<byte> chunk = buffer.AsSpan(0, claims.LengthOf(i));
                if (data.Read(i * claims.ChunkSize, chunk) == chunk.Length && XxHash128.HashToUInt128(chunk) == digest)
                {
                    fresh.WriteChunk(i, chunk, digest);
                }

                claims.Abort(i);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
