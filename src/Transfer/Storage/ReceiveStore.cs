using FastShare.Transfer.Planning;
using FastShare.Transfer.Scheduling;
using FastShare.Transfer.Storage.Internal;

namespace FastShare.Transfer.Storage;

/// <summary>
/// The receiving side's storage of one transfer: a staging folder beside the destination's files, locked while this lives; a journal
/// that lets a later run go on after a crash; final names that only ever show whole, durable files. Thread-safe; one store for
/// a transfer in all processes.
/// </summary>
/// <remarks>
/// A failed write or sync ends the store (<see cref="Fault"/>): the system may call pages clean that it lost, so nothing is tried
/// again on them. The next run goes on from the last durable checkpoint. A file that cannot be published, because its name is taken or a
/// link stands in its way, fails alone.
/// </remarks>
internal sealed partial class ReceiveStore : IAsyncDisposable
{
    // Asking for free space costs a call; small files are covered by Expect and by the write's own error.
    private const long SpaceCheckBytes = 16 << 20;

    private const int OwnerOnly = 0x180; // reading and writing

    private readonly bool[] _keptModes = new bool[0x200]; // by mode: a file made with it has it; written once, by whoever comes first
    private readonly ReceiveStoreOptions _options;
    private readonly IStorageSystem _storage;
    private readonly IStorageFolder _destination;
    private readonly Staging _staging;
    private readonly FolderLedger _ledger;
    private readonly DestinationTree _tree;
    private readonly uint _suspectBelow; // data files of lower serials were there when a sync failed: their chunks are copied to a fresh file

    private readonly long _claimedAtOpen; // bytes of expected ones that were there already
    private long _written; // interlocked: bytes of chunks written since

    private readonly Lock _gate = new(); // innermost lock: nothing else is taken under it
    private readonly Dictionary<UInt128, StagedFile> _staged = []; // guarded by _gate
    private uint _nextSerial; // guarded by _gate
    private long _expected; // guarded by _gate
    private bool _disposed; // guarded by _gate
    private bool _discarded; // guarded by _gate
    private volatile TransferException? _fault; // the first one stays
    private volatile bool _hasSyncFailed; // nothing more may be claimed

    private ReceiveStore(ReceiveStoreOptions options, TransferId id, IStorageFolder destination, Staging staging)
    {
        _options = options;
        _storage = options.Storage;
        _destination = destination;
        _staging = staging;
        _ledger = new FolderLedger(staging.Folder);
        try
        {
            _tree = new DestinationTree(destination, _storage, _ledger);
            _suspectBelow = staging.ReadSyncFailed();
            _nextSerial = _suspectBelow == uint.MaxValue ? 0 : _suspectBelow;
            _journalFiles = new JournalFiles(staging.Folder, new ResumeJournal(id));
            LoadStaged(_journalFiles.Found);
            _journalFiles.Found = null;
            _claimedAtOpen = BytesClaimed;

            // the journal is durable, in a durable folder, before any data is
            foreach (StagedFile file in _staged.Values)
            {
                JournalEntry.WriteFile(_changes, file);
                file.Map.WriteChanges(file.Serial, all: true, _changes);
            }

            _journalFiles.Restart(_changes.WrittenSpan);
            destination.Sync();
        }
        catch
        {
            _ledger.Dispose();
            _journalFiles?.Dispose();
            throw;
        }

        _loop = RunCheckpointsAsync();
    }

    /// <summary>What ended the store; null while it works.</summary>
    public TransferException? Fault => _fault;

    /// <summary>Bytes of staged files that an earlier run left and this one could go on from.</summary>
    public long BytesClaimed
    {
        get
        {
            lock (_gate) return _staged.Values.Sum(staged => Math.Min(staged.Map.ClaimCount * staged.Map.ChunkSize, staged.Map.Size));
        }
    }

    internal bool IsFaulted => _fault is not null;

    internal StageMeter Stages => _options.Stages;

    /// <summary>Opens the destination, making it if needed, locks the transfer and reads what an earlier run left.</summary>
    /// <exception cref="TransferException">
    /// <see cref="TransferError.StorageFull"/>: quota or space do not suffice, nothing was created;
    /// <see cref="TransferError.AlreadyReceiving"/>; <see cref="TransferError.AccessDenied"/>; <see cref="TransferError.StorageFault"/>.
    /// </exception>
    public static ReceiveStore Open(string folder, TransferId id, ReceiveStoreOptions options)
    {
        CheckQuota(options.ExpectedBytes, options);
        CheckSpace(options.ExpectedBytes - BytesStaged(folder, id, options), options.Storage.FreeBytes(folder));
        IStorageFolder destination = options.Storage.OpenDestination(folder);
        Staging? staging = null;
        try
        {
            staging = Staging.TryOpen(destination, Staging.NameOf(id), create: true) ?? throw new TransferException(
                TransferError.AlreadyReceiving,
                $"This transfer is already being received into “{folder}”; wait for that one to end, or stop it and start again.");
            return new ReceiveStore(options, id, destination, staging) { _expected = options.ExpectedBytes };
        }
        catch
        {
            staging?.Dispose();
            destination.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Adds to the bytes to come, as the manifest tells them; checks quota and free space before anything is made for them.
    /// </summary>
    /// <param name="bytes">What is really needed: without files that <see cref="TryGetExisting"/> found.</param>
    /// <exception cref="TransferException"><see cref="TransferError.StorageFull"/>.</exception>
    public void Expect(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        long expected;
        lock (_gate)
        {
            if (bytes > long.MaxValue - _expected) throw Full(long.MaxValue, "may be received", _options.Quota);
            expected = _expected + bytes;
        }

        CheckQuota(expected, _options);
        CheckSpace(expected - _claimedAtOpen - Interlocked.Read(ref _written), _destination.FreeBytes());
        lock (_gate) _expected += bytes;
    }

    /// <summary>Whether an equal final file (size and time) is there already, so that nothing needs to be sent.</summary>
    /// <exception cref="TransferException">
    /// The path cannot be looked at: a link or a file stands where a folder is needed, or access is denied.
    /// </exception>
    public bool TryGetExisting(ManifestEntry entry) =>
        entry.Kind == EntryKind.File && _tree.Stat(entry) is { } there && DestinationTree.IsEqual(there, entry);

    /// <summary>
    /// Looks at what is there of a file, before anything of it comes: true if an equal final file (size and time) is, so that nothing
    /// needs to be sent. Costs one look at the name and takes no memory.
    /// </summary>
    /// <param name="entry">A validated file.</param>
    /// <param name="chunkSize">Bytes of a chunk.</param>
    /// <param name="believesTime">Whether size and time make it equal; otherwise no file that is there counts as one.</param>
    /// <param name="claims">Chunks that an earlier run left in staging.</param>
    /// <exception cref="TransferException">As <see cref="OpenFile"/>.</exception>
    public bool Look(ManifestEntry entry, uint chunkSize, bool believesTime, out long claims)
    {
        claims = 0;
        CheckChunks(entry, chunkSize);
        if (_tree.Stat(entry) is { } there)
        {
            if (believesTime && DestinationTree.IsEqual(there, entry)) return true;
            ThrowIfTaken(entry, there);
        }

        lock (_gate)
        {
            if (_staged.Count > 0 && _staged.TryGetValue(ResumeJournal.KeyOf(entry, chunkSize), out StagedFile? staged))
                claims = staged.Map.ClaimCount;
        }

        return false;
    }

    private void CheckChunks(ManifestEntry entry, uint chunkSize)
    {
        if (entry.Kind != EntryKind.File) throw new ArgumentException("Only files are received in chunks.", nameof(entry));
        ArgumentOutOfRangeException.ThrowIfZero(chunkSize);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(chunkSize, 1u << 30);
        ThrowIfFaulted();
        if (ChunkMap.CountOf(entry.Size, chunkSize) <= ChunkMap.MaxChunks) return;
        throw new TransferException(
            TransferError.ProtocolViolation,
            $"A file of {entry.Size} bytes in chunks of {chunkSize} has more than {ChunkMap.MaxChunks} chunks.")
        {
            Path = entry.Path,
        };
    }

    private void ThrowIfTaken(ManifestEntry entry, in StorageStat there)
    {
        if (!_options.Replace || there.Kind == StorageKind.Folder) throw DestinationTree.Exists(entry.Path, null);
    }

    /// <summary>Opens the staging file of an entry; it knows which chunks it already has.</summary>
    /// <param name="entry">A validated file.</param>
    /// <param name="chunkSize">Bytes of a chunk.</param>
    /// <param name="isLookedAt">
    /// Whether <see cref="Look"/> has just found the name free, or free to replace: for a small file it is not looked at again. Publication
    /// tells what came in between.
    /// </param>
    /// <exception cref="TransferException">
    /// <see cref="TransferError.DestinationExists"/>: another file has the name and is not to be replaced;
    /// <see cref="TransferError.StorageFull"/>; other failures of storage.
    /// </exception>
    /// <exception cref="InvalidOperationException">The entry is open already.</exception>
    public ReceiveFile OpenFile(ManifestEntry entry, uint chunkSize, bool isLookedAt = false)
    {
        CheckChunks(entry, chunkSize);
        if (!(isLookedAt && SyncsInBatches(entry.Size)) && _tree.Stat(entry) is { } there) ThrowIfTaken(entry, there);
        UInt128 key = ResumeJournal.KeyOf(entry, chunkSize);
        StagedFile staged;
        ReceiveFile file;
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (!_staged.TryGetValue(key, out staged!))
            {
                staged = new StagedFile(key, entry.Id, _nextSerial++, new ChunkMap(entry.Size, chunkSize));
                _staged.Add(key, staged);
                _slotBytes += JournalEntry.LengthOf(staged.Map.Count);
            }

            if (staged.Open is not null) throw new InvalidOperationException($"Entry {entry.Id} is open already.");
            file = new ReceiveFile(this, entry, staged);
            staged.Open = file;
        }

        try
        {
            ReserveSlot();
            long missing = entry.Size - Math.Min(staged.Map.ClaimCount * chunkSize, entry.Size);
            if (missing >= SpaceCheckBytes) CheckSpace(missing, _destination.FreeBytes());
            return staged.Map.ClaimCount == 0 ? file : Resume(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Begins a file of which only its end will tell the size.</summary>
    /// <exception cref="TransferException">
    /// <see cref="TransferError.DestinationExists"/>: something has the name and is not to be replaced; other failures of storage.
    /// </exception>
    public ReceiveStream OpenStream(ManifestEntry entry, uint chunkSize)
    {
        if (entry.Kind != EntryKind.Stream) throw new ArgumentException("Files are received in chunks.", nameof(entry));
        ThrowIfFaulted();
        if (_tree.Stat(entry) is { } there && !(_options.Replace && there.Kind != StorageKind.Folder))
            throw DestinationTree.Exists(entry.Path, null);
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return new ReceiveStream(this, entry, new StagedFile(default, entry.Id, _nextSerial++, new ChunkMap(0, chunkSize)));
        }
    }

    /// <summary>
    /// Tells which folders <see cref="CreateDirectory"/> is about to make: what makes many of them survive a crash is then written at once.
    /// </summary>
    /// <exception cref="TransferException">The store has failed.</exception>
    public void Announce(IEnumerable<ManifestEntry> folders)
    {
        ThrowIfFaulted();
        try
        {
            _tree.Announce(folders.Select(static folder => folder.Path));
            _ledger.Sync();
        }
        catch (TransferException e)
        {
            throw SetFault(e, null, syncFailed: true);
        }
    }

    /// <summary>Makes a folder, and those above it; one that is there is left as it is.</summary>
    public void CreateDirectory(ManifestEntry entry)
    {
        ThrowIfFaulted();
        _tree.CreateDirectory(entry);
    }

    /// <summary>Makes a symbolic link, if the options allow links; false if they do not.</summary>
    public bool CreateSymlink(ManifestEntry entry)
    {
        if (!_options.AllowSymlinks) return false;
        ThrowIfFaulted();
        _tree.CreateSymlink(entry);
        return true;
    }

    /// <summary>
    /// Publishes what waits, sets modes and times of the folders this transfer made, deepest first, and makes all names durable: after
    /// it the transfer may be acknowledged as a whole.
    /// </summary>
    /// <returns>Folders whose mode or time could not be set.</returns>
    /// <exception cref="TransferException">The store has failed.</exception>
    public IReadOnlyList<TransferException> Finish()
    {
        PublishPending();
        ThrowIfFaulted();
        try
        {
            return _tree.Finish(_staging.Folder);
        }
        catch (TransferException e)
        {
            throw SetFault(e, null, syncFailed: true);
        }
    }

    /// <summary>
    /// Removes the staging folder and everything FastShare put in it: after <see cref="Finish"/>, when all is acknowledged, or when
    /// nothing will be resumed. Files that still wait for their batch go too. The store can only be disposed of afterwards.
    /// </summary>
    public void DiscardStaging()
    {
        lock (_publishGate)
            lock (_checkpointGate)
            {
                lock (_gate)
                {
                    if (_disposed || _discarded) return;
                    _discarded = true;
                    _pending = [];
                }

                _staging.Remove();
            }
    }

    /// <summary>
    /// Removes staging folders of transfers that nobody went on with: FastShare's by name, this user's, in no process's hands, and
    /// untouched for a time. Follows no link and removes nothing but what FastShare puts in such a folder.
    /// </summary>
    /// <param name="folder">A destination.</param>
    /// <param name="olderThan">How long nothing in it may have changed; a week is safe.</param>
    /// <param name="options">The clock and the file system.</param>
    /// <returns>How many were removed.</returns>
    /// <exception cref="TransferException">The destination may not be read.</exception>
    public static int CollectAbandoned(string folder, TimeSpan olderThan, ReceiveStoreOptions options)
    {
        using IStorageFolder? destination = options.Storage.OpenExisting(folder);
        if (destination is null) return 0;
        long limit = (options.TimeProvider.GetUtcNow() - olderThan - DateTimeOffset.UnixEpoch).Ticks * 100;
        int removed = 0;
        foreach (string name in destination.List())
        {
            if (!Staging.IsName(name)
                || destination.Stat(name) is not { Kind: StorageKind.Folder, IsOwn: true }
                || Staging.LastUse(destination, name) > limit)
            {
                continue;
            }

            using Staging? staging = Staging.TryOpen(destination, name, create: false);
            if (staging is null) continue;
            staging.Remove();
            removed++;
        }

        return removed;
    }

    /// <summary>
    /// Stops cleanly: publishes what waits and writes a last checkpoint, so that the next run need not read anything back. Staging stays
    /// if there is something to resume, otherwise it is removed.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            if (_disposed) return;
            _disposed = true;
        }

        await StopCheckpointsAsync().ConfigureAwait(false);
        bool discarded;
        StagedFile[] staged;
        lock (_gate)
        {
            discarded = _discarded;
            staged = [.. _staged.Values];
        }

        try
        {
            if (!discarded)
            {
                if (!IsFaulted) PublishPending();
                foreach (StagedFile file in staged) file.Open?.Dispose();
                EndStaging();
            }
        }
        catch (TransferException e)
        {
            // kept in Fault for who asks; the resume costs what was not recorded
            SetFault(e, null, _syncFailed);
        }
        finally
        {
            foreach (StagedFile file in staged) file.Open?.Dispose();
            _journalFiles.Dispose();
            _tree.Dispose();
            _ledger.Dispose();
            _staging.Dispose();
            _destination.Dispose();
        }
    }

    internal void ThrowIfFaulted()
    {
        if (_fault is { } fault) throw new TransferException(fault.Error, fault.Message, fault) { Path = fault.Path };
    }

    /// <summary>Ends the store, and returns the failure for throwing.</summary>
    internal TransferException SetFault(TransferException e, string? path, bool syncFailed = false)
    {
        TransferException fault = path is null ? e : DestinationTree.ForEntry(e, path);
        Interlocked.CompareExchange(ref _fault, fault, null);
        // also when something else had ended the store just before: what counts is what the next run may not build upon
        if (syncFailed) NoteSyncFailed();
        return fault;
    }

    private void NoteSyncFailed()
    {
        _hasSyncFailed = true;
        uint serials;
        lock (_gate) serials = _nextSerial;
        try
        {
            _staging.WriteSyncFailed(serials);
        }
        catch (TransferException)
        {
            // a disk that takes no file any more: the next run still reads every chunk back before it believes in it
        }
    }

    private static void CheckQuota(long bytes, ReceiveStoreOptions options)
    {
        if (bytes > options.Quota) throw Full(bytes, "may be received", options.Quota);
    }

    private static void CheckSpace(long bytes, long free)
    {
        if (bytes > free) throw Full(bytes, "are free", free);
    }

    private static TransferException Full(long needed, string limit, long available) => new(
        TransferError.StorageFull, $"The transfer needs {needed} bytes, but only {available} {limit}; nothing was written for it.");
}
