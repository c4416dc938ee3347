using System.Collections.Concurrent;
using System.Threading.Channels;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Storage;

namespace FastShare.Transfer.Sessions;

// What takes as long as the disk does, away from the streams: they stay readable, and the connection alive, however slow it is.
internal sealed partial class IncomingTransfer
{
    /// <summary>Complete files that may wait for the disk; the data streams wait while there are more.</summary>
    private const int MaxPublishing = 256;

    /// <summary>Full batches of small files that may: one is written while the next arrives.</summary>
    private const int MaxBatches = 2;

    /// <summary>Complete files, each open, that may wait for the manifest's end; the data streams wait while there are more.</summary>
    private const int MaxAwaitingManifest = 256;

    /// <summary>Complete small files, each closed and about 1 KiB of memory, that may.</summary>
    private const int MaxHeld = 8192;

    // null: a full batch of small files. Bounded by MaxPublishing and MaxBatches.
    private readonly Channel<IncomingFile?> _complete =
        Channel.CreateUnbounded<IncomingFile?>(new UnboundedChannelOptions { SingleReader = true });

    private readonly Channel<IncomingFile> _claims =
        Channel.CreateUnbounded<IncomingFile>(new UnboundedChannelOptions { SingleReader = true }); // bounded by the files staged

    private readonly ConcurrentQueue<IncomingFile> _awaitingManifest = new();
    private EntrySet _emptyAwaitingManifest = new(); // guarded by _gate: empty files that have ended
    private readonly Pulse _room = new();
    private readonly CancellationTokenSource _stop = new();
    private Task _workers = Task.CompletedTask; // written once, with _store
    private int _publishing; // interlocked: files in _complete, or with their worker
    private int _batches; // interlocked: likewise
    private int _storing; // interlocked: threads in a call of storage

    /// <summary>Whether something waits for the disk: then nothing arriving means nothing.</summary>
    public bool IsStoring => Volatile.Read(ref _storing) > 0 || Volatile.Read(ref _publishing) > 0 || Volatile.Read(ref _batches) > 0
        || Volatile.Read(ref _toCompare) > 0;

    /// <summary>Waits while more files are complete than storage keeps up with.</summary>
    public ValueTask WaitForStorageAsync(CancellationToken cancellationToken) => HasRoom ? default : WaitForRoomAsync(cancellationToken);

    private bool HasRoom => Volatile.Read(ref _publishing) < MaxPublishing && Volatile.Read(ref _batches) < MaxBatches;

    private async ValueTask WaitForRoomAsync(CancellationToken cancellationToken)
    {
        for (Task room = _room.Next; !HasRoom; room = _room.Next) await room.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// Queues a complete, verified file for publication; not before the whole manifest is known to be safe. Waits for no sync: who brings many
    /// files calls <see cref="WaitForStorageAsync"/>.
    /// </summary>
    public void Publish(IncomingFile file)
    {
        if (Store.SyncsInBatches(file.Entry.Size))
        {
            // whoever brought it has it in the cache, and closing it waits for no disk; its batch is held until the manifest has ended
            PublishNow(file);
            return;
        }

        if (!Manifest.IsComplete)
        {
            _awaitingManifest.Enqueue(file);
            // The manifest may have ended in between.
            if (Manifest.IsComplete) PublishAwaiting();
            return;
        }

        Interlocked.Increment(ref _publishing);
        _complete.Writer.TryWrite(file);
    }

    /// <summary>Queues what was complete before the manifest was. Blocks, as <see cref="EndFile"/> does.</summary>
    public void PublishAwaiting(CancellationToken cancellationToken = default)
    {
        ReleaseBatches();
        while (_awaitingManifest.TryDequeue(out IncomingFile? file)) Publish(file);
        EntrySet empty;
        lock (_gate) (empty, _emptyAwaitingManifest) = (_emptyAwaitingManifest, new EntrySet());
        foreach (uint id in empty.All())
        {
            // those that are left out are asked for again by the next connection
            cancellationToken.ThrowIfCancellationRequested();
            if (EndFile(new FileEnd(id, 0, RootOfNothing), uint.MaxValue) is { } file) Publish(file);
        }
    }

    /// <summary>
    /// Puts off an empty file until the manifest is complete, if it is not. Its end comes on the manifest's own stream, which cannot wait, and
    /// any number of them may: so none is opened before it can be published.
    /// </summary>
    private bool PutOff(in FileEnd end)
    {
        if (Manifest.IsComplete) return false;
        lock (_gate) _emptyAwaitingManifest.Add(end.Id);
        // The manifest may have ended in between.
        if (Manifest.IsComplete) PublishAwaiting();
        return true;
    }

    /// <summary>Waits while too many files are complete that wait for the manifest's end.</summary>
    public async ValueTask WaitForManifestAsync(CancellationToken cancellationToken)
    {
        while (!Manifest.IsComplete && (_awaitingManifest.Count >= MaxAwaitingManifest || Store.PendingCount >= MaxHeld))
            await Manifest.Complete.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>What was held goes to the worker as one batch.</summary>
    private void ReleaseBatches()
    {
        if (_store?.ReleaseBatches() != true) return;
        Interlocked.Increment(ref _batches);
        _complete.Writer.TryWrite(null);
    }

    /// <summary>Publishes batches that storage holds back for efficiency. Blocks.</summary>
    public void PublishPending() => _store?.PublishPending();

    private void StartWorkers() =>
        _workers = Task.WhenAll(Task.Run(PublishAsync), Task.Run(VerifyClaimsAsync), Task.Run((Func<Task>)CompareAsync));

    /// <summary>Ends all within a file or a chunk; what is not published stays staged.</summary>
    private async Task StopWorkersAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        _complete.Writer.TryComplete();
        _claims.Writer.TryComplete();
        _comparisons.Writer.TryComplete();
        await _workers.ConfigureAwait(false);
        await StopDeliveriesAsync().ConfigureAwait(false);
        _stop.Dispose();
    }

    private async Task PublishAsync()
    {
        await foreach (IncomingFile? file in _complete.Reader.ReadAllAsync().ConfigureAwait(false))
        {
            if (file is null)
            {
                // a failure is reported for each of its files
                if (!_stop.IsCancellationRequested) Store.PublishPending();
                Interlocked.Decrement(ref _batches);
            }
            else
            {
                if (!_stop.IsCancellationRequested) PublishNow(file);
                Interlocked.Decrement(ref _publishing);
            }

            _room.Signal();
        }
    }

    /// <summary>
    /// Publishes a file that is to be durable by itself, or closes a small one and adds it to its batch; a full batch is the worker's.
    /// </summary>
    private void PublishNow(IncomingFile file)
    {
        try
        {
            if (file.Content!.Publish(leavesBatch: true))
            {
                Interlocked.Increment(ref _batches);
                _complete.Writer.TryWrite(null);
            }

            Close(file);
            bool isLast;
            lock (_gate)
            {
                _received++;
                isLast = HasEverything;
            }

            if (isLast) _progress.Signal();
        }
        catch (TransferException e) when (ConcernsOneFile(e))
        {
            Reject(file.Entry, e);
        }
        catch (Exception e)
        {
            Break(e);
        }
    }

    /// <summary>
    /// The work beside the streams has failed, which ends the transfer: <see cref="FinishAsync"/> looks at it now. Whatever it is, for while
    /// something waits to be stored no silence of the sender ends anything.
    /// </summary>
    private void Break(Exception e)
    {
        _broken ??= _store?.Fault ?? e as TransferException
            ?? new TransferException(TransferError.StorageFault, $"what was received could not be stored: {e.Message}", e);
        _progress.Signal();
    }

    private async Task VerifyClaimsAsync()
    {
        await foreach (IncomingFile file in _claims.Reader.ReadAllAsync().ConfigureAwait(false))
        {
            if (_stop.IsCancellationRequested) continue;
            try
            {
                if (VerifyClaims(file)) Publish(file);
            }
            catch (TransferException e) when (ConcernsOneFile(e))
            {
                Reject(file.Entry, e);
            }
            catch (Exception e)
            {
                Break(e);
            }
        }
    }

    /// <summary>Reads back what an earlier run claimed of a file, while other chunks of it arrive. True: that made it complete.</summary>
    private bool VerifyClaims(IncomingFile file)
    {
        ReceiveFile content;
        lock (file.Gate)
        {
            file.IsVerifying = !file.IsReceived && !file.IsOver;
            if (!file.IsVerifying) return false;
            content = EnsureOpen(file);
            file.Writers++;
        }

        List<long> damaged = [];
        try
        {
            damaged = ReadBack(file, content, _stop.Token);
        }
        finally
        {
            lock (file.Gate)
            {
                Leave(file);
                file.IsVerifying = false;
                file.Damaged.AddRange(damaged);
            }
        }

        lock (file.Gate)
        {
            if (file.IsOver || _stop.IsCancellationRequested) return false;
            if (Verify(file)) return true;
            // Opened again with its next chunk or its end: hundreds of files may be resumed at once.
            if (!file.IsReceived) Close(file);
            return false;
        }
    }

    private List<long> ReadBack(IncomingFile file, ReceiveFile content, CancellationToken cancellationToken)
    {
        var damaged = new List<long>();
        for (long index = 0; index < file.Chunks && content.UnverifiedCount > 0 && !file.IsOver; index++)
        {
            if (cancellationToken.IsCancellationRequested) break;
            if (!content.IsClaimed(index) || content.HasChunk(index)) continue;
            damaged.Add(index);
            Transfer.Meter.AddPresent(-ChunkSize.LengthOf(index, file.Entry.Size, file.ChunkSize));
        }

        return damaged;
    }

    /// <summary>Asks for chunks again that turned out damaged, and have not come since. Under the file's gate.</summary>
    private void AskAgain(IncomingFile file)
    {
        // A file of one chunk has no end, and its chunk was asked for in any case.
        if (file.Chunks == 1 || file.End is null) return;
        foreach (long index in file.Damaged)
        {
            if (file.Content!.IsClaimed(index)) continue;
            AllowDuplicates(file);
            _control?.Post(
                MessageType.ChunkRejected, new ChunkRejected(file.Entry.Id, index * file.ChunkSize, WireCode.VerificationFailed));
        }

        file.Damaged.Clear();
    }
}
