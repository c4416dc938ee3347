using System.Collections.Concurrent;
using System.Threading.Channels;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Storage;

namespace FastShare.Transfer.Sessions;

// Files that are there already and are compared by content, where the sender offers that.
internal sealed partial class IncomingTransfer
{
    /// <summary>
    /// Comparisons without a result that planning waits for: enough that neither side waits for the other where files are small.
    /// </summary>
    private const int MaxComparisons = 4096;

    private readonly ConcurrentDictionary<uint, Comparison> _comparing = new();
    private readonly EntrySet _differing = new(); // guarded by _gate: compared, found to be others, and asked for
    private readonly Channel<Comparison> _comparisons =
        Channel.CreateUnbounded<Comparison>(new UnboundedChannelOptions { SingleReader = true }); // bounded by MaxComparisons and a page
    private readonly Pulse _compared = new();
    private int _undecided; // interlocked: comparisons without a result
    private int _toCompare; // interlocked: in _comparisons, or with its worker

    /// <summary>Waits while many files have been asked about and not been compared.</summary>
    public async ValueTask WaitForComparisonsAsync(CancellationToken cancellationToken)
    {
        for (Task compared = _compared.Next; Volatile.Read(ref _undecided) >= MaxComparisons; compared = _compared.Next)
            await compared.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Asks for the sender's digest if a file of the name and size is there; null: it is to be received.</summary>
    private PlannedFile? PlanComparison(ManifestEntry entry)
    {
        var planned = new PlannedFile(entry.Id, [], IsCompared: true);
        if (_comparing.TryGetValue(entry.Id, out Comparison? known))
        {
            // It is asked for once more, and comes once more.
            lock (known.Gate) known.Theirs = null;
            return planned;
        }

        lock (_gate)
        {
            if (_differing.Contains(entry.Id)) return null;
        }

        uint chunkSize = ChunkSize.Of(entry.Size, Offer.ChunkBits);
        // What an earlier run has begun to receive was found to be another file then.
        if (!Store.HasFileOfSize(entry) || Store.HasStaged(entry, chunkSize)) return null;
        var comparison = new Comparison(entry, chunkSize);
        _comparing[entry.Id] = comparison;
        Interlocked.Increment(ref _undecided);
        Work(comparison);
        return planned;
    }

    /// <summary>The sender's digest of a file has arrived.</summary>
    /// <exception cref="TransferException">Nobody asked for it.</exception>
    public void TakeDigest(FileDigest digest, uint planned)
    {
        if (digest.Id >= planned) throw TransferProtocol.Violation($"the sender digests file {digest.Id}, which was not asked for");
        if (_comparing.TryGetValue(digest.Id, out Comparison? comparison))
        {
            lock (comparison.Gate)
            {
                if (comparison.Theirs is not null) throw TransferProtocol.Violation($"the sender digests file {digest.Id} twice");
                comparison.Theirs = digest.Root;
                if (!comparison.IsRead) return;
            }

            Work(comparison);
            return;
        }

        // It was decided while a connection was lost, and the plan was made before.
        lock (_gate)
        {
            if (_failures.Contains(digest.Id)) return;
            if (_settled.Contains(digest.Id)) _control?.Post(MessageType.FileDone, new Number(digest.Id));
            else if (_differing.Contains(digest.Id)) _control?.Post(MessageType.FileWanted, new Number(digest.Id));
            else throw TransferProtocol.Violation($"the sender digests file {digest.Id}, which was not asked for");
        }
    }

    /// <summary>Whether a file's content is not to come before the files are compared.</summary>
    private bool IsComparing(uint id) => _comparing.ContainsKey(id);

    private void Work(Comparison comparison)
    {
        Interlocked.Increment(ref _toCompare);
        _comparisons.Writer.TryWrite(comparison);
    }

    private async Task CompareAsync()
    {
        await foreach (Comparison comparison in _comparisons.Reader.ReadAllAsync().ConfigureAwait(false))
        {
            try
            {
                if (!_stop.IsCancellationRequested) await CompareAsync(comparison).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
            }
            catch (TransferException e) when (ConcernsOneFile(e))
            {
                Reject(comparison.Entry, e);
                Decided(comparison);
            }
            catch (Exception e)
            {
                Break(e);
            }

            Interlocked.Decrement(ref _toCompare);
        }
    }

    /// <summary>Does what can be done by now: reads the file that is there, or decides.</summary>
    private async Task CompareAsync(Comparison comparison)
    {
        bool isRead;
        lock (comparison.Gate) isRead = comparison.IsRead;
        if (!isRead)
        {
            ExistingContent? own = Store.ReadExisting(comparison.Entry, comparison.ChunkSize, _stop.Token);
            lock (comparison.Gate)
            {
                comparison.Own = own;
                comparison.IsRead = true;
            }
        }

        lock (comparison.Gate)
        {
            if (comparison.Theirs is null) return;
        }

        // Before it is whole, a manifest changes nothing under a final name.
        await Manifest.Complete.WaitAsync(_stop.Token).ConfigureAwait(false);
        ManifestEntry entry = comparison.Entry;
        ExistingContent? there;
        lock (comparison.Gate)
        {
            if (comparison.Theirs is not { } theirs || comparison.IsDecided) return;
            there = comparison.Own is { } own && own.Root == theirs ? own : null;
        }

        if (there is { } equal && Store.Adopt(entry, equal.Stat)) SettleEqual(entry);
        else Want(entry);
        Decided(comparison);
    }

    private void SettleEqual(ManifestEntry entry)
    {
        lock (_gate)
        {
            if (!TrySettle(entry)) return;
            _received++;
            _control?.Post(MessageType.FileDone, new Number(entry.Id));
        }

        Transfer.Meter.AddPresent(entry.Size);
        Transfer.Meter.AddFile(entry.Size);
        _progress.Signal();
    }

    private void Want(ManifestEntry entry)
    {
        Store.CheckReplaceable(entry);
        Store.Expect(entry.Size);
        lock (_gate)
        {
            if (_settled.Contains(entry.Id)) return;
            _differing.Add(entry.Id);
            // Asked for while it is still being compared, so that no plan in between asks for its digest again.
            Decide(entry.Id);
            _control?.Post(MessageType.FileWanted, new Number(entry.Id));
        }
    }

    /// <summary>The comparison has a result, or none is needed any more.</summary>
    private void Decided(Comparison comparison) => Decide(comparison.Entry.Id);

    private void Decide(uint id)
    {
        if (!_comparing.TryRemove(id, out Comparison? comparison)) return;
        lock (comparison.Gate) comparison.IsDecided = true;
        Interlocked.Decrement(ref _undecided);
        _compared.Signal();
    }

    /// <summary>A file that stands under its final name, of the right size, and may be what is offered.</summary>
    private sealed class Comparison(ManifestEntry entry, uint chunkSize)
    {
        /// <summary>Guards what can be written below; innermost.</summary>
        public Lock Gate { get; } = new();

        public ManifestEntry Entry { get; } = entry;

        public uint ChunkSize { get; } = chunkSize;

        /// <summary>Whether <see cref="Own"/> is known.</summary>
        public bool IsRead { get; set; }

        /// <summary>What is there; null: nothing that could be equal.</summary>
        public ExistingContent? Own { get; set; }

        /// <summary>What the sender has; null: not told yet on the connection at hand.</summary>
        public UInt128? Theirs { get; set; }

        public bool IsDecided { get; set; }
    }
}
