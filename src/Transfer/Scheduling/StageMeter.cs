namespace FastShare.Transfer.Scheduling;

/// <summary>What a stage of the pipeline does at the moment.</summary>
internal enum Stage
{
    /// <summary>Nothing that counts.</summary>
    None,

    /// <summary>Sender: opening, reading and digesting files.</summary>
    Reading,

    /// <summary>Sender: chunks are read and wait, because the lanes are busy.</summary>
    WaitingForLanes,

    /// <summary>Sender: lanes have nothing to send, because the disk is slower.</summary>
    WaitingForChunks,

    /// <summary>Sender: lanes hold back for a pause, a rate limit or another transfer.</summary>
    HeldBack,

    /// <summary>Sender: lanes hand bytes to the connection, which takes them as fast as path and receiver allow.</summary>
    Sending,

    /// <summary>Receiver: waiting for bytes.</summary>
    Receiving,

    /// <summary>Receiver: writing to storage.</summary>
    Storing,
}

/// <summary>Adds up the time that the loops of a transfer spend in each stage. Thread-safe.</summary>
internal sealed class StageMeter(TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly long[] _ticks = new long[(int)Stage.Storing + 1]; // guarded by _gate: timestamps
    private readonly HashSet<Clock> _clocks = []; // guarded by _gate

    /// <summary>A loop takes part; to be disposed when it ends.</summary>
    public Clock Start()
    {
        var clock = new Clock(this);
        lock (_gate) _clocks.Add(clock);
        return clock;
    }

    /// <summary>Time in a stage so far, over all loops, what is under way included.</summary>
    public TimeSpan this[Stage stage]
    {
        get
        {
            lock (_gate)
            {
                long now = time.GetTimestamp(), sum = _ticks[(int)stage];
                foreach (Clock clock in _clocks)
                {
                    if (clock.Stage == stage) sum += now - clock.Since;
                }

                return time.GetElapsedTime(0, sum);
            }
        }
    }

    /// <summary>One loop's clock. Used by one loop.</summary>
    public sealed class Clock(StageMeter meter) : IDisposable
    {
        internal Stage Stage { get; private set; } // guarded by the meter's gate

        internal long Since { get; private set; } // guarded by the meter's gate

        /// <summary>From now on the loop is in this stage.</summary>
        public void Enter(Stage stage)
        {
            lock (meter._gate) Leave(stage);
        }

        public void Dispose()
        {
            lock (meter._gate)
            {
                Leave(Stage.None);
                meter._clocks.Remove(this);
            }
        }

        private void Leave(Stage next)
        {
            long now = meter.Now;
            if (Stage != Stage.None) meter._ticks[(int)Stage] += now - Since;
            Stage = next;
            Since = now;
        }
    }

    private long Now => time.GetTimestamp();
}
