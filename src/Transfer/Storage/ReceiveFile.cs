using System.Buffers;
using System.IO.Hashing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Scheduling;
using FastShare.Transfer.Storage.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transfer.Storage;

/// <summary>
/// One file being received into staging. Chunks may be written and asked for from several threads; Publish, Discard and Dispose
/// have one caller, after all writes ended.
/// </summary>
internal sealed class ReceiveFile : IDisposable
{
    private enum Stage
    {
        Receiving,
        Publishing,
        Closed,
    }

    private readonly ReceiveStore _store;
    private readonly Lock _gate = new(); // taken before the store's gate, never after it
    private volatile IStorageFile? _data; // set once under _gate, with the first chunk or when resuming; closed under _gate
    private Stage _stage; // guarded by _gate
    private bool _hasMode; // guarded by _gate: the data file was made with the entry's mode
    private bool _isResumed; // the data file is of an earlier run; set before anybody else has the object
    private volatile bool _reachesEnd; // the last chunk was written, and is no hole
    private volatile bool _dirty; // may have content that no sync covers; set between a write and its bit, cleared before a sync

    internal ReceiveFile(ReceiveStore store, ManifestEntry entry, StagedFile staged)
    {
        _store = store;
        Entry = entry;
        Staged = staged;
    }

    /// <summary>What it will become.</summary>
    public ManifestEntry Entry { get; }

    /// <summary>Number of chunks; 0 for an empty file.</summary>
    public long ChunkCount => Staged.Map.Count;

    /// <summary>Number of chunks that are there or claimed by the journal.</summary>
    public long ClaimCount => Staged.Map.ClaimCount;

    /// <summary>Number of chunks that the journal claims and nobody has verified yet.</summary>
    public long UnverifiedCount => Staged.Map.UnverifiedCount;

    /// <summary>Bytes of the chunks that are there and verified.</summary>
    public long BytesPresent => Staged.Map.BytesPresent;

    /// <summary>Whether every chunk is there and verified.</summary>
    public bool IsComplete => Staged.Map.IsComplete;

    internal StagedFile Staged { get; }

    /// <summary>Whether there is a data file.</summary>
    internal bool HasData => _data is not null;

    /// <summary>
    /// Whether the chunk is there. One that only the journal claims, from an earlier run, is read back and verified now; if the disk does
    /// not have it, it is missing.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such chunk.</exception>
    public bool HasChunk(long index)
    {
        CheckIndex(index);
        if (Staged.Map.BeginVerify(index, out bool present) is not { } digest) return present;

        int length = Staged.Map.LengthOf(index);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(length);
        bool good = false;
        try
        {
            Span<byte> chunk = buffer.AsSpan(0, length);
            int read = _data?.Read(index * Staged.Map.ChunkSize, chunk) ?? -1;
            // a hole at the end is not in the file before it is published; what is not zeros has another digest
            if (read >= 0) chunk[read..].Clear();
            good = read >= 0 && XxHash128.HashToUInt128(chunk) == digest;
        }
        catch (TransferException e) when (e.Error == TransferError.StorageFault)
        {
            // a sector that cannot be read is a chunk that is not there: it is asked for again
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
            if (good) Staged.Map.Confirm(index, digest);
            else Staged.Map.Abort(index);
        }

        return good;
    }

    /// <summary>
    /// Whether the chunk is there or claimed by the journal, without reading anything: for planning what to ask for while claims are
    /// verified with <see cref="HasChunk"/> meanwhile.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such chunk.</exception>
    public bool IsClaimed(long index)
    {
        CheckIndex(index);
        return Staged.Map.IsClaimed(index);
    }

    /// <summary>
    /// Writes a chunk whose digest the caller has verified. False: it was there already, or is being written; nothing was written.
    /// </summary>
    /// <exception cref="TransferException">
    /// <see cref="TransferError.ProtocolViolation"/>: no such chunk, or not its length; otherwise storage failed, and the store with it:
    /// the transfer stops and can be resumed.
    /// </exception>
    public bool WriteChunk(long index, ReadOnlySpan<byte> payload, UInt128 digest)
    {
        if (index < 0 || index >= ChunkCount || payload.Length != Staged.Map.LengthOf(index))
        {
            throw new TransferException(
                TransferError.ProtocolViolation,
                $"The peer sent chunk {index} with {payload.Length} bytes for “{PeerText.Escape(Entry.Path)}”, "
                + $"which has {ChunkCount} chunks of {Staged.Map.ChunkSize} bytes, {Entry.Size} in all.")
            { Path = Entry.Path };
        }

        return Write(index, payload, digest);
    }

    /// <summary>
    /// Keeps a chunk of zeros as a hole; the caller has verified that the digest is that of zeros. Otherwise as
    /// <see cref="WriteChunk"/>.
    /// </summary>
    public bool WriteHole(long index, UInt128 digest)
    {
        CheckIndex(index);
        return Write(index, default, digest);
    }

    /// <summary>Writes a chunk; without payload, a hole.</summary>
    private bool Write(long index, ReadOnlySpan<byte> payload, UInt128 digest)
    {
        _store.ThrowIfFaulted();
        if (!Staged.Map.TryBeginWrite(index)) return false;
        bool written = false;
        try
        {
            IStorageFile data = _data ?? Create();
            long offset = index * Staged.Map.ChunkSize;
            // behind the file's end there is a hole already; what a run left there that was cut off must go
            if (payload.IsEmpty) data.MakeHole(offset, Staged.Map.LengthOf(index));
            else data.Write(offset, payload);
            if (!payload.IsEmpty && index == ChunkCount - 1) _reachesEnd = true;
            _dirty = true;
            written = true;
        }
        catch (TransferException e)
        {
            throw _store.SetFault(e, Entry.Path);
        }
        finally
        {
            if (written) Staged.Map.Complete(index, digest);
            else Staged.Map.Abort(index);
        }

        _store.CountWritten(Staged.Map.LengthOf(index));
        return true;
    }

    /// <summary>XXH128 over the chunks' digests, each 16 bytes big-endian, in order.</summary>
    /// <exception cref="InvalidOperationException">Not complete.</exception>
    public UInt128 RootDigest() => Staged.Map.RootDigest();

    /// <summary>
    /// Puts the complete file under its final name with its mode and time: at once if it is large, with its batch if it is small.
    /// <see cref="ReceiveStoreOptions.Published"/> tells when it stands or why it does not; acknowledge it only then. The file is
    /// closed.
    /// </summary>
    /// <param name="leavesBatch">Whether a full batch is left to <see cref="ReceiveStore.PublishPending"/>, to be called elsewhere.</param>
    /// <returns>Whether there is one: then this call did little more than to close the file.</returns>
    /// <exception cref="InvalidOperationException">Not complete, or not the first call.</exception>
    /// <exception cref="TransferException">The store failed before.</exception>
    public bool Publish(bool leavesBatch = false)
    {
        if (!IsComplete) throw new InvalidOperationException("The file is not complete.");
        _store.ThrowIfFaulted();
        bool synced, syncing = false;
        try
        {
            lock (_gate)
            {
                if (_stage != Stage.Receiving) throw new InvalidOperationException("The file is closed.");
                _stage = Stage.Publishing;
                synced = !_store.SyncsInBatches(Entry.Size);
                IStorageFile data = _data ?? Create();
                // it ends with a hole, or is as long as an earlier run left it; most are as long as what was written to them
                bool isWhole = !_isResumed && (_reachesEnd || Entry.Size == 0);
                if (!isWhole && data.Stat().Size != Entry.Size) data.SetLength(Entry.Size);
                data.SetAttributes(_hasMode ? -1 : Entry.Mode, Entry.ModifiedUnixNanoseconds);
                syncing = synced;
                if (synced)
                {
                    using StageMeter.Span measured = _store.Stages.Measure(TransferStage.Syncing);
                    data.Sync();
                }

                _dirty = !synced; // with its batch, and until then a checkpoint has to know
                data.Dispose();
            }
        }
        catch (TransferException e)
        {
            TransferException fault = _store.SetFault(e, Entry.Path, syncFailed: syncing);
            Close();
            _store.Report(new PublishOutcome(Entry, fault));
            return false;
        }

        if (!synced) return _store.PublishWithBatch(this, leavesBatch);
        _store.PublishNow(this);
        return false;
    }

    /// <summary>Throws the staged data away, as after a root digest that does not match.</summary>
    public void Discard()
    {
        Close();
        _store.Forget(this, removeData: true);
    }

    /// <summary>Closes the file; what it has is kept for a resume. After <see cref="Publish"/> it does nothing.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_stage != Stage.Receiving) return;
            try
            {
                // once closed, no checkpoint can sync it any more
                if (_data is { } data && !_store.IsFaulted)
                {
                    if (_dirty) data.SyncData();
                    _dirty = false;
                }
            }
            catch (TransferException e)
            {
                _store.SetFault(e, Entry.Path, syncFailed: true);
            }

            _stage = Stage.Closed;
            _data?.Dispose();
        }

        _store.Forget(this, removeData: false);
    }

    /// <summary>
    /// For a checkpoint: what was written before this call is durable when it returns true. False: the file waits, closed, for its
    /// batch; only a sync of the whole file system reaches it.
    /// </summary>
    internal bool Sync()
    {
        lock (_gate)
        {
            if (_stage != Stage.Receiving) return !_dirty;
            if (_data is not { } data) return true;
            if (_dirty)
            {
                _dirty = false;
                data.SyncData();
            }

            return true;
        }
    }

    /// <summary>Gives it the data file of an earlier run. Before anybody else has the object.</summary>
    internal void Attach(IStorageFile data)
    {
        _isResumed = true;
        lock (_gate) _data = data;
    }

    internal bool IsDirty => _dirty;

    internal void ClearDirty() => _dirty = false;

    private void Close()
    {
        lock (_gate)
        {
            _stage = Stage.Closed;
            _data?.Dispose();
        }
    }

    private void CheckIndex(long index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, ChunkCount);
    }

    private IStorageFile Create()
    {
        lock (_gate)
        {
            if (_stage == Stage.Closed) throw new ObjectDisposedException(nameof(ReceiveFile));
            return _data ??= _store.CreateData(Staged, Entry.Mode, out _hasMode);
        }
    }
}
