using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;

namespace FastShare.Transfer.Sessions;

// What to ask the sender for.
internal sealed partial class IncomingTransfer
{
    private long _unexpected; // the planner's: bytes asked for and not yet announced to storage
    private uint _expectedThrough; // the planner's: entries up to here are announced, by an earlier connection perhaps

    /// <summary>
    /// What is wanted of a file; null: all of it. Called once a connection for every file in order, before any of its chunks can come.
    /// Blocks: reads storage.
    /// </summary>
    public PlannedFile? Plan(ManifestEntry entry)
    {
        if (_begun.TryGetValue(entry.Id, out IncomingFile? begun)) return PlanBegun(begun);
        lock (_gate)
        {
            if (_failures.Find(entry.Id) is { } failure)
            {
                _control?.Post(MessageType.FileRejected, failure);
                return new PlannedFile(entry.Id, []);
            }

            if (_settled.Contains(entry.Id)) return new PlannedFile(entry.Id, []);
        }

        try
        {
            if (Offer.Compares && PlanComparison(entry) is { } compared) return compared;
            uint chunkSize = ChunkSize.Of(entry.Size, Offer.ChunkBits);
            if (Store.Look(entry, chunkSize, believesTime: !Offer.Compares, out long claims))
            {
                Transfer.Meter.AddPresent(entry.Size);
                SettleDone(entry, null);
                return new PlannedFile(entry.Id, []);
            }

            if (entry.Id >= _expectedThrough) _unexpected += entry.Size;
            // A single chunk comes again in any case: its header has the only digest of the file, and what is staged may be of another.
            var file = claims == 0 ? null : new IncomingFile(entry, Offer.ChunkBits);
            if (file is null || file.Chunks == 1) return null;
            PlannedFile? planned;
            try
            {
                long claimed;
                lock (file.Gate) claimed = Math.Min(entry.Size, EnsureOpen(file).ClaimCount * file.ChunkSize);
                if (claimed == 0) return null;
                Transfer.Meter.AddPresent(claimed);
                _begun[entry.Id] = file;
                file.IsVerifying = true;
                planned = PlanBegun(file);
            }
            finally
            {
                Close(file);
            }

            // Closed before: from here on the file is the worker's to open, to close and to publish.
            _claims.Writer.TryWrite(file);
            return planned;
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
            file.Damaged.Clear();
            if (file.Chunks == 0) return null;
            bool wasOpen = file.Content is not null;
            EnsureOpen(file);
            List<ChunkRange> ranges = Missing(file);
            // Hundreds of files may be under way.
            if (!wasOpen) Close(file);
            if (ranges is [{ First: 0 } all] && all.Count == file.Chunks) return null;
            // Nothing is missing but the file's end: it comes after a chunk, so one is asked for again.
            if (ranges.Count == 0) ranges.Add(new ChunkRange(file.Chunks - 1, 1));
            AllowDuplicates(file);
            return new PlannedFile(file.Entry.Id, ranges);
        }
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

    /// <summary>
    /// Checks that there is room for what <see cref="Plan"/> has asked for up to <paramref name="planned"/>, before the sender is told.
    /// Files that are there already need none, so this is not done with the manifest's totals.
    /// </summary>
    /// <exception cref="TransferException"><see cref="TransferError.StorageFull"/>.</exception>
    public void Expect(uint planned)
    {
        if (_unexpected > 0) _store?.Expect(_unexpected);
        _unexpected = 0;
        _expectedThrough = Math.Max(_expectedThrough, planned);
    }
}
