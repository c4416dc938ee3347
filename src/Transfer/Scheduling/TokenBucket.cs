namespace FastShare.Transfer.Scheduling;

/// <summary>
/// A rate limit that may change while it works. Bytes are taken before they are sent; what is taken beyond the rate is waited for by
/// those who come after, of whom the one with the smallest account is first. Thread-safe.
/// </summary>
internal sealed class TokenBucket : IDisposable
{
    /// <summary>What may go out at once after a pause, in seconds of the rate.</summary>
    private const double BurstSeconds = 0.1;

    private readonly TimeProvider _time;
    private readonly Lock _gate = new();
    private readonly List<Waiter> _waiting = []; // guarded by _gate
    private readonly ITimer _timer;
    private long _rate; // guarded by _gate; 0: no limit
    private double _tokens; // guarded by _gate; negative: taken in advance
    private long _at; // guarded by _gate: when _tokens was right
    private double _now; // guarded by _gate: the account last served
    private bool _disposed; // guarded by _gate

    public TokenBucket(TimeProvider time, long bytesPerSecond)
    {
        _time = time;
        _at = time.GetTimestamp();
        _timer = time.CreateTimer(static bucket => ((TokenBucket)bucket!).Serve(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        BytesPerSecond = bytesPerSecond;
    }

    /// <summary>Bytes a second; 0: no limit. A change counts at once, for those who wait too.</summary>
    public long BytesPerSecond
    {
        get
        {
            lock (_gate) return _rate;
        }

        set
        {
            lock (_gate)
            {
                Refill();
                _rate = value;
                _tokens = Math.Min(_tokens, value * BurstSeconds);
            }

            Serve();
        }
    }

    /// <summary>Bytes to take at once, so that what is limited flows rather than comes in lumps: a twentieth of a second's.</summary>
    public int Slice => BytesPerSecond is > 0 and var rate ? (int)Math.Clamp(rate / 20, 4 << 10, 1 << 20) : int.MaxValue;

    /// <summary>Takes bytes; completes when they may be sent.</summary>
    public ValueTask TakeAsync(int bytes, WeightedFlow flow, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested) return ValueTask.FromCanceled(cancellationToken);
        Waiter waiter;
        lock (_gate)
        {
            if (_rate == 0 || _disposed) return default;
            Refill();
            flow.Begin(_now);
            if (_waiting.Count == 0 && _tokens > 0)
            {
                Give(flow, bytes);
                return default;
            }

            waiter = new Waiter(flow, bytes);
            _waiting.Add(waiter);
            Arm();
        }

        return WaitAsync(waiter, cancellationToken);
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _disposed = true;
            _rate = 0;
        }

        Serve();
        _timer.Dispose();
    }

    private async ValueTask WaitAsync(Waiter waiter, CancellationToken cancellationToken)
    {
        using (cancellationToken.UnsafeRegister(static (waiter, token) => ((Waiter)waiter!).TrySetCanceled(token), waiter))
            await waiter.Task.ConfigureAwait(false);
    }

    private void Serve()
    {
        lock (_gate)
        {
            Refill();
            while (_waiting.Count > 0 && (_rate == 0 || _tokens > 0))
            {
                int next = 0;
                for (int i = 1; i < _waiting.Count; i++)
                {
                    if (_waiting[i].Flow.Spent < _waiting[next].Flow.Spent) next = i;
                }

                Waiter waiter = _waiting[next];
                _waiting.RemoveAt(next);
                if (waiter.TrySetResult()) Give(waiter.Flow, waiter.Bytes);
                else waiter.Flow.Turns--;
            }

            Arm();
        }
    }

    // Under the gate.
    private void Give(WeightedFlow flow, int bytes)
    {
        _tokens -= bytes;
        _now = Math.Max(_now, flow.Spent);
        flow.Charge(bytes);
        flow.Turns--;
    }

    // Under the gate.
    private void Refill()
    {
        long now = _time.GetTimestamp();
        if (_rate > 0) _tokens = Math.Min(_rate * BurstSeconds, _tokens + _time.GetElapsedTime(_at, now).TotalSeconds * _rate);
        _at = now;
    }

    // Under the gate. Wakes when there is a token again; a millisecond is added, since timers may be early.
    private void Arm()
    {
        if (_waiting.Count == 0 || _rate == 0 || _disposed) return;
        _timer.Change(TimeSpan.FromMilliseconds(1) + TimeSpan.FromSeconds(Math.Min(3600, Math.Max(0, -_tokens / _rate))), Timeout.InfiniteTimeSpan);
    }

    private sealed class Waiter(WeightedFlow flow, int bytes) : TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        public WeightedFlow Flow => flow;

        public int Bytes => bytes;
    }
}
