namespace FastShare.Transfer.Scheduling;

/// <summary>Counts a transfer's progress. Thread-safe; counting takes no lock.</summary>
internal sealed class ProgressMeter
{
    private const int MaxFailures = 10_000;

    private readonly TimeProvider _time;
    private readonly Lock _gate = new();
    private readonly RateMeter _rate; // guarded by _gate
    private readonly List<TransferException> _failures = []; // guarded by _gate
    private long _bytes; // interlocked
    private long _moved; // interlocked
    private long _chunks; // interlocked
    private long _totalBytes; // interlocked
    private long _files; // interlocked
    private long _filesBytes; // interlocked
    private long _totalFiles; // interlocked
    private long _openEnded; // interlocked: files whose size is not known yet
    private long _resent; // interlocked
    private long _started; // interlocked; 0: not yet
    private volatile int _state;
    private volatile bool _paused;
    private volatile int _mode = (int)TransferMode.Sequential;

    public ProgressMeter(TimeProvider time, TransferState state)
    {
        _time = time;
        _rate = new RateMeter(time);
        _state = (int)state;
    }

    public TransferState State
    {
        get => _paused && (TransferState)_state == TransferState.Running ? TransferState.Paused : (TransferState)_state;
        set => _state = (int)value;
    }

    /// <summary>Whether <see cref="State"/> says paused instead of running.</summary>
    public bool IsPaused
    {
        get => _paused;
        set => _paused = value;
    }

    public TransferMode Mode
    {
        get => (TransferMode)_mode;
        set => _mode = (int)value;
    }

    public long Files => Interlocked.Read(ref _files);

    public long DeliveredBytes => Interlocked.Read(ref _filesBytes);

    /// <summary>Payload bytes that moved over the wire; what tells progress from standstill.</summary>
    public long Moved => Interlocked.Read(ref _moved);

    /// <summary>Payload bytes of what was announced that are not done; 0 or less if nobody knows how much there is.</summary>
    public long Left => Interlocked.Read(ref _totalBytes) - Interlocked.Read(ref _bytes);

    /// <summary>Chunks handed to connections.</summary>
    public long Chunks => Interlocked.Read(ref _chunks);

    /// <summary>The clock of <see cref="TransferResult.Duration"/> starts, the first time this is called.</summary>
    public void Start() => Interlocked.CompareExchange(ref _started, Math.Max(1, _time.GetTimestamp()), 0);

    /// <summary>Payload bytes done, and moved over the wire.</summary>
    public void AddMoved(long bytes)
    {
        Interlocked.Add(ref _bytes, bytes);
        Interlocked.Add(ref _moved, bytes);
    }

    public void AddChunks(int count) => Interlocked.Add(ref _chunks, count);

    /// <summary>Bytes done without moving: the receiver has them already. Negative: what was done is lost and must be done again.</summary>
    public void AddPresent(long bytes) => Interlocked.Add(ref _bytes, bytes);

    /// <summary>Counting starts afresh: the new connection's plan says what is done.</summary>
    public void ResetBytes() => Interlocked.Exchange(ref _bytes, 0);

    public void AddResent(long bytes) => Interlocked.Add(ref _resent, bytes);

    /// <summary>More to do; of <paramref name="openEnded"/> of the files only the end will tell how much.</summary>
    public void AddTotal(long files, long bytes, long openEnded = 0)
    {
        Interlocked.Add(ref _openEnded, openEnded);
        Interlocked.Add(ref _totalFiles, files);
        Interlocked.Add(ref _totalBytes, bytes);
    }

    /// <summary>A stream has ended: its size is known. Once a stream.</summary>
    public void EndOpen(Planning.ManifestEntry entry, long size) =>
        AddTotal(0, size - entry.AnnouncedBytes, entry.Size == Planning.ManifestEntry.UnknownSize ? -1 : 0);

    /// <summary>A file is delivered.</summary>
    public void AddFile(long bytes)
    {
        Interlocked.Increment(ref _files);
        Interlocked.Add(ref _filesBytes, bytes);
    }

    public void AddFailure(TransferException failure)
    {
        lock (_gate)
        {
            if (_failures.Count < MaxFailures) _failures.Add(failure);
        }
    }

    public TransferProgress Snapshot()
    {
        double rate;
        lock (_gate) rate = _rate.Sample(Moved);
        return new TransferProgress(
            State, Interlocked.Read(ref _bytes), Interlocked.Read(ref _totalBytes), Files, Interlocked.Read(ref _totalFiles),
            State == TransferState.Running ? rate : 0, Mode)
        {
            IsOpenEnded = Interlocked.Read(ref _openEnded) > 0,
        };
    }

    /// <summary>The first file that failed on its own; null: none did.</summary>
    public TransferException? FirstFailure
    {
        get
        {
            lock (_gate) return _failures.FirstOrDefault();
        }
    }

    public TransferResult Result()
    {
        long started = Interlocked.Read(ref _started);
        TimeSpan duration = started == 0 ? TimeSpan.Zero : _time.GetElapsedTime(started);
        lock (_gate) return new TransferResult(Files, DeliveredBytes, Interlocked.Read(ref _resent), duration, [.. _failures]);
    }
}
