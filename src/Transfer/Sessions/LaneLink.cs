using FastShare.Transfer.Scheduling;

namespace FastShare.Transfer.Sessions;

/// <summary>One connection that carries lanes, or is to. Everything is guarded by the gate of its <see cref="LaneSet"/>.</summary>
internal sealed class LaneLink(int number)
{
    private readonly List<Lane> _lanes = [];
    private TaskCompletionSource _finished = new();

    /// <summary>0: the shared connection.</summary>
    public int Number { get; } = number;

    /// <summary>Its own connection; null: the shared one. Unchanged while a lane lives.</summary>
    public ITransferConnection? Connection { get; private set; }

    /// <summary>What carries its streams; null before the first is open.</summary>
    public ITransferPath? Path { get; set; }

    /// <summary>Whether it is being connected, open, or coming to its end.</summary>
    public bool IsRunning { get; private set; }

    /// <summary>Whether it takes lanes.</summary>
    public bool IsOpen { get; private set; }

    /// <summary>Losses in a row without a chunk delivered in between.</summary>
    public int Failures { get; set; }

    /// <summary>Timestamp from which on it may be connected again.</summary>
    public long RetryAt { get; set; }

    /// <summary>Completes when it takes no lanes any more and the last has ended.</summary>
    public Task Finished => _finished.Task;

    public int Lanes => _lanes.Count;

    /// <summary>Lanes that are not on their way to the end.</summary>
    public int ActiveLanes => _lanes.Count(static lane => !lane.Retiring.IsCancellationRequested);

    private bool IsRetired { get; set; }

    public void Begin()
    {
        IsRunning = true;
        IsRetired = false;
        _finished = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    public void Open(ITransferConnection? connection)
    {
        Connection = connection;
        IsOpen = !IsRetired;
        FinishIfIdle();
    }

    public void Add(Lane lane) => _lanes.Add(lane);

    public void Remove(Lane lane)
    {
        _lanes.Remove(lane);
        FinishIfIdle();
    }

    /// <summary>It is not wanted any more: its lanes end in good order.</summary>
    public void Retire()
    {
        IsRetired = true;
        IsOpen = false;
        RetireLanes(0);
        FinishIfIdle();
    }

    /// <summary>Retires lanes, the newest first, until no more than so many are active.</summary>
    public void RetireLanes(int wanted)
    {
        for (int i = _lanes.Count - 1, surplus = ActiveLanes - wanted; i >= 0 && surplus > 0; i--)
        {
            if (_lanes[i].Retire()) surplus--;
        }
    }

    public void End()
    {
        IsRunning = IsOpen = false;
        Connection = null;
        Path = null;
    }

    private void FinishIfIdle()
    {
        if (IsRetired && !IsOpen && _lanes.Count == 0) _finished.TrySetResult();
    }
}

/// <summary>One data stream of an attempt, from the decision to open it until the receiver has said how much of it arrived.</summary>
internal sealed class Lane(ushort number, LaneLink link)
{
    // Neither holds a timer, so neither needs to be disposed.
    private readonly CancellationTokenSource _retire = new(), _stop = new();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public ushort Number { get; } = number;

    public LaneLink Link { get; } = link;

    public SentChunks Sent { get; } = new();

    /// <summary>Whether its stream was lost. Its own task's.</summary>
    public bool IsLost { get; set; }

    /// <summary>Completes when the receiver has said how much it took, and takes no more.</summary>
    public Task Ended => _ended.Task;

    /// <summary>Fires when the lane is to end between two chunks.</summary>
    public CancellationToken Retiring => _retire.Token;

    /// <summary>Fires with <see cref="Ended"/>.</summary>
    public CancellationToken Stopped => _stop.Token;

    /// <summary>False: it was retired before.</summary>
    public bool Retire()
    {
        if (_retire.IsCancellationRequested) return false;
        // What waits for it goes on elsewhere: nothing runs under the caller's lock.
        _ = _retire.CancelAsync();
        return true;
    }

    public void End()
    {
        _ended.TrySetResult();
        _stop.Cancel();
    }
}
