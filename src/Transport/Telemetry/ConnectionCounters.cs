namespace FastShare.Transport.Telemetry;

/// <summary>What a connection's bytes pass through, and what they wait for.</summary>
internal enum ConnectionStage
{
    /// <summary>Encrypting. Bytes: plaintext.</summary>
    Seal,

    /// <summary>Handing bytes to the operating system. Bytes: on the wire.</summary>
    Send,

    /// <summary>Taking bytes from the operating system. Bytes: on the wire.</summary>
    Receive,

    /// <summary>Decrypting. Bytes: plaintext.</summary>
    Open,

    /// <summary>The operating system has no room for more: the path is slower. Has no bytes.</summary>
    SendWait,

    /// <summary>Streams have bytes and no credit: the remote application is slower, or the window is too small. Has no bytes.</summary>
    WindowWait,

    /// <summary>Nothing has arrived. Has no bytes.</summary>
    ReceiveWait,
}

/// <summary>
/// Time and bytes of one connection by stage, from its start on. Reading is thread-safe; the channel's one writer adds to
/// <see cref="ConnectionStage.Seal"/> and <see cref="ConnectionStage.Send"/>, its one reader to
/// <see cref="ConnectionStage.Receive"/> and <see cref="ConnectionStage.Open"/>, anybody to the waits.
/// </summary>
/// <remarks>
/// Always on, so it must cost next to nothing: work is timed from <see cref="BulkBytes"/> on, where two readings of the clock (50 ns)
/// are less than a hundredth of it; smaller pieces count their bytes only. Waits are timed where the caller really has to wait.
/// </remarks>
internal sealed class ConnectionCounters(TimeProvider time)
{
    /// <summary>The smallest piece of work whose time is taken, in bytes: it is sealed in some 5 µs.</summary>
    public const int BulkBytes = 16 << 10;

    /// <summary>How many stages there are.</summary>
    public const int Stages = (int)ConnectionStage.ReceiveWait + 1;

    private const int Waits = Stages - (int)ConnectionStage.SendWait;

    private readonly long[] _ticks = new long[(int)ConnectionStage.SendWait]; // volatile; each written by its stage's one loop
    private readonly long[] _bytes = new long[(int)ConnectionStage.SendWait]; // likewise
    private readonly Lock _gate = new();
    private readonly Wait[] _waits = new Wait[Waits]; // guarded by _gate

    /// <summary>A timestamp for <see cref="Add"/>.</summary>
    public long Now => time.GetTimestamp();

    /// <summary>When work on so many bytes begins: a timestamp; 0: too little to be timed.</summary>
    public long Begin(int bytes) => bytes >= BulkBytes ? time.GetTimestamp() : 0;

    /// <summary>Work is done that began at <paramref name="since"/>, as <see cref="Begin"/> gave it.</summary>
    public void Add(ConnectionStage stage, long since, long bytes)
    {
        if (since != 0)
        {
            ref long ticks = ref _ticks[(int)stage];
            Volatile.Write(ref ticks, ticks + time.GetTimestamp() - since);
        }

        ref long sum = ref _bytes[(int)stage];
        Volatile.Write(ref sum, sum + bytes);
    }

    /// <summary>Somebody begins to wait; to be ended by <see cref="EndWait"/>.</summary>
    public void BeginWait(ConnectionStage stage)
    {
        lock (_gate) _waits[stage - ConnectionStage.SendWait].Change(1, time.GetTimestamp());
    }

    /// <summary>A wait is over.</summary>
    public void EndWait(ConnectionStage stage)
    {
        lock (_gate) _waits[stage - ConnectionStage.SendWait].Change(-1, time.GetTimestamp());
    }

    /// <summary>Time in a stage, waits that go on included; streams that wait at the same time add up.</summary>
    public TimeSpan Time(ConnectionStage stage)
    {
        if (stage < ConnectionStage.SendWait) return time.GetElapsedTime(0, Volatile.Read(ref _ticks[(int)stage]));
        lock (_gate)
        {
            ref Wait wait = ref _waits[stage - ConnectionStage.SendWait];
            wait.Change(0, time.GetTimestamp());
            return time.GetElapsedTime(0, wait.Ticks);
        }
    }

    /// <summary>Bytes that passed a stage; 0 for waits.</summary>
    public long Bytes(ConnectionStage stage) => stage < ConnectionStage.SendWait ? Volatile.Read(ref _bytes[(int)stage]) : 0;

    private struct Wait
    {
        private int _waiting;
        private long _since;

        public long Ticks { get; private set; }

        public void Change(int by, long now)
        {
            Ticks += _waiting * (now - _since);
            _since = now;
            _waiting += by;
        }
    }
}
