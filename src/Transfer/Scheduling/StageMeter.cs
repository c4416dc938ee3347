namespace FastShare.Transfer.Scheduling;

/// <summary>Adds up time and bytes of each stage over the loops of a transfer. Thread-safe.</summary>
/// <remarks>
/// One reading of the clock, under a lock of the loop's own, for each change of stage: a few for every chunk, none for anything smaller.
/// </remarks>
internal sealed class StageMeter(TimeProvider time)
{
    /// <summary>Stages that are measured here; the others belong to connections.</summary>
    public const int Stages = (int)TransferStage.Publishing + 1;

    private readonly Lock _gate = new(); // taken before a clock's
    private readonly long[] _ticks = new long[Stages]; // guarded by _gate: timestamps; of clocks that ended, and of spans
    private readonly long[] _bytes = new long[Stages]; // guarded by _gate: likewise
    private readonly HashSet<Clock> _clocks = []; // guarded by _gate

    /// <summary>A loop takes part; to be disposed when it ends.</summary>
    public Clock Start()
    {
        var clock = new Clock(this);
        lock (_gate) _clocks.Add(clock);
        return clock;
    }

    /// <summary>Measures something that no loop's clock does, from now until the result is disposed.</summary>
    public Span Measure(TransferStage stage) => new(this, stage, time.GetTimestamp());

    /// <summary>Time in a stage so far, over all loops, what is under way included.</summary>
    public TimeSpan this[TransferStage stage] => Total(stage).Time;

    /// <summary>Time and bytes of a stage so far, over all loops, what is under way included.</summary>
    public StageTotal Total(TransferStage stage)
    {
        lock (_gate)
        {
            long ticks = _ticks[(int)stage], bytes = _bytes[(int)stage];
            foreach (Clock clock in _clocks) clock.AddTo(stage, ref ticks, ref bytes);
            return new StageTotal(stage, time.GetElapsedTime(0, ticks), bytes);
        }
    }

    /// <summary>One loop's clock. Used by one loop.</summary>
    public sealed class Clock(StageMeter meter) : IDisposable
    {
        private readonly Lock _own = new();
        private readonly long[] _ticks = new long[Stages]; // guarded by _own
        private readonly long[] _bytes = new long[Stages]; // guarded by _own
        private TransferStage _stage; // guarded by _own; written by the loop
        private long _since; // guarded by _own

        /// <summary>From now on the loop is in this stage.</summary>
        public void Enter(TransferStage stage)
        {
            if (stage == _stage) return;
            lock (_own) Leave(stage);
        }

        /// <summary>Bytes passed the stage that the loop is in.</summary>
        public void Count(long bytes)
        {
            lock (_own) _bytes[(int)_stage] += bytes;
        }

        public void Dispose()
        {
            lock (meter._gate)
            {
                if (!meter._clocks.Remove(this)) return;
                lock (_own)
                {
                    Leave(TransferStage.None);
                    for (int i = 0; i < Stages; i++)
                    {
                        meter._ticks[i] += _ticks[i];
                        meter._bytes[i] += _bytes[i];
                    }
                }
            }
        }

        internal void AddTo(TransferStage stage, ref long ticks, ref long bytes)
        {
            lock (_own)
            {
                ticks += _ticks[(int)stage];
                bytes += _bytes[(int)stage];
                if (_stage == stage && stage != TransferStage.None) ticks += meter.Now - _since;
            }
        }

        private void Leave(TransferStage next)
        {
            long now = meter.Now;
            if (_stage != TransferStage.None) _ticks[(int)_stage] += now - _since;
            _stage = next;
            _since = now;
        }
    }

    /// <summary>A measurement under way.</summary>
    public readonly ref struct Span(StageMeter meter, TransferStage stage, long since)
    {
        public void Dispose()
        {
            long elapsed = meter.Now - since;
            lock (meter._gate) meter._ticks[(int)stage] += elapsed;
        }
    }

    private long Now => time.GetTimestamp();
}
