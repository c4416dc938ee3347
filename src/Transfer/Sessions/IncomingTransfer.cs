using System.Collections.Concurrent;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Storage;
using FastShare.Transfer.Verification;
using FastShare.Transport.Identity;

namespace FastShare.Transfer.Sessions;

/// <summary>
/// What the receiver of one transfer keeps from connection to connection: manifest, consent, storage, and how far each file is.
/// One <see cref="ReceiveAttempt"/> at a time works on it. Thread-safe.
/// </summary>
internal sealed class IncomingTransfer : IAsyncDisposable
{
    /// <summary>Files that may be open at once: many times what an honest sender's lanes can have on their way.</summary>
    private const int MaxOpenFiles = 512;

    private readonly ConcurrentDictionary<uint, IncomingFile> _begun = new();
    private readonly ConcurrentQueue<IncomingFile> _awaitingManifest = new();
    private readonly Lock _gate = new();
    private readonly Dictionary<uint, TransferException> _failed = []; // guarded by _gate
    private readonly List<ulong> _settled = []; // guarded by _gate: one bit an entry
    private readonly Pulse _progress = new();
    private ReceiveStore? _store; // written once, before the first chunk
    private int _openFiles; // interlocked
    private long _received; // guarded by _gate: files that need nothing more from the sender
    private long _settledFiles; // guarded by _gate
    private volatile ControlWriter? _control; // of the connection at hand; null: none

    public IncomingTransfer(Transfer transfer, TransferId id, Offer offer, long maxEntries)
    {
        Transfer = transfer;
        Id = id;
        Offer = offer;
        Manifest = new OfferedManifest(maxEntries);
    }

    public Transfer Transfer { get; }

    public TransferId Id { get; }

    public Offer Offer { get; }

    public OfferedManifest Manifest { get; }

    /// <summary>Whether consent was given and storage opened.</summary>
    public bool IsAccepted => _store is not null;

    private ReceiveStore Store => _store ?? throw new InvalidOperationException("storage is not open");

    /// <summary>Opens storage: the first write of any kind. Blocks.</summary>
    /// <exception cref="TransferException">No room, quota, access, or the transfer is being received by another process.</exception>
    public void Open(OfferAnswer answer, TimeProvider time)
    {
        (_, long bytes) = Manifest.Totals;
        if (bytes > answer.Quota) throw new TransferException(TransferError.StorageFull, $"the offer has at least {bytes} bytes, the quota is {answer.Quota}");
        _store = ReceiveStore.Open(answer.Folder!, Id, new ReceiveStoreOptions
        {
            Replace = answer.Replace,
            Quota = answer.Quota,
            ExpectedBytes = bytes,
            Published = OnPublished,
            TimeProvider = time,
        });
    }

    /// <summary>Takes a page of the manifest.</summary>
    /// <exception cref="TransferException">It is unsafe or malformed, or there is no room for it.</exception>
    public void AddEntries(List<ManifestEntry> page)
    {
        (long files, long bytes) = Manifest.Add(page);
        Transfer.Meter.AddTotal(files, bytes);
        _store?.Expect(bytes);
    }

    /// <summary>Messages go there from now on; null: nowhere, the next plan will tell.</summary>
    public void Connect(ControlWriter? control) => _control = control;

    /// <summary>
    /// What is wanted of a file; null: all of it. Called once a connection for every file in order, before any of its chunks can come.
    /// Blocks: reads storage.
    /// </summary>
    public PlannedFile? Plan(ManifestEntry entry)
    {
        if (_begun.TryGetValue(entry.Id, out IncomingFile? begun)) return PlanBegun(begun);
        lock (_gate)
        {
            if (_failed.TryGetValue(entry.Id, out TransferException? failure))
            {
                PostRejected(entry.Id, failure);
                return new PlannedFile(entry.Id, []);
            }

            if (IsSettled(entry.Id)) return new PlannedFile(entry.Id, []);
        }

        try
        {
            if (Store.TryGetExisting(entry))
            {
                Transfer.Meter.AddPresent(entry.Size);
                SettleDone(entry, null);
                return new PlannedFile(entry.Id, []);
            }

            // Files of one chunk leave nothing half-done worth asking for.
            var file = new IncomingFile(entry, Offer.ChunkBits);
            if (file.Chunks < 2) return null;
            try
            {
                lock (file.Gate)
                {
                    long present = EnsureOpen(file).BytesPresent;
                    if (present == 0) return null;
                    Transfer.Meter.AddPresent(present);
                }

                _begun[entry.Id] = file;
                return PlanBegun(file);
            }
            finally
            {
                // Opened again when its first chunk comes.
                Close(file);
            }
        }
        catch (TransferException e) when (ConcernsOneFile(e))
        {
            Reject(entry, e);
            return new PlannedFile(entry.Id, []);
        }
    }

    private PlannedFile? PlanBegun(IncomingFile file)
    {
        lock (file.Gate)
        {
            if (file.IsReceived) return new PlannedFile(file.Entry.Id, [], IsPending: true);
            // An end told on an earlier connection is told again.
            file.End = null;
            file.Outstanding = file.Chunks;
            if (file.Chunks == 0) return null;
            EnsureOpen(file);
            List<ChunkRange> ranges = Missing(file);
            if (ranges is [{ First: 0 } all] && all.Count == file.Chunks) return null;
            // Nothing is missing but the file's end: it comes after a chunk, so one is asked for again.
            if (ranges.Count == 0) ranges.Add(new ChunkRange(file.Chunks - 1, 1));
            file.AllowsDuplicates = true;
            file.Outstanding = file.Chunks - Claimed(file);
            return new PlannedFile(file.Entry.Id, ranges);
        }
    }

    private static long Claimed(IncomingFile file)
    {
        long claimed = 0;
        for (long index = 0; index < file.Chunks; index++)
        {
            if (file.Content!.IsClaimed(index)) claimed++;
        }

        return claimed;
    }

    private static List<ChunkRange> Missing(IncomingFile file)
    {
        var ranges = new List<ChunkRange>();
        for (long index = 0; index < file.Chunks; index++)
        {
            if (file.Content!.IsClaimed(index)) continue;
            long first = index;
            while (index < file.Chunks && !file.Content.IsClaimed(index)) index++;
            // The last range a plan has room for takes the rest, there or not.
            if (ranges.Count == TransferProtocol.MaxRangesPerFile - 1) index = file.Chunks;
            ranges.Add(new ChunkRange(first, index - first));
        }

        return ranges;
    }

    /// <summary>The file a chunk belongs to; null with a reason: it belongs to none. Null without: to one that failed, pass it over.</summary>
    public IncomingFile? Locate(in ChunkHeader header, uint planned, out string? violation)
    {
        violation = null;
        if (header.FileId >= planned)
        {
            violation = $"chunk of file {header.FileId}, which was not asked for";
            return null;
        }

        ManifestEntry entry = Manifest[header.FileId];
        lock (_gate)
        {
            if (_failed.ContainsKey(header.FileId)) return null;
            if (entry.Kind != EntryKind.File || IsSettled(header.FileId)) violation = $"chunk of entry {header.FileId}, of which none is missing";
        }

        if (violation is not null) return null;
        uint chunkSize = ChunkSize.Of(entry.Size, Offer.ChunkBits);
        bool whole = entry.Size <= chunkSize;
        if (header.Offset >= entry.Size || header.Offset % chunkSize != 0 || header.Length != ChunkSize.LengthOf(header.Offset / chunkSize, entry.Size, chunkSize)
            || header.Flags != (whole ? ChunkFlags.WholeFile : ChunkFlags.None))
        {
            violation = $"{header.Length} bytes at {header.Offset} are no chunk of file {header.FileId}";
            return null;
        }

        return Begin(entry);
    }

    /// <summary>Stores a verified chunk; blocks. False: it was there already and nothing was written, which was not to be expected.</summary>
    /// <exception cref="TransferException">Storage failed as a whole.</exception>
    public bool TakeChunk(IncomingFile file, in ChunkHeader header, ReadOnlySpan<byte> payload, out IncomingFile? received)
    {
        received = null;
        try
        {
            ReceiveFile content;
            lock (file.Gate)
            {
                if (file.IsReceived) return file.AllowsDuplicates;
                content = EnsureOpen(file);
            }

            bool isNew = content.WriteChunk(header.Offset / file.ChunkSize, payload, header.Digest);
            lock (file.Gate)
            {
                if (isNew)
                {
                    file.Outstanding--;
                    Transfer.Meter.AddMoved(payload.Length);
                }
                else
                {
                    Transfer.Meter.AddResent(payload.Length);
                    if (!file.AllowsDuplicates) return false;
                }

                if (header.Flags == ChunkFlags.WholeFile) file.Root = Digester.RootOf(header.Digest);
                if (Verify(file)) received = file;
            }
        }
        catch (TransferException e) when (ConcernsOneFile(e))
        {
            Reject(file.Entry, e);
        }

        return true;
    }

    /// <summary>The sender has sent a file's last chunk. The result is to be handed to <see cref="Publish"/> if not null. Blocks.</summary>
    public IncomingFile? EndFile(FileEnd end, uint planned)
    {
        ManifestEntry? entry = end.Id < planned ? Manifest[end.Id] : null;
        if (entry is not { Kind: EntryKind.File }) throw new TransferException(TransferError.ProtocolViolation, $"the sender ended file {end.Id}, which was not asked for");
        lock (_gate)
        {
            if (IsSettled(end.Id)) return null;
        }

        IncomingFile file = Begin(entry);
        if (end.Chunks != file.Chunks || file.Chunks == 1) throw new TransferException(TransferError.ProtocolViolation, $"the sender counts {end.Chunks} chunks of {PeerText.Escape(entry.Path)}, which has {file.Chunks}");
        try
        {
            lock (file.Gate)
            {
                if (file.IsReceived) return null;
                file.End = end;
                EnsureOpen(file);
                return Verify(file) ? file : null;
            }
        }
        catch (TransferException e) when (ConcernsOneFile(e))
        {
            Reject(file.Entry, e);
            return null;
        }
    }

    /// <summary>The sender could not send a file.</summary>
    public void FailFile(FileFailure failure, uint planned)
    {
        ManifestEntry? entry = failure.Id < planned ? Manifest[failure.Id] : null;
        if (entry is not { Kind: EntryKind.File }) throw new TransferException(TransferError.ProtocolViolation, $"the sender failed file {failure.Id}, which was not asked for");
        SettleFailed(entry, new TransferException(failure.Code.ToError(), $"the sender could not send {PeerText.Escape(entry.Path)}: {PeerText.Escape(failure.Text)}") { Peer = Transfer.Peer, Path = entry.Path }, discard: true);
    }

    /// <summary>Hands a complete, verified file to storage for publication; not before the whole manifest is known to be safe. Blocks.</summary>
    public void Publish(IncomingFile file)
    {
        if (!Manifest.IsComplete)
        {
            _awaitingManifest.Enqueue(file);
            // The manifest may have ended in between.
            if (Manifest.IsComplete) PublishAwaiting();
            return;
        }

        try
        {
            file.Content!.Publish();
            lock (_gate) _received++;
            _progress.Signal();
        }
        catch (TransferException e) when (ConcernsOneFile(e))
        {
            Reject(file.Entry, e);
        }
    }

    /// <summary>Publishes what was complete before the manifest was. Blocks.</summary>
    public void PublishAwaiting()
    {
        while (_awaitingManifest.TryDequeue(out IncomingFile? file)) Publish(file);
    }

    /// <summary>Complete files that wait for the manifest's end.</summary>
    public int AwaitingManifest => _awaitingManifest.Count;

    /// <summary>Publishes batches that storage holds back for efficiency. Blocks.</summary>
    public void PublishPending() => _store?.PublishPending();

    /// <summary>Whether nothing more is needed from the sender.</summary>
    public bool HasEverything
    {
        get
        {
            lock (_gate) return Manifest.IsComplete && _received >= Manifest.Totals.Files;
        }
    }

    /// <summary>Waits until nothing more is needed from the sender, then finishes folders and links and removes staging.</summary>
    public async Task FinishAsync(CancellationToken cancellationToken)
    {
        await Manifest.Complete.WaitAsync(cancellationToken).ConfigureAwait(false);
        (long files, _) = Manifest.Totals;
        for (Task progress = _progress.Next; !HasEverything; progress = _progress.Next) await progress.WaitAsync(cancellationToken).ConfigureAwait(false);

        for (uint id = 0; id < Manifest.Count; id++)
        {
            ManifestEntry entry = Manifest[id];
            if (entry.Kind == EntryKind.File) continue;
            try
            {
                if (entry.Kind == EntryKind.Directory) Store.CreateDirectory(entry);
                else Store.CreateSymlink(entry);
            }
            catch (TransferException e) when (ConcernsOneFile(e))
            {
                Reject(entry, e);
            }
        }

        Store.Finish();
        lock (_gate)
        {
            if (_settledFiles < files) throw new TransferException(TransferError.StorageFault, $"{files - _settledFiles} files were not published");
        }

        Store.DiscardStaging();
    }

    public IReadOnlyDictionary<uint, TransferException> Failures
    {
        get
        {
            lock (_gate) return new Dictionary<uint, TransferException>(_failed);
        }
    }

    /// <summary>Closes storage; what is staged and not discarded is kept.</summary>
    public async ValueTask DisposeAsync()
    {
        foreach (IncomingFile file in _begun.Values) Close(file);
        if (_store is not null) await _store.DisposeAsync().ConfigureAwait(false);
    }

    private IncomingFile Begin(ManifestEntry entry) =>
        _begun.GetOrAdd(entry.Id, static (_, arg) => new IncomingFile(arg.Entry, arg.ChunkBits), (Entry: entry, Offer.ChunkBits));

    /// <summary>Under the file's gate.</summary>
    private ReceiveFile EnsureOpen(IncomingFile file)
    {
        if (file.Content is not null) return file.Content;
        if (Volatile.Read(ref _openFiles) >= MaxOpenFiles)
            throw new TransferException(TransferError.ProtocolViolation, $"the sender has begun more than {MaxOpenFiles} files without ending them");
        file.Content = Store.OpenFile(file.Entry, file.ChunkSize);
        Interlocked.Increment(ref _openFiles);
        return file.Content;
    }

    private void Close(IncomingFile file)
    {
        lock (file.Gate)
        {
            if (file.Content is null) return;
            file.Content.Dispose();
            file.Content = null;
            Interlocked.Decrement(ref _openFiles);
        }
    }

    /// <summary>
    /// Whether the file has become complete and right, the first time. Chunks that an earlier run claimed and that turn out damaged
    /// are asked for again. Under the file's gate.
    /// </summary>
    private bool Verify(IncomingFile file)
    {
        if (file.IsReceived || file.Outstanding > 0 || (file.Chunks != 1 && file.End is null)) return false;
        for (long index = 0; index < file.Chunks && !file.Content!.IsComplete; index++)
        {
            if (file.Content.HasChunk(index)) continue;
            file.Outstanding++;
            file.AllowsDuplicates = true;
            _control?.Post(MessageType.ChunkRejected, new ChunkRejected(file.Entry.Id, index * file.ChunkSize, WireCode.VerificationFailed), static (m, w) => m.Write(w));
        }

        if (file.Outstanding > 0) return false;
        if (file.Chunks != 1)
        {
            file.Root = file.Content!.RootDigest();
            if (file.Root != file.End!.Value.Root)
            {
                file.Content.Discard();
                throw new TransferException(TransferError.VerificationFailed, $"{PeerText.Escape(file.Entry.Path)}: its chunks are not those the sender has; send it again") { Path = file.Entry.Path };
            }
        }

        file.IsReceived = true;
        return true;
    }

    private void OnPublished(PublishOutcome outcome)
    {
        _begun.TryGetValue(outcome.Entry.Id, out IncomingFile? file);
        if (outcome.Error is not null) SettleFailed(outcome.Entry, outcome.Error, discard: false, alreadyReceived: true);
        else SettleDone(outcome.Entry, file);
    }

    private void SettleDone(ManifestEntry entry, IncomingFile? file)
    {
        lock (_gate)
        {
            if (!TrySettle(entry)) return;
            if (file is null) _received++;
        }

        Transfer.Meter.AddFile(entry.Size);
        if (file is not null)
        {
            Transfer.Tell(new TransferEvent.FileCompleted(entry.Path, entry.Size, Digester.ToText(file.Root)));
            _control?.Post(MessageType.FileDone, new Number(entry.Id), static (m, w) => m.Write(w));
            End(file);
        }

        _progress.Signal();
    }

    /// <summary>A file fails here; the sender is told, the rest goes on.</summary>
    private void Reject(ManifestEntry entry, TransferException failure) => SettleFailed(entry, failure, discard: false);

    private void SettleFailed(ManifestEntry entry, TransferException failure, bool discard, bool alreadyReceived = false)
    {
        var named = failure.Path is null ? new TransferException(failure.Error, failure.Message, failure) { Peer = Transfer.Peer, Path = entry.Path } : failure;
        lock (_gate)
        {
            if (!TrySettle(entry)) return;
            if (entry.Kind == EntryKind.File && !alreadyReceived) _received++;
            _failed[entry.Id] = named;
            if (!discard) PostRejected(entry.Id, named);
        }

        Transfer.TellFailure(named);
        if (_begun.TryGetValue(entry.Id, out IncomingFile? file))
        {
            if (discard)
            {
                lock (file.Gate) file.Content?.Discard();
            }

            End(file);
        }

        _progress.Signal();
    }

    private void End(IncomingFile file)
    {
        _begun.TryRemove(file.Entry.Id, out _);
        Close(file);
    }

    private void PostRejected(uint id, TransferException failure) =>
        _control?.Post(MessageType.FileRejected, new FileFailure(id, failure.Error.ToWire(), failure.Message), static (m, w) => m.Write(w));

    /// <summary>Under the gate.</summary>
    private bool IsSettled(uint id) => id >> 6 < _settled.Count && (_settled[(int)(id >> 6)] & 1UL << (int)(id & 63)) != 0;

    /// <summary>Under the gate.</summary>
    private bool TrySettle(ManifestEntry entry)
    {
        if (IsSettled(entry.Id)) return false;
        int word = (int)(entry.Id >> 6);
        while (_settled.Count <= word) _settled.Add(0);
        _settled[word] |= 1UL << (int)(entry.Id & 63);
        if (entry.Kind == EntryKind.File) _settledFiles++;
        return true;
    }

    /// <summary>Whether a failure of storage leaves the other files a chance.</summary>
    private static bool ConcernsOneFile(TransferException e) =>
        e.Error is TransferError.DestinationExists or TransferError.AccessDenied or TransferError.VerificationFailed;
}
