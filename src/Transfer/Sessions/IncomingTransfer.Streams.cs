using System.Collections.Concurrent;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Verification;
using FastShare.Transport.Identity;

namespace FastShare.Transfer.Sessions;

// Entries that arrive in order: streams, and everything where the destination is no folder. Each has a loop that delivers it, across
// connections, at the pace of what it is delivered to.
internal sealed partial class IncomingTransfer
{
    private readonly ConcurrentDictionary<uint, IncomingStream> _streams = new();
    private readonly List<Task> _deliveries = []; // guarded by _gate
    private SinkFactory? _sinks; // written once, before the first plan
    private long _streamedBytes; // interlocked: of streams whose size the manifest does not tell

    /// <summary>Whether entries go to the application, one after the other, instead of into a folder.</summary>
    public bool IsIntoSinks => _sinks is not null;

    /// <summary>Why the transfer ends, for those who read what is received; set before disposal.</summary>
    public TransferException? Ending { get; set; }

    /// <summary>What is wanted of an entry that arrives as a stream; null: all of it. Called once a connection, in order.</summary>
    public PlannedFile? PlanStream(ManifestEntry entry)
    {
        lock (_gate)
        {
            if (_failures.Find(entry.Id) is { } failure)
            {
                _control?.Post(MessageType.FileRejected, failure);
                return new PlannedFile(entry.Id, []);
            }

            if (_settled.Contains(entry.Id)) return new PlannedFile(entry.Id, []);
        }

        if (!_streams.TryGetValue(entry.Id, out IncomingStream? stream))
        {
            stream = new IncomingStream(entry, Offer.ChunkBits, _blocks);
            try
            {
                // Opening says early if the name is taken.
                EntrySink? file = IsIntoSinks ? null : new EntrySink.ToFolder(Store.OpenStream(entry, stream.ChunkSize));
                if (file is not null && entry.Id >= _expectedThrough) _unexpected += entry.AnnouncedBytes;
                _streams[entry.Id] = stream;
                lock (_gate) _deliveries.Add(Task.Run(() => DeliverAsync(stream, file)));
            }
            catch (TransferException e) when (ConcernsOneFile(e))
            {
                Reject(entry, e);
                return new PlannedFile(entry.Id, []);
            }
        }

        if (stream.HasEverything) return new PlannedFile(entry.Id, [], IsPending: true);
        long from = stream.Rewind();
        return from == 0 && entry.Kind == EntryKind.Stream ? null : new PlannedFile(entry.Id, [], StreamFrom: from);
    }

    /// <summary>Waits until an entry stands, or failed.</summary>
    public async Task WhenSettledAsync(uint id, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task progress = _progress.Next;
            lock (_gate)
            {
                if (_settled.Contains(id)) return;
            }

            await progress.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>The stream an entry arrives as; null: as none.</summary>
    public IncomingStream? FindStream(uint id) => _streams.GetValueOrDefault(id);

    /// <summary>Whether a chunk is to be taken. If not, it is passed over, or, with a reason, a violation.</summary>
    /// <param name="header">Its header.</param>
    /// <param name="planned">Entries that plans have covered.</param>
    /// <param name="file">Its file, unless it is of a stream.</param>
    /// <param name="violation">Why not, if no honest sender sends it.</param>
    public bool Expects(in ChunkHeader header, uint planned, out IncomingFile? file, out string? violation)
    {
        if (header.FileId >= planned || FindStream(header.FileId) is not { } stream)
        {
            file = Locate(header, planned, out violation);
            return file is not null;
        }

        file = null;
        violation = null;
        lock (_gate)
        {
            if (_broken is not null || _failures.Contains(header.FileId)) return false;
        }

        violation = stream.Check(header);
        return violation is null;
    }

    /// <summary>Takes a verified chunk. False: it was not to be expected.</summary>
    /// <exception cref="TransferException"><see cref="TransferError.StorageFull"/>: the quota is used up.</exception>
    public bool TakeStreamed(IncomingStream stream, in ChunkHeader header, ReadOnlySpan<byte> payload)
    {
        if (stream.Entry.Size == ManifestEntry.UnknownSize)
        {
            long streamed = Interlocked.Add(ref _streamedBytes, stream.Growth(header));
            (_, long announced) = Manifest.Totals;
            if (streamed > _quota - Math.Min(announced, _quota))
                throw new TransferException(TransferError.StorageFull, $"more came than the {_quota} bytes that are allowed");
        }

        return stream.Add(header, payload);
    }

    /// <summary>The sender has sent a stream's last chunk.</summary>
    public void EndStream(StreamEnd end, uint planned)
    {
        ManifestEntry? entry = end.Id < planned ? Manifest[end.Id] : null;
        if (entry is not { HasContent: true } || (!_streams.TryGetValue(end.Id, out IncomingStream? stream) && !IsSettled(end.Id)))
            throw TransferProtocol.Violation($"the sender ended stream {end.Id}, which was not asked for");
        if (stream?.End(end) == true) Transfer.Meter.EndOpen(entry, end.Size);
    }

    private bool IsSettled(uint id)
    {
        lock (_gate) return _settled.Contains(id);
    }

    /// <summary>Delivers one entry from its first byte to its verified end.</summary>
    private async Task DeliverAsync(IncomingStream stream, EntrySink? sink)
    {
        TransferException? failure = null;
        try
        {
            sink ??= await OpenSinkAsync(stream.Entry).ConfigureAwait(false);
            await DeliverAsync(stream, sink, _stop.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            failure = Ending ?? new TransferException(TransferError.Cancelled, "the transfer was ended") { Peer = Transfer.Peer };
        }
        catch (Exception e)
        {
            failure = e as TransferException ?? new TransferException(
                TransferError.StorageFault, $"{PeerText.Escape(stream.Entry.Path)} cannot be received: {e.Message}", e);
        }

        stream.Dispose();
        if (sink is not null)
        {
            try
            {
                if (failure is not null) await sink.AbortAsync(failure).ConfigureAwait(false);
                await sink.DisposeAsync().ConfigureAwait(false);
            }
            catch (Exception e)
            {
                failure ??= new TransferException(
                    TransferError.StorageFault, $"what receives {PeerText.Escape(stream.Entry.Path)} failed: {e.Message}", e);
            }
        }

        if (failure is null) SettleStream(stream);
        else if (!IsIntoSinks && ConcernsOneFile(failure)) Reject(stream.Entry, failure);
        else Break(failure);
    }

    private async Task DeliverAsync(IncomingStream stream, EntrySink sink, CancellationToken stopping)
    {
        while (await stream.NextAsync(stopping).ConfigureAwait(false) is { } piece)
        {
            await DeliverAsync(piece, sink, stopping).ConfigureAwait(false);
            Transfer.Meter.AddMoved(piece.Length);
            _control?.Post(MessageType.StreamTaken, new StreamTaken(stream.Entry.Id, stream.Take()));
        }

        // Nothing shows before the whole manifest is known to be safe.
        await Manifest.Complete.WaitAsync(stopping).ConfigureAwait(false);
        Interlocked.Increment(ref _storing);
        try
        {
            await sink.CompleteAsync(stopping).ConfigureAwait(false);
        }
        finally
        {
            Interlocked.Decrement(ref _storing);
        }
    }

    private async Task DeliverAsync(IncomingStream.Piece piece, EntrySink sink, CancellationToken stopping)
    {
        Task? write = null;
        Interlocked.Increment(ref _storing);
        try
        {
            await Transfer.Gate.PassAsync(stopping).ConfigureAwait(false);
            write = sink.WriteAsync(piece.Memory, stopping).AsTask();
            // One that cannot be cancelled must not hold up the transfer's end.
            await write.WaitAsync(stopping).ConfigureAwait(false);
        }
        finally
        {
            Interlocked.Decrement(ref _storing);
            if (write is null or { IsCompleted: true }) piece.Block.Dispose();
            else _ = ReturnAfterAsync(write, piece);
        }
    }

    /// <summary>A write that ignores its cancellation has its memory until it ends.</summary>
    private static async Task ReturnAfterAsync(Task write, IncomingStream.Piece piece)
    {
        await write.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        piece.Block.Dispose();
    }

    private async Task<EntrySink> OpenSinkAsync(ManifestEntry entry)
    {
        await Manifest.Complete.WaitAsync(_stop.Token).ConfigureAwait(false);
        var incoming = new IncomingEntry(entry.Path, entry.Size == ManifestEntry.UnknownSize ? null : entry.Size);
        TransferSink sink = await _sinks!(incoming, _stop.Token).AsTask().WaitAsync(_stop.Token).ConfigureAwait(false);
        return new EntrySink.ToApplication(entry.Path, sink);
    }

    /// <summary>A stream was delivered. In a folder it stands when storage says so, which may be later.</summary>
    private void SettleStream(IncomingStream stream)
    {
        if (IsIntoSinks) SettleDelivered(stream);
        else
        {
            lock (_gate) _received++;
        }

        _progress.Signal();
    }

    private void SettleDelivered(IncomingStream stream)
    {
        StreamEnd end = stream.Ended!.Value;
        lock (_gate)
        {
            if (!TrySettle(stream.Entry)) return;
            if (IsIntoSinks) _received++;
        }

        Transfer.Meter.AddFile(end.Size);
        Transfer.Tell(new TransferEvent.FileCompleted(stream.Entry.Path, end.Size, Digester.ToText(end.Root)));
        _control?.Post(MessageType.FileDone, new Number(stream.Entry.Id));
        _progress.Signal();
    }

    /// <summary>Ends every delivery. After <see cref="_stop"/> was cancelled.</summary>
    private async Task StopDeliveriesAsync()
    {
        Task[] deliveries;
        lock (_gate) deliveries = [.. _deliveries];
        await Task.WhenAll(deliveries).ConfigureAwait(false);
        foreach (IncomingStream stream in _streams.Values) stream.Dispose();
    }
}
