using FastShare.Transport.Multiplexing.Internal;
using FastShare.Transport.Security;
using FastShare.Transport.Telemetry;
using Microsoft.Extensions.Logging;

namespace FastShare.Transport.Multiplexing;

/// <summary>
/// Yamux (<c>/yamux/1.0.0</c>) over a byte channel. Thread-safe. Nothing happens before <see cref="Start"/>.
/// </summary>
/// <remarks>
/// <para>Three loops, all owned by one task that disposing awaits: the frame reader, the frame writer, and the clock. They share
/// state under one lock, <see cref="Gate"/>, which is held for moments only: never over I/O, and continuations never run inside
/// it. The lock of a stream's input nests inside the gate, never around it.</para>
/// <para>Whatever goes wrong first decides how the connection ended (<see cref="Closed"/>). A violation by the remote side is
/// answered with go-away 1 where it still takes data.</para>
/// <para>What libp2p's implementations require beyond the yamux spec, and do differently from each other, decided a good part of
/// this: streams are announced at once (window update with SYN), acknowledged exactly once when they are accepted, credit follows
/// consumption, and go-away ends everything on receipt.</para>
/// </remarks>
internal sealed class YamuxConnection : IMuxedConnection
{
    private readonly IByteChannel _channel;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly long _origin;
    private readonly FrameReader _reader;
    private readonly TaskCompletionSource<TransportException?> _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private Task? _run; // gate; the owner of all loops
    private bool _closing; // gate: a local close is under way
    private bool _ended; // gate: the outcome is decided
    private bool _stoppedOpening; // gate: no further own streams
    private bool _leaving; // gate: to be closed when nothing uses it
    private bool _closedIdle; // set once, volatile
    private bool _refusesStreams; // set once, volatile: closing, ended, stopped opening, or out of stream numbers
    private bool _polite; // gate: a go-away is on its way, or was sent
    private TransportException? _reason; // gate: the outcome

    public YamuxConnection(IByteChannel channel, ConnectionRole role, YamuxOptions options, TimeProvider time, ILogger logger)
    {
        _channel = channel;
        _time = time;
        _logger = logger;
        _origin = time.GetTimestamp();
        Options = options;
        WindowGrowth = new ByteBudget(options.GrowthBudget);
        Buffers = new ByteBudget(options.MaxBufferedBytes, options.ProcessBuffers);
        Streams = new StreamTable(this, role);
        Writer = new FrameWriter(this, channel);
        _reader = new FrameReader(this, channel);
    }

    public TimeSpan? RoundTripTime => Pings.RoundTripTime;

    public int StreamCount
    {
        get
        {
            lock (Gate) return Streams.Count;
        }
    }

    public Task<TransportException?> Closed => _closed.Task;

    public bool TakesStreams => !Volatile.Read(ref _refusesStreams);

    public int UseCount
    {
        get
        {
            lock (Gate) return Streams.Uses.Count;
        }
    }

    public bool ClosedIdle => Volatile.Read(ref _closedIdle);

    /// <summary>What is counted of the connection.</summary>
    internal ConnectionCounters Counters => _channel.Counters;

    /// <summary>Guards the state of the connection and of all its streams.</summary>
    internal Lock Gate { get; } = new();

    internal YamuxOptions Options { get; }

    internal StreamTable Streams { get; }

    internal FrameWriter Writer { get; }

    internal PingExchange Pings { get; } = new();

    internal Crowding Crowding { get; } = new();

    /// <summary>Pays for windows beyond their initial size.</summary>
    internal ByteBudget WindowGrowth { get; }

    /// <summary>Pays for received bytes that wait to be read.</summary>
    internal ByteBudget Buffers { get; }

    /// <summary>Time since the connection was made.</summary>
    internal TimeSpan Now => _time.GetElapsedTime(_origin);

    /// <summary>Whether no new streams are wanted. Gate held.</summary>
    internal bool IsClosing => _closing || _ended;

    /// <summary>Begins to read and write. Call once.</summary>
    public void Start()
    {
        lock (Gate)
        {
            if (_run is not null || _ended) throw new InvalidOperationException("the connection was started before, or closed");
            Pings.Ask(Now); // the round trip decides how windows grow
            _run = RunAsync();
        }
    }

    public async ValueTask<IMuxedStream> OpenStreamAsync(CancellationToken cancellationToken)
    {
        await Streams.OpenSlots.WaitAsync(cancellationToken).ConfigureAwait(false);
        lock (Gate)
        {
            bool mayOpen = !IsClosing && !_stoppedOpening;
            if (mayOpen && Streams.Open() is { } stream)
            {
                if (Streams.IsExhausted) Volatile.Write(ref _refusesStreams, true);
                stream.BeginLocal();
                return stream;
            }

            Streams.OpenSlots.Release(); // the next one waiting sees the same
            throw !mayOpen
                ? YamuxFaults.NotOpened(_reason)
                : new TransportException(TransportError.LimitExceeded, "the connection has used up its stream numbers; connect again")
                {
                    NotTaken = true,
                };
        }
    }

    public async ValueTask<IMuxedStream?> AcceptStreamAsync(CancellationToken cancellationToken)
    {
        while (await Streams.Accepts.WaitToReadAsync(cancellationToken).ConfigureAwait(false))
        {
            while (Streams.Accepts.TryRead(out YamuxStream? stream))
            {
                lock (Gate)
                {
                    if (stream.TryAccept()) return stream;
                }

                stream.Incoming.Complete(); // reset before anyone took it
            }
        }

        return null;
    }

    public async ValueTask<TimeSpan> PingAsync(CancellationToken cancellationToken)
    {
        Task<TimeSpan> result;
        lock (Gate)
        {
            result = Pings.Measure(Now, out bool send);
            if (send) Writer.QueuePing();
        }

        return await result.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    public bool TryHold()
    {
        lock (Gate)
        {
            if (IsClosing) return false;
            Streams.Uses.Enter();
            return true;
        }
    }

    public void Release()
    {
        lock (Gate)
        {
            Streams.Uses.Leave(Now);
            OnUseEnded();
        }
    }

    public bool TryTouch()
    {
        lock (Gate)
        {
            if (_refusesStreams) return false;
            Streams.Uses.Touch(Now);
            return true;
        }
    }

    public void StopOpening()
    {
        lock (Gate) StopOpeningLocked();
    }

    public void CloseWhenUnused()
    {
        lock (Gate)
        {
            StopOpeningLocked();
            _leaving = true;
            OnUseEnded();
        }
    }

    public async ValueTask CloseAsync(CancellationToken cancellationToken)
    {
        Task? run;
        lock (Gate)
        {
            BeginClose();
            run = _run;
        }

        if (run is null)
        {
            End(reason: null, goAway: null);
            await DisposeChannelAsync().ConfigureAwait(false);
            lock (Gate) _closed.TrySetResult(_reason);
            return;
        }

        try
        {
            await run.WaitAsync(Options.CloseTimeout, _time, cancellationToken).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            Abort(new TransportException(
                TransportError.Timeout,
                $"the remote side did not take what was queued within {Options.CloseTimeout.TotalSeconds:0.#} s of closing"));
            await run.ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            Abort(new TransportException(TransportError.Aborted, "closing the connection was cancelled"));
            await run.ConfigureAwait(false);
            throw;
        }
    }

    public void Abort(TransportException reason)
    {
        End(reason, goAway: null, aborted: true);
        _channel.Abort();
    }

    public ValueTask DisposeAsync() => CloseAsync(CancellationToken.None);

    /// <summary>
    /// Decides how the connection ended; the first call counts. Ends every stream and pending call; with a go-away code the remote
    /// side is told, if it still takes data.
    /// </summary>
    /// <param name="reason">Why; null: in good order.</param>
    /// <param name="goAway">What to tell the remote side; null: nothing.</param>
    /// <param name="aborted">This side ended it.</param>
    /// <param name="goodbye">The remote side said goodbye, behind everything else that it had to say.</param>
    internal void End(TransportException? reason, GoAwayCode? goAway, bool aborted = false, bool goodbye = false)
    {
        lock (Gate)
        {
            if (_ended)
            {
                if (aborted) Writer.Stop();
                return;
            }

            _ended = true;
            Volatile.Write(ref _refusesStreams, true);
            _reason = reason;
            _polite = goAway is not null || (_polite && reason is null);
            if (goAway is { } code) Writer.HurryGoAway(code);
            else Writer.Stop();
            TransportException failure = YamuxFaults.ConnectionOver(reason, aborted);
            Streams.Close(failure, goodbye);
            Pings.Fail(failure);
        }
    }

    /// <summary>Something no longer uses the connection. Gate held.</summary>
    internal void OnUseEnded()
    {
        if (_leaving && !IsClosing && !Streams.Uses.IsUsed) BeginClose();
    }

    /// <summary>An exception that should not exist: the connection ends, the process goes on.</summary>
    internal void EndByDefect(Exception defect)
    {
        YamuxLog.Defect(_logger, defect);
        End(new TransportException(TransportError.Unknown, $"internal error: {defect.Message}", defect), GoAwayCode.InternalError);
    }

    /// <summary>Lets what is queued leave, then says goodbye. Gate held.</summary>
    private void BeginClose()
    {
        _closing = true;
        Volatile.Write(ref _refusesStreams, true);
        if (_ended) return;
        Writer.RequestGoAway(GoAwayCode.Normal, drainFirst: true);
        _polite = true;
    }

    private void StopOpeningLocked()
    {
        if (_stoppedOpening) return;
        _stoppedOpening = true;
        Volatile.Write(ref _refusesStreams, true);
        Streams.StopOpening();
    }

    private async Task RunAsync()
    {
        using var stop = new CancellationTokenSource();
        Task reading = Task.Run(_reader.RunAsync, CancellationToken.None);
        Task writing = Task.Run(Writer.RunAsync, CancellationToken.None);
        Task beating = Task.Run(() => BeatAsync(stop.Token), CancellationToken.None);
        await Task.WhenAny(reading, writing).ConfigureAwait(false);
        Task both = Task.WhenAll(reading, writing);
        bool polite;
        lock (Gate) polite = _polite;
        if (polite)
        {
            // The writer gets a moment to say why, the reader to see that the remote side took it: closing a socket with unread
            // bytes would reset it, and the go-away could be lost.
            await Task.WhenAny(both, Task.Delay(Options.GoodbyeTimeout, _time, stop.Token)).ConfigureAwait(false);
        }

        _channel.Abort();
        await both.ConfigureAwait(false);
        await stop.CancelAsync().ConfigureAwait(false);
        await beating.ConfigureAwait(false);
        await DisposeChannelAsync().ConfigureAwait(false);
        TransportException? reason;
        lock (Gate) reason = _reason;
        YamuxLog.Closed(_logger, reason?.Message ?? "orderly");
        _closed.TrySetResult(reason);
    }

    private async Task BeatAsync(CancellationToken stop)
    {
        try
        {
            while (!stop.IsCancellationRequested)
            {
                if (Beat(out TimeSpan wait)) await Task.Delay(wait, _time, stop).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // the connection is over
        }
    }

    /// <summary>One tick of the clock; false: look again at once.</summary>
    private bool Beat(out TimeSpan wait)
    {
        TimeSpan? flushStarted = Writer.FlushStarted;
        HeartbeatStep step;
        bool asked = false;
        lock (Gate)
        {
            TimeSpan now = Now;
            Streams.ResetLingering(now);
            TimeSpan? idleSince = IsClosing ? null : Streams.Uses.IdleSince;
            var state = new HeartbeatState(_reader.LastInput, Pings.AskedAt, Pings.InFlight, flushStarted, idleSince);
            step = Heartbeat.Decide(Options, now, state, out wait);
            if (step == HeartbeatStep.Ping && (asked = Pings.Ask(now))) Writer.QueuePing();
            if (step == HeartbeatStep.Idle)
            {
                // Decided under the gate: a stream that either side opened before keeps the connection, and one that the remote
                // side opens later is told, by the goodbye, that it was not taken.
                Volatile.Write(ref _closedIdle, true);
                BeginClose();
            }
        }

        switch (step)
        {
            case HeartbeatStep.Dead:
                Lose(new TransportException(
                    TransportError.Timeout, $"the remote side answered nothing for {Options.PingTimeout.TotalSeconds:0.#} s after a ping"));
                return true;
            case HeartbeatStep.Stalled:
                Lose(new TransportException(
                    TransportError.Timeout, $"the remote side took no data for {Options.WriteStallTimeout.TotalSeconds:0.#} s or longer"));
                return true;
            case HeartbeatStep.Idle:
                return false;
            default:
                return !asked;
        }
    }

    private void Lose(TransportException reason)
    {
        End(reason, goAway: null);
        _channel.Abort();
    }

    private async ValueTask DisposeChannelAsync()
    {
        try
        {
            await _channel.DisposeAsync().ConfigureAwait(false);
        }
        catch (TransportException e)
        {
            YamuxLog.DisposeFailed(_logger, e); // the outcome of the connection is decided already
        }
    }
}
