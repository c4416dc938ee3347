namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>
/// Pings in both directions: at most one of ours is in flight, and at most one answer waits to be sent. Guarded by the
/// connection's gate, except for <see cref="RoundTripTime"/>.
/// </summary>
internal sealed class PingExchange
{
    // A result this fresh is as good as another measurement; it bounds what a caller in a loop can send.
    private static readonly TimeSpan Fresh = TimeSpan.FromMilliseconds(1);

    // The first answers of a connection come from cold code on both sides, on a busy machine by tens of milliseconds late; a few in a
    // row soon show the path itself, and as long as they get faster by a quarter, two more follow. A path taken for far would keep
    // requests waiting behind bulk (Crowding) until the next ping.
    private const int OpeningPings = 3, FurtherPings = 2, MostOpeningPings = 16;

    private long _roundTripTicks = -1; // volatile
    private long _pathTicks = -1; // volatile
    private int _opening = OpeningPings; // still to be answered
    private int _opened; // answered
    private TimeSpan _lastSample;
    private TimeSpan _lastSampleAt;
    private TaskCompletionSource<TimeSpan>? _callers; // share the ping in flight
    private uint _value;
    private bool _toSend;
    private TimeSpan _sentAt;
    private uint? _pong;
    private TransportException? _failure;

    /// <summary>
    /// Smoothed round-trip time: a slower sample counts half, as in go-yamux, for it may have waited behind bulk data; a faster one
    /// counts at once, for the path is no slower than that. Thread-safe.
    /// </summary>
    public TimeSpan? RoundTripTime => Volatile.Read(ref _roundTripTicks) is var ticks and >= 0 ? TimeSpan.FromTicks(ticks) : null;

    /// <summary>
    /// What the path itself takes, without bulk that a ping may have waited behind: the fastest sample, which slower ones raise by an
    /// eighth at most, so that it follows a path that has changed. Thread-safe.
    /// </summary>
    public TimeSpan? PathRoundTripTime => Volatile.Read(ref _pathTicks) is var ticks and >= 0 ? TimeSpan.FromTicks(ticks) : null;

    /// <summary>Whether a ping of ours is queued or unanswered.</summary>
    public bool InFlight { get; private set; }

    /// <summary>When a ping was last asked for.</summary>
    public TimeSpan AskedAt { get; private set; }

    /// <summary>Asks for a ping unless one is in flight. True: there is something to send.</summary>
    public bool Ask(TimeSpan now)
    {
        if (InFlight || _failure is not null) return false;
        InFlight = _toSend = true;
        AskedAt = now;
        return true;
    }

    /// <summary>The result that a caller waits for; <paramref name="send"/>: a ping was queued for it.</summary>
    public Task<TimeSpan> Measure(TimeSpan now, out bool send)
    {
        send = false;
        if (_failure is not null) return Task.FromException<TimeSpan>(_failure.Again());
        if (!InFlight && _roundTripTicks >= 0 && now - _lastSampleAt < Fresh) return Task.FromResult(_lastSample);
        send = Ask(now);
        _callers ??= new TaskCompletionSource<TimeSpan>(TaskCreationOptions.RunContinuationsAsynchronously);
        return _callers.Task;
    }

    /// <summary>The remote side asks. Only its latest ping is answered if the writer is behind; peers send one at a time.</summary>
    public void OnPing(uint value) => _pong = value;

    /// <summary>
    /// The remote side answers. Returns false for an answer to nothing: harmless, so it is only counted, as in go-yamux (rust and
    /// js end the connection).
    /// </summary>
    public bool OnPong(uint value, TimeSpan now)
    {
        if (!InFlight || _toSend || value != _value) return false;
        InFlight = false;
        _value++;
        _lastSampleAt = now;
        _lastSample = now - _sentAt;
        long ticks = _lastSample.Ticks;
        if (_opening > 0 && ++_opened > 1 && _pathTicks - ticks > _pathTicks / 4)
            _opening = Math.Min(Math.Max(_opening, FurtherPings + 1), MostOpeningPings - _opened + 1);
        Volatile.Write(ref _roundTripTicks, _roundTripTicks < 0 || ticks < _roundTripTicks ? ticks : (_roundTripTicks + ticks) / 2);
        Volatile.Write(ref _pathTicks, _pathTicks < 0 ? ticks : Math.Min(ticks, _pathTicks + (_pathTicks / 8) + 1));
        _callers?.TrySetResult(_lastSample);
        _callers = null;
        if (--_opening > 0) Ask(now);
        else _opening = 0;
        return true;
    }

    /// <summary>The next frame to send, an answer first.</summary>
    public bool TryTake(TimeSpan now, out YamuxHeader header)
    {
        if (_pong is { } pong)
        {
            _pong = null;
            header = new YamuxHeader(FrameType.Ping, FrameFlags.Ack, 0, pong);
            return true;
        }

        header = new YamuxHeader(FrameType.Ping, FrameFlags.Syn, 0, _value);
        if (!_toSend) return false;
        _toSend = false;
        _sentAt = now;
        return true;
    }

    /// <summary>The connection is over.</summary>
    public void Fail(TransportException failure)
    {
        _failure = failure;
        TaskCompletionSource<TimeSpan>? callers = _callers;
        _callers = null;
        if (callers is null) return;
        callers.TrySetException(failure.Again());
        _ = callers.Task.Exception; // callers whose tokens fired have left; the rest see it through their own await
    }
}
