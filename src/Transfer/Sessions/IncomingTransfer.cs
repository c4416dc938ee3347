using System.Collections.Concurrent;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Storage;
using FastShare.Transfer.Verification;
using FastShare.Transport.Buffers;
using FastShare.Transport.Identity;

namespace FastShare.Transfer.Sessions;

/// <summary>
/// What the receiver of one transfer keeps from connection to connection: manifest, consent, storage, and how far each file is.
/// One <see cref="ReceiveAttempt"/> at a time works on it. Thread-safe.
/// </summary>
internal sealed partial class IncomingTransfer : IAsyncDisposable
{
    /// <summary>Files that may be open at once: many times what an honest sender's lanes can have on their way.</summary>
    private const int MaxOpenFiles = 512;

    private static readonly UInt128 RootOfNothing = Digester.Of([]);

    private readonly ConcurrentDictionary<uint, IncomingFile> _begun = new();
    private readonly Lock _gate = new();
    private readonly RejectedFiles _failures = new(); // guarded by _gate
    private readonly EntrySet _settled = new(); // guarded by _gate
    private readonly EntrySet _repeated = new(); // guarded by _gate: files of which a chunk was asked for that may not be missing
    private readonly Pulse _progress = new();
    private readonly BlockPool _blocks;
    private ReceiveStore? _store; // written once, before the first chunk
    private long _quota = long.MaxValue; // written once, with _store
    private int _openFiles; // interlocked
    private long _received; // guarded by _gate: files that need nothing more from the sender
    private long _settledFiles; // guarded by _gate
    private volatile TransferException? _broken; // what ended the work beside the streams
    private volatile ControlWriter? _control; // of the connection at hand; null: none

    public IncomingTransfer(Transfer transfer, TransferId id, Offer offer, long maxEntries, BlockPool blocks)
    {
        _blocks = blocks;
        Transfer = transfer;
        Id = id;
        Offer = offer;
        Manifest = new OfferedManifest(maxEntries);
    }

    public Transfer Transfer { get; }

    public TransferId Id { get; }

    public Offer Offer { get; }

    public OfferedManifest Manifest { get; }

    /// <summary>Whether consent was given and, unless the application takes the bytes, storage opened.</summary>
    public bool IsAccepted => _store is not null || IsIntoSinks;

    private ReceiveStore Store => _store ?? throw new InvalidOperationException("storage is not open");

    /// <summary>Opens storage: the first write of any kind. Blocks.</summary>
    /// <exception cref="TransferException">No room, quota, access, or the transfer is being received by another process.</exception>
    public void Open(OfferAnswer answer, Destinations destinations)
    {
        _quota = answer.Quota;
        CheckQuota();
        if (answer.Sinks is not null)
        {
            _sinks = answer.Sinks;
            return;
        }

        _store = destinations.Open(answer, Id, Transfer.Stages, OnPublished);
        _store.HoldBatches(); // until PublishAwaiting
        StartWorkers();
    }

    /// <summary>Takes a page of the manifest.</summary>
    /// <exception cref="TransferException">It is unsafe or malformed, or there is no room for it.</exception>
    public void AddEntries(List<ManifestEntry> page)
    {
        (long files, long bytes, long openEnded) = Manifest.Add(page);
        Transfer.Meter.AddTotal(files, bytes, openEnded);
        CheckQuota();
    }

    private void CheckQuota()
    {
        (_, long bytes) = Manifest.Totals;
        if (bytes > _quota)
            throw new TransferException(TransferError.StorageFull, $"the offer has at least {bytes} bytes, and {_quota} are allowed");
    }

    /// <summary>Messages go there from now on; null: nowhere, the next plan will tell.</summary>
    public void Connect(ControlWriter? control) => _control = control;

    /// <summary>
    /// The file a chunk belongs to; null with a reason: it belongs to none. Null without: to one that failed, pass it over.
    /// </summary>
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
            if (_failures.Contains(header.FileId)) return null;
            // What was asked for in excess may come after the file's end, and after the file is settled.
            if (_settled.Contains(header.FileId) && _repeated.Contains(header.FileId)) return null;
            if (entry.Kind != EntryKind.File || _settled.Contains(header.FileId) || IsComparing(header.FileId))
                violation = $"chunk of entry {header.FileId}, of which none is missing";
        }

        if (violation is not null) return null;
        uint chunkSize = ChunkSize.Of(entry.Size, Offer.ChunkBits);
        bool whole = entry.Size <= chunkSize;
        if (header.Offset >= entry.Size || header.Offset % chunkSize != 0
            || header.Length != ChunkSize.LengthOf(header.Offset / chunkSize, entry.Size, chunkSize)
            || (header.Flags & ~ChunkFlags.Hole) != (whole ? ChunkFlags.WholeFile : ChunkFlags.None))
        {
            violation = $"{header.Length} bytes at {header.Offset} are no chunk of file {header.FileId}";
            return null;
        }

        return Begin(entry);
    }

    /// <summary>
    /// Stores a verified chunk; blocks. False: it was there already and nothing was written, which was not to be expected.
    /// </summary>
    /// <param name="file">Its file, from <see cref="Locate"/>.</param>
    /// <param name="header">Its header.</param>
    /// <param name="payload">The chunk.</param>
    /// <param name="received">The file, if this chunk made it complete: to be handed to <see cref="Publish"/>.</param>
    /// <exception cref="TransferException">Storage failed as a whole.</exception>
    public bool TakeChunk(IncomingFile file, in ChunkHeader header, ReadOnlySpan<byte> payload, out IncomingFile? received)
    {
        received = null;
        bool expected = true;
        try
        {
            ReceiveFile content;
            lock (file.Gate)
            {
                // It may have failed, or been settled, while the payload arrived.
                if (file.IsOver) return true;
                if (file.IsReceived) return file.AllowsDuplicates;
                content = EnsureOpen(file);
                file.Writers++;
            }

            bool isNew = false, stored = false;
            Interlocked.Increment(ref _storing);
            try
            {
                long index = header.Offset / file.ChunkSize;
                isNew = header.IsHole ? content.WriteHole(index, header.Digest) : content.WriteChunk(index, payload, header.Digest);
                stored = true;
            }
            finally
            {
                Interlocked.Decrement(ref _storing);
                if (!stored) Leave(file);
            }

            if (isNew)
            {
                if (header.IsHole) Transfer.Meter.AddPresent(header.Length);
                else Transfer.Meter.AddMoved(payload.Length);
            }
            else
            {
                Transfer.Meter.AddResent(payload.Length);
                expected = file.AllowsDuplicates;
            }

            lock (file.Gate)
            {
                // Both at once: who verifies claims closes a file that nobody writes to.
                Leave(file);
                if ((header.Flags & ChunkFlags.WholeFile) != 0) file.Root = Digester.RootOf(header.Digest);
                if (Verify(file)) received = file;
            }
        }
        catch (TransferException e) when (ConcernsOneFile(e))
        {
            Reject(file.Entry, e);
        }

        return expected;
    }

    /// <summary>The sender has sent a file's last chunk. The result is to be handed to <see cref="Publish"/> if not null. Blocks.</summary>
    public IncomingFile? EndFile(FileEnd end, uint planned)
    {
        ManifestEntry? entry = end.Id < planned ? Manifest[end.Id] : null;
        if (entry is not { Kind: EntryKind.File })
            throw TransferProtocol.Violation($"the sender ended file {end.Id}, which was not asked for");
        lock (_gate)
        {
            if (_settled.Contains(end.Id)) return null;
        }

        if (IsComparing(end.Id)) throw TransferProtocol.Violation($"the sender ended file {end.Id}, which was not asked for yet");
        if (entry.Size == 0 && end.Chunks == 0 && end.Root == RootOfNothing && PutOff(end)) return null;
        IncomingFile file = Begin(entry);
        if (end.Chunks != file.Chunks || file.Chunks == 1)
        {
            string wrong = $"the sender counts {end.Chunks} chunks of {PeerText.Escape(entry.Path)}, which has {file.Chunks}";
            throw TransferProtocol.Violation(wrong);
        }
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
        if (entry is not { HasContent: true })
            throw TransferProtocol.Violation($"the sender failed file {failure.Id}, which was not asked for");
        if (_begun.TryGetValue(entry.Id, out IncomingFile? file))
        {
            lock (file.Gate)
            {
                // It is whole and right, and on its way to its name: only a repetition that is not needed can have failed.
                if (file.IsReceived) return;
                file.IsOver = true;
            }
        }

        Decide(entry.Id);
        string why = $"the sender could not send {PeerText.Escape(entry.Path)}: {PeerText.Escape(failure.Text)}";
        var told = new TransferException(failure.Code.ToError(), why) { Peer = Transfer.Peer, Path = entry.Path };
        // Who reads what is received has seen some of it, or waits for the next: there is no going on without it.
        if (_streams.ContainsKey(entry.Id)) throw told;
        SettleFailed(entry, told, discard: true);
    }

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
        for (Task progress = _progress.Next; !HasEverything; progress = _progress.Next)
        {
            if (_store?.Fault is { } fault) throw fault;
            if (_broken is { } broken) throw broken;
            await progress.WaitAsync(cancellationToken).ConfigureAwait(false);
        }

        // Folders and links have no bytes that an application could take.
        if (IsIntoSinks) return;
        ReleaseBatches();
        Store.Announce(Manifest.WithoutContent().Where(static entry => entry.Kind == EntryKind.Directory));
        foreach (ManifestEntry entry in Manifest.WithoutContent())
        {
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

        foreach (TransferException failure in Store.Finish()) Transfer.TellFailure(failure);
        lock (_gate)
        {
            if (_settledFiles < files)
                throw _broken ?? new TransferException(TransferError.StorageFault, $"{files - _settledFiles} files were not published");
        }

        Store.DiscardStaging();
    }

    /// <summary>What is told about the files that failed here.</summary>
    public RejectedFiles Failures => _failures;

    /// <summary>Closes storage; what is staged and not discarded is kept, unless the manifest was unsafe.</summary>
    public async ValueTask DisposeAsync()
    {
        await StopWorkersAsync().ConfigureAwait(false);
        foreach (IncomingFile file in _begun.Values) Close(file);
        if (_store is null) return;
        try
        {
            // A manifest that was refused as unsafe is refused again: nothing of it will be resumed.
            if (Ending is { Error: TransferError.UnsafeName }) _store.DiscardStaging();
        }
        finally
        {
            await _store.DisposeAsync().ConfigureAwait(false);
        }
    }

    private IncomingFile Begin(ManifestEntry entry) =>
        _begun.GetOrAdd(entry.Id, static (_, arg) => new IncomingFile(arg.Entry, arg.ChunkBits), (Entry: entry, Offer.ChunkBits));

    /// <summary>Under the file's gate.</summary>
    private ReceiveFile EnsureOpen(IncomingFile file)
    {
        if (file.Content is not null) return file.Content;
        // Those that wait for storage are not the sender's fault.
        if (Volatile.Read(ref _openFiles) - Volatile.Read(ref _publishing) >= MaxOpenFiles)
            throw TransferProtocol.Violation($"the sender has begun more than {MaxOpenFiles} files without ending them");
        file.Content = Store.OpenFile(file.Entry, file.ChunkSize, isLookedAt: true);
        Interlocked.Increment(ref _openFiles);
        return file.Content;
    }

    /// <summary>A writer is done; the last one of a file that is over closes it.</summary>
    private void Leave(IncomingFile file)
    {
        lock (file.Gate)
        {
            file.Writers--;
            if (file.IsOver) Close(file);
        }
    }

    /// <summary>Closes storage, or throws away what is staged if that is wanted; once nobody writes any more.</summary>
    private void Close(IncomingFile file)
    {
        lock (file.Gate)
        {
            if (file.Content is null || file.Writers > 0) return;
            if (file.DropsStaged) file.Content.Discard();
            else file.Content.Dispose();
            file.Content = null;
            Interlocked.Decrement(ref _openFiles);
        }
    }

    /// <summary>
    /// Whether the file has become complete and right, the first time. Chunks that an earlier run claimed and that turned out damaged
    /// are asked for again. Under the file's gate.
    /// </summary>
    private bool Verify(IncomingFile file)
    {
        if (file.IsReceived || file.IsOver || file.Writers > 0 || file.IsVerifying || (file.Chunks != 1 && file.End is null)) return false;
        ReceiveFile content = file.Content!;
        if (content.UnverifiedCount > 0) file.Damaged.AddRange(ReadBack(file, content, CancellationToken.None));
        AskAgain(file);
        if (!content.IsComplete) return false;
        if (file.Chunks != 1)
        {
            file.Root = file.Content!.RootDigest();
            if (file.Root != file.End!.Value.Root)
            {
                file.DropsStaged = true;
                string why = $"{PeerText.Escape(file.Entry.Path)}: its chunks are not those the sender has; send it again";
                throw new TransferException(TransferError.VerificationFailed, why) { Path = file.Entry.Path };
            }
        }

        file.IsReceived = true;
        return true;
    }

    /// <summary>More is asked for than is missing. Under the file's gate.</summary>
    private void AllowDuplicates(IncomingFile file)
    {
        file.AllowsDuplicates = true;
        lock (_gate) _repeated.Add(file.Entry.Id);
    }
}
