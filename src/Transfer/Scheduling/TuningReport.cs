namespace FastShare.Transfer.Scheduling;

/// <summary>What the scheduler reports of itself; the source of <see cref="TransferStatistics"/>. Thread-safe.</summary>
internal sealed class TuningReport
{
    private const int MaxDecisions = 1000;

    private readonly Lock _gate = new();
    private readonly List<ModeDecision> _decisions = []; // guarded by _gate
    private TransferStatistics _latest = new(); // guarded by _gate

    public void Update(Func<TransferStatistics, TransferStatistics> change)
    {
        lock (_gate) _latest = change(_latest);
    }

    /// <summary>Whether nothing was decided yet.</summary>
    public bool IsUndecided
    {
        get
        {
            lock (_gate) return _decisions.Count == 0;
        }
    }

    public void Add(ModeDecision decision)
    {
        lock (_gate)
        {
            if (_decisions.Count < MaxDecisions) _decisions.Add(decision);
        }
    }

    public TransferStatistics Snapshot(StageMeter stages, WireMeter wire)
    {
        TransferStatistics latest;
        lock (_gate) latest = _latest with { Decisions = [.. _decisions] };
        return latest with
        {
            Reading = stages[TransferStage.Reading],
            WaitingForStreams = stages[TransferStage.WaitingForStreams],
            WaitingForChunks = stages[TransferStage.WaitingForChunks],
            HeldBack = stages[TransferStage.HeldBack],
            Sending = stages[TransferStage.Sending],
            Receiving = stages[TransferStage.Receiving],
            Storing = stages[TransferStage.Storing],
            Stages =
            [
                .. Enumerable.Range(1, StageMeter.Stages - 1).Select(stage => stages.Total((TransferStage)stage)),
                .. wire.Totals(),
            ],
        };
    }
}
