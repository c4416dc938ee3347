using FastShare.Transfer.Framing;
using FastShare.Transfer.Sessions;

namespace FastShare.Transfer.Scheduling;

/// <summary>
/// One file to read. <see cref="Ranges"/> null: all of it, or what follows <see cref="StreamFrom"/>, as a stream. <see cref="IsCompare"/>:
/// only its digest is wanted.
/// </summary>
internal readonly record struct FileTask(
    uint Id, IReadOnlyList<ChunkRange>? Ranges, bool IsRepair, bool IsCompare = false, long? StreamFrom = null);

/// <summary>
/// What the receiver wants, file by file in the manifest's order. Plans are unrolled as they are worked off, so that a million
/// files take no more memory than their plan. Thread-safe.
/// </summary>
internal sealed class PlanQueue
{
    private readonly Lock _gate = new();
    private readonly Queue<PlanMessage> _plans = new(); // guarded by _gate
    private readonly Queue<FileTask> _repairs = new(); // guarded by _gate
    private readonly Pulse _news = new();
    private uint _offset; // guarded by _gate: entries of the first plan already given out
    private int _exception; // guarded by _gate: the first plan's next exception
    private int _inProgress; // guarded by _gate
    private uint _covered; // guarded by _gate
    private bool _completed; // guarded by _gate

    /// <summary>Entries that plans have covered: from 0 up to this.</summary>
    public uint Covered
    {
        get
        {
            lock (_gate) return _covered;
        }
    }

    /// <summary>Whether everything planned so far was given out and done.</summary>
    public bool IsDrained
    {
        get
        {
            lock (_gate) return _plans.Count == 0 && _repairs.Count == 0 && _inProgress == 0;
        }
    }

    /// <summary>Whether nothing more will come.</summary>
    public bool IsCompleted
    {
        get
        {
            lock (_gate) return _completed;
        }
    }

    /// <exception cref="TransferException"><see cref="TransferError.ProtocolViolation"/>: it does not follow the last one.</exception>
    public void Add(PlanMessage plan)
    {
        lock (_gate)
        {
            if (plan.First != _covered)
                throw TransferProtocol.Violation($"the receiver's plan goes on at entry {plan.First} instead of {_covered}");
            _covered += plan.Count;
            _plans.Enqueue(plan);
        }

        _news.Signal();
    }

    /// <summary>One chunk again, before anything else.</summary>
    public void AddRepair(uint id, long chunk)
    {
        lock (_gate) _repairs.Enqueue(new FileTask(id, [new ChunkRange(chunk, 1)], IsRepair: true));
        _news.Signal();
    }

    /// <summary>A file whose digest was not the receiver's: all of it, before anything else.</summary>
    public void AddWanted(uint id)
    {
        lock (_gate) _repairs.Enqueue(new FileTask(id, null, IsRepair: false));
        _news.Signal();
    }

    /// <summary>Nothing more will come.</summary>
    public void Complete()
    {
        lock (_gate) _completed = true;
        _news.Signal();
    }

    /// <summary>
    /// The next file, or null at the end. Entries that are no files are given out too. Each is ended by <see cref="Done"/>.
    /// </summary>
    public async ValueTask<FileTask?> NextAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            Task news = _news.Next;
            lock (_gate)
            {
                if (TryTake(out FileTask task))
                {
                    _inProgress++;
                    return task;
                }

                if (_completed) return null;
            }

            await news.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>A file that was given out is read, or given up.</summary>
    public void Done()
    {
        lock (_gate) _inProgress--;
    }

    private bool TryTake(out FileTask task)
    {
        if (_repairs.TryDequeue(out task)) return true;
        while (_plans.TryPeek(out PlanMessage? plan))
        {
            while (_offset < plan.Count)
            {
                uint id = plan.First + _offset++;
                if (_exception < plan.Exceptions.Count && plan.Exceptions[_exception].Id == id)
                {
                    PlannedFile exception = plan.Exceptions[_exception++];
                    if (exception is { Ranges.Count: 0, IsCompared: false, StreamFrom: null })
                    {
                        _offset += exception.Count - 1;
                        continue;
                    }

                    bool isWhole = exception.IsCompared || exception.StreamFrom is not null;
                    task = new FileTask(id, isWhole ? null : exception.Ranges, IsRepair: false, exception.IsCompared, exception.StreamFrom);
                    return true;
                }

                task = new FileTask(id, null, IsRepair: false);
                return true;
            }

            _plans.Dequeue();
            _offset = 0;
            _exception = 0;
        }

        return false;
    }
}
