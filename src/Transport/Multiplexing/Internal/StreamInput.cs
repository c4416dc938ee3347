using System.Buffers;
using System.Diagnostics;
using System.IO.Pipelines;
using System.Threading.Tasks.Sources;

namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>
/// The receiving direction of a stream. The frame reader fills pooled blocks in place (<see cref="Announce"/>, then
/// <see cref="Reserve"/> and <see cref="Commit"/> in turn) and never waits; the application reads the same blocks as a sequence, and
/// consuming them returns credit to the remote side.
/// </summary>
/// <remarks>
/// Not <see cref="Pipe"/>: a pipe throws away unread bytes when it ends with an error, does not say where consumption leaves the
/// window, and takes a block of the hinted size however much room the last one has left. All fields are guarded by
/// <c>_sync</c>, which is the innermost lock: nothing else is locked while it is held.
/// </remarks>
internal sealed class StreamInput : PipeReader, IValueTaskSource<ReadResult>
{
    private const int SmallBlock = 4 << 10;
    private const int LargeBlock = 64 << 10; // one sealed record

    // Payloads from here on take large blocks; room smaller than this at the end of a block is given up for a fresh one, so that
    // a sealed channel can open whole records in place and at most a quarter of a block stays unused.
    private const int LargeFrom = 16 << 10;

    private readonly YamuxStream _stream;
    private readonly YamuxConnection _connection;
    private readonly Lock _sync = new();

    private ReceiveWindow _window;
    private ReceiveSegment? _first;
    private ReceiveSegment? _last;
    private ReceiveSegment? _filling; // handed to the frame reader, which writes behind its end; maybe _last, maybe not linked yet
    private int _consumedInFirst;
    private long _received; // bytes linked since the start
    private long _length; // bytes linked and not consumed
    private long _examined; // how many of them the application has looked at
    private long _unread; // bytes announced and not consumed; more than _length while a payload is on its way
    private Ending _ending;
    private TransportException? _failure;
    private bool _dropped; // a local reset: nothing is delivered any more
    private bool _completed; // by the application
    private bool _reading; // a result is out, AdvanceTo is due
    private bool _cancelNext;

    private ManualResetValueTaskSourceCore<ReadResult> _wait = new() { RunContinuationsAsynchronously = true };
    private bool _waiting;
    private CancellationTokenRegistration _cancellation; // the reading caller's alone

    /// <summary>When the stream was opened.</summary>
    public TimeSpan OpenedAt { get; }

    public StreamInput(YamuxStream stream, YamuxConnection connection)
    {
        _stream = stream;
        _connection = connection;
        OpenedAt = connection.Now;
        _window = new ReceiveWindow(OpenedAt);
    }

    private enum Ending
    {
        Open,
        Finished,
        Failed,
    }

    /// <summary>What became of a payload that was announced.</summary>
    internal enum Announcement
    {
        /// <summary>There is room for it.</summary>
        Welcome,

        /// <summary>No one will read it; it is to be drained.</summary>
        Unwanted,

        /// <summary>It exceeds the credit of the remote side.</summary>
        Excessive,
    }

    /// <summary>The window's size now, in bytes.</summary>
    internal uint WindowSize
    {
        get
        {
            lock (_sync) return _window.Size;
        }
    }

    /// <summary>Whether the remote side has no credit left, so that a sender there may be waiting.</summary>
    internal bool IsPeerOutOfCredit
    {
        get
        {
            lock (_sync) return _window.Held == 0;
        }
    }

    /// <summary>Raises a fresh window to the configured size; returns the credit to send.</summary>
    internal uint Raise()
    {
        lock (_sync) return _window.Raise(_connection.Options.InitialWindow, _connection.WindowGrowth);
    }

    /// <summary>Raises the window to <paramref name="size"/>, as far as its limits allow; returns the credit to send.</summary>
    internal uint Widen(uint size)
    {
        lock (_sync)
        {
            if (_completed || _ending != Ending.Open) return 0;
            return _window.Raise(Math.Min(size, _connection.Options.MaxStreamWindow), _connection.WindowGrowth);
        }
    }

    /// <summary>Charges a data frame's payload to the window before any of it is read.</summary>
    internal Announcement Announce(uint length)
    {
        lock (_sync)
        {
            if (!_window.TryReceive(length)) return Announcement.Excessive;
            if (_completed || _dropped) return Announcement.Unwanted;
            _unread += length;
            return Announcement.Welcome;
        }
    }

    /// <summary>
    /// Memory for the next bytes of the payload, at most <paramref name="remaining"/>. Empty: they are to be drained, because the
    /// reader has left or, with <paramref name="outOfMemory"/>, because a budget is exhausted.
    /// </summary>
    internal Memory<byte> Reserve(int remaining, out bool outOfMemory)
    {
        outOfMemory = false;
        lock (_sync)
        {
            Debug.Assert(_filling is null, "one payload is received at a time");
            if (_completed || _dropped) return default;
            if (_last is not null && _last.Free.Length >= Math.Min(remaining, LargeFrom))
            {
                _filling = _last;
            }
            else
            {
                int size = remaining < LargeFrom ? SmallBlock : LargeBlock;
                if (!_connection.Buffers.TryTake(size))
                {
                    outOfMemory = true;
                    return default;
                }

                _filling = ReceiveSegment.Rent(_connection.Options.Pool.Rent(size));
            }

            Memory<byte> free = _filling.Free;
            return free.Length > remaining ? free[..remaining] : free;
        }
    }

    /// <summary>Delivers what was read into the reserved memory; 0 gives the memory back.</summary>
    internal void Commit(int count)
    {
        lock (_sync)
        {
            ReceiveSegment segment = _filling!;
            _filling = null;
            bool linked = segment == _last;
            if (_completed || _dropped || (count == 0 && !linked))
            {
                // Whoever released the chain meanwhile left this segment to the frame reader.
                if (!linked) Release(segment);
                return;
            }

            segment.Append(count);
            if (!linked)
            {
                segment.Link(_last, _received);
                if (_last is null)
                {
                    _first = segment;
                    _consumedInFirst = 0;
                }

                _last = segment;
            }

            _received += count;
            _length += count;
            WakeReader();
        }
    }

    /// <summary>The remote side finished sending.</summary>
    internal void Finish()
    {
        lock (_sync)
        {
            if (_ending != Ending.Open) return;
            _ending = Ending.Finished;
            _window.Release(_connection.WindowGrowth);
            WakeReader();
        }
    }

    /// <summary>
    /// Nothing more will come. Bytes received stay readable and the failure follows them, unless <paramref name="drop"/> says that
    /// this side has given them up. A direction that the remote side finished is not harmed otherwise.
    /// </summary>
    internal void Fail(TransportException failure, bool drop)
    {
        lock (_sync)
        {
            if (_dropped || (_ending != Ending.Open && !drop)) return;
            _ending = Ending.Failed;
            _failure = failure;
            _dropped = drop;
            _window.Release(_connection.WindowGrowth);
            if (drop && !_reading) ReleaseAll();
            WakeReader();
        }
    }

    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        uint credit;
        short version;
        lock (_sync)
        {
            if (TryTakeResult(out ReadResult result)) return new ValueTask<ReadResult>(result);
            if (cancellationToken.IsCancellationRequested) return ValueTask.FromCanceled<ReadResult>(cancellationToken);
            credit = RelieveStarvation();
            _wait.Reset();
            _waiting = true;
            version = _wait.Version;
        }

        if (credit > 0) _stream.ReturnCredit(credit);
        if (cancellationToken.CanBeCanceled)
        {
            _cancellation = cancellationToken.UnsafeRegister(
                static (input, token) => ((StreamInput)input!).EndWait(new OperationCanceledException(token)), this);
        }

        return new ValueTask<ReadResult>(this, version);
    }

    public override bool TryRead(out ReadResult result)
    {
        lock (_sync) return TryTakeResult(out result);
    }

    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        uint credit = 0;
        lock (_sync)
        {
            if (!_reading) throw new InvalidOperationException("there is no read to advance");
            long start = _first is null ? 0 : _first.RunningIndex + _consumedInFirst;
            long consumedAt = Locate(consumed, start);
            long examinedAt = Locate(examined, start);
            if (consumedAt < start || examinedAt < consumedAt || examinedAt > start + _length)
                throw new ArgumentOutOfRangeException(nameof(consumed), "the positions are not within the buffer that was read");
            _reading = false;
            _examined = examinedAt - consumedAt;
            if (_dropped)
            {
                ReleaseAll();
            }
            else if (consumedAt > start)
            {
                Consume(consumedAt - start);
                if (_ending == Ending.Open)
                {
                    TimeSpan now = _connection.Now;
                    uint most = _connection.Crowding.LargestCredit(now, _connection.Pings.PathRoundTripTime);
                    credit = _window.Replenish(
                        _unread, now, _connection.RoundTripTime, most, _connection.Options.MaxStreamWindow, _connection.WindowGrowth);
                }
            }
        }

        if (credit > 0) _stream.ReturnCredit(credit);
    }

    public override void CancelPendingRead()
    {
        lock (_sync)
        {
            if (_waiting) EndWaitWithResult(isCanceled: true);
            else _cancelNext = true;
        }
    }

    public override void Complete(Exception? exception = null)
    {
        bool unread;
        lock (_sync)
        {
            if (_completed) return;
            _completed = true;
            _reading = false;
            unread = _unread > 0;
            ReleaseAll();
            _window.Release(_connection.WindowGrowth);
            if (_waiting) FailWait(new InvalidOperationException("the reader was completed while it was read"));
        }

        _stream.OnInputCompleted(unread);
    }

    ReadResult IValueTaskSource<ReadResult>.GetResult(short token)
    {
        try
        {
            return _wait.GetResult(token);
        }
        finally
        {
            _cancellation.Dispose(); // waits for a callback that is running, so none reaches the next read
            _cancellation = default;
        }
    }

    ValueTaskSourceStatus IValueTaskSource<ReadResult>.GetStatus(short token) => _wait.GetStatus(token);

    void IValueTaskSource<ReadResult>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _wait.OnCompleted(continuation, state, token, flags);

    private static long Locate(SequencePosition position, long start) =>
        position.GetObject() is ReceiveSegment segment ? segment.RunningIndex + position.GetInteger() : start;

    private bool TryTakeResult(out ReadResult result)
    {
        if (_completed) throw new InvalidOperationException("the reader was completed");
        if (_reading || _waiting) throw new InvalidOperationException("a read is already under way; advance the reader first");
        bool fresh = _length > _examined && !_dropped;
        if (_cancelNext || fresh || _ending == Ending.Finished)
        {
            result = Result(_cancelNext);
            _cancelNext = false;
            return true;
        }

        if (_ending == Ending.Failed) throw _failure!.Again();
        result = default;
        return false;
    }

    private ReadResult Result(bool isCanceled)
    {
        _reading = true;
        ReadOnlySequence<byte> buffer = _length == 0
            ? ReadOnlySequence<byte>.Empty
            : new ReadOnlySequence<byte>(_first!, _consumedInFirst, _last!, _last!.End);
        return new ReadResult(buffer, isCanceled, _ending == Ending.Finished);
    }

    private void WakeReader()
    {
        if (!_waiting) return;
        if (_length > _examined || _ending == Ending.Finished) EndWaitWithResult(isCanceled: false);
        else if (_ending == Ending.Failed) FailWait(_failure!.Again());
    }

    private void EndWaitWithResult(bool isCanceled)
    {
        _waiting = false;
        _wait.SetResult(Result(isCanceled));
    }

    private void FailWait(Exception exception)
    {
        _waiting = false;
        _wait.SetException(exception);
    }

    private void EndWait(Exception exception)
    {
        lock (_sync)
        {
            if (_waiting) FailWait(exception);
        }
    }

    /// <summary>The application is about to wait with everything examined: see <see cref="ReceiveWindow.ReplenishStarved"/>.</summary>
    private uint RelieveStarvation()
    {
        if (_ending != Ending.Open || _window.Held > 0 || _unread > _length) return 0;
        uint credit = _window.ReplenishStarved(_unread, _connection.Now, _connection.Options.MaxStreamWindow, _connection.WindowGrowth);
        if (credit > 0) return credit;
        throw new TransportException(
            TransportError.LimitExceeded,
            $"the reader of stream {_stream.Id} waits for more than its window of {_window.Size} bytes without consuming any; "
            + "read large messages in pieces");
    }

    private void Consume(long count)
    {
        _length -= count;
        _unread -= count;
        while (count > 0)
        {
            ReceiveSegment segment = _first!;
            int left = segment.End - _consumedInFirst;
            if (count < left)
            {
                _consumedInFirst += (int)count;
                return;
            }

            count -= left;
            if (segment == _filling)
            {
                _consumedInFirst = segment.End; // its free part is being written
                return;
            }

            _first = segment.Following;
            _consumedInFirst = 0;
            if (_first is null) _last = null;
            Release(segment); // be it full or not, so that idle streams hold no block
        }
    }

    /// <summary>Releases every block but the one that the frame reader is filling; <see cref="Commit"/> releases that.</summary>
    private void ReleaseAll()
    {
        for (ReceiveSegment? segment = _first; segment is not null;)
        {
            ReceiveSegment? next = segment.Following;
            if (segment != _filling) Release(segment);
            segment = next;
        }

        _first = _last = null;
        _consumedInFirst = 0;
        _length = _examined = _unread = 0;
    }

    private void Release(ReceiveSegment segment)
    {
        _connection.Buffers.Return(segment.Capacity);
        segment.Return();
    }
}
