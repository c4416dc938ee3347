using System.Diagnostics;
using System.IO.Pipelines;
using FastShare.Transport.Telemetry;

namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>
/// One stream: its state, its control frames that wait to be sent, and the two directions. The state is guarded by the
/// connection's gate; methods named <c>…Locked</c> and those marked "gate held" are called with it held.
/// </summary>
internal sealed class YamuxStream : IMuxedStream
{
    private readonly YamuxConnection _connection;
    private readonly StreamInput _input;
    private readonly StreamOutput _output;

    private StreamState _state; // gate
    private FrameFlags _pendingFlags; // gate: SYN, ACK or RST to be sent
    private uint _pendingCredit; // gate: the sum of window updates to be sent
    private SendCredit _credit = new(); // gate
    private bool _isStarved; // gate: there are bytes to send and no credit
    private TaskCompletionSource? _closed; // gate; made for the first who asks

    public YamuxStream(YamuxConnection connection, uint id, bool isRemote)
    {
        _connection = connection;
        StreamId = id;
        IsRemote = isRemote;
        _input = new StreamInput(this, connection);
        _output = new StreamOutput(this, connection);
    }

    [Flags]
    private enum StreamState
    {
        Open = 0,

        /// <summary>The remote side has answered a stream of ours.</summary>
        Acknowledged = 1 << 0,

        /// <summary>The application has taken a stream of the remote side.</summary>
        Accepted = 1 << 1,

        /// <summary>The application finished writing; FIN follows what is written.</summary>
        FinQueued = 1 << 2,

        /// <summary>FIN was handed to the channel.</summary>
        FinSent = 1 << 3,

        /// <summary>The remote side sent FIN.</summary>
        FinReceived = 1 << 4,

        /// <summary>The application finished reading.</summary>
        InputDone = 1 << 5,

        /// <summary>The application finished writing, in whatever way.</summary>
        OutputDone = 1 << 6,

        /// <summary>Bytes came that no one will read.</summary>
        InputDropped = 1 << 7,

        /// <summary>Both local directions ended; the remote end is awaited for a while.</summary>
        Lingering = 1 << 8,

        /// <summary>No longer in the table: both directions ended, or it was reset, or the connection is over.</summary>
        Gone = 1 << 9,

        /// <summary>The remote side may open another stream in its place.</summary>
        SlotReleased = 1 << 10,

        /// <summary>It does not count as a use of the connection, or no longer.</summary>
        Unused = 1 << 11,

        /// <summary>Data came from the remote side: a stream of ours was taken by somebody there.</summary>
        Answered = 1 << 12,
    }

    public PipeReader Input => _input;

    public PipeWriter Output => _output;

    public long Id => StreamId;

    public bool IsRemote { get; }

    internal uint StreamId { get; }

    internal StreamInput Incoming => _input;

    /// <summary>Membership in the writer's queues. Guarded by the gate.</summary>
    internal bool InControlQueue { get; set; }

    /// <summary>Membership in the writer's queues. Guarded by the gate.</summary>
    internal bool InDataQueue { get; set; }

    /// <summary>When a lingering stream is reset. Guarded by the gate.</summary>
    internal TimeSpan LingerUntil { get; private set; }

    /// <summary>Whether the stream left the table. Gate held.</summary>
    internal bool IsGone => Has(StreamState.Gone);

    /// <summary>Whether a data frame or the end can be sent now. Gate held.</summary>
    internal bool IsSendable => !IsGone && (_output.Remaining > 0 ? _credit.Available > 0 : IsEndDue);

    public Task Closed
    {
        get
        {
            lock (_connection.Gate)
            {
                if (IsGone) return Task.CompletedTask;
                return (_closed ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
            }
        }
    }

    public void Reset()
    {
        lock (_connection.Gate) ResetLocked();
    }

    public void IgnoreForKeepAlive()
    {
        lock (_connection.Gate)
        {
            if (Has(StreamState.Unused)) return;
            _state |= StreamState.Unused;
            _connection.Streams.Uses.Disregard();
            _connection.OnUseEnded();
        }
    }

    public ValueTask DisposeAsync()
    {
        lock (_connection.Gate)
        {
            if (!_output.IsCompleted) ResetLocked();
        }

        _output.Complete();
        _input.Complete();
        return ValueTask.CompletedTask;
    }

    /// <summary>Queues the frame that announces a stream of ours. Gate held.</summary>
    internal void BeginLocal()
    {
        _pendingFlags = FrameFlags.Syn;
        _pendingCredit = _input.Raise();
        _connection.Writer.QueueControl(this);
    }

    /// <summary>The application takes a stream of the remote side: acknowledges it. False: it is over already. Gate held.</summary>
    internal bool TryAccept()
    {
        if (IsGone)
        {
            ReleaseSlot();
            return false;
        }

        _state |= StreamState.Accepted;
        _pendingFlags |= FrameFlags.Ack;
        _pendingCredit += _input.Raise();
        _connection.Writer.QueueControl(this);
        return true;
    }

    /// <summary>Any frame from the remote side answers our SYN. True for the first. Gate held.</summary>
    internal bool Acknowledge()
    {
        if (IsRemote || Has(StreamState.Acknowledged)) return false;
        _state |= StreamState.Acknowledged;
        return true;
    }

    /// <summary>Credit from the remote side; false if it overflows. Gate held.</summary>
    internal bool TryAddCredit(uint delta)
    {
        if (!_credit.TryAdd(delta)) return false;
        NoteStarvation();
        ScheduleData();
        return true;
    }

    /// <summary>Whether the remote side has finished sending. Gate held.</summary>
    internal bool IsFinReceived => Has(StreamState.FinReceived);

    /// <summary>The remote side finished sending, and all its bytes were delivered. Gate held.</summary>
    internal void OnFin()
    {
        if (Has(StreamState.FinReceived) || IsGone) return;
        _state |= StreamState.FinReceived;
        _input.Finish();
        if (Has(StreamState.FinSent)) LeaveLocked();
    }

    /// <summary>The remote side reset the stream. Gate held.</summary>
    internal void OnReset(uint code) => EndLocked(YamuxFaults.ResetByRemote(StreamId, code), drop: false);

    /// <summary>Bytes came that the application will not read. Gate held.</summary>
    internal void OnInputDropped()
    {
        _state |= StreamState.InputDropped;
        SettleInput();
    }

    /// <summary>The connection is over. Gate held; the table is being cleared.</summary>
    internal void OnConnectionOver(TransportException failure, bool goodbye) =>
        EndLocked(goodbye && !IsRemote && !Has(StreamState.Answered) ? YamuxFaults.NotTaken() : failure, drop: false);

    /// <summary>Data came. Gate held.</summary>
    internal void OnAnswer() => _state |= StreamState.Answered;

    /// <summary>Ends both directions and tells the remote side. Gate held.</summary>
    internal void ResetLocked()
    {
        if (IsGone) return;
        bool unknownToRemote = (_pendingFlags & FrameFlags.Syn) != 0;
        EndLocked(YamuxFaults.ResetLocally(StreamId), drop: true);
        if (unknownToRemote) return;
        _pendingFlags = FrameFlags.Rst;
        _connection.Writer.QueueControl(this);
    }

    public void WidenWindow(int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        uint credit = _input.Widen((uint)bytes);
        if (credit > 0) ReturnCredit(credit);
    }

    /// <summary>Returns credit for consumed bytes. Takes the gate.</summary>
    internal void ReturnCredit(uint credit)
    {
        lock (_connection.Gate)
        {
            if (IsGone || Has(StreamState.FinReceived)) return;
            _pendingCredit += credit;
            _connection.Writer.QueueControl(this);
        }
    }

    /// <summary>The application finished reading; <paramref name="unread"/>: bytes were left. Takes the gate.</summary>
    internal void OnInputCompleted(bool unread)
    {
        lock (_connection.Gate)
        {
            _state |= StreamState.InputDone;
            if (unread) _state |= StreamState.InputDropped;
            SettleInput();
            ReleaseSlot();
        }
    }

    /// <summary>The application finished writing: FIN follows. Gate held.</summary>
    internal void EndOutput()
    {
        _state |= StreamState.FinQueued;
        ScheduleData();
    }

    /// <summary>The application finished writing, in whatever way. Gate held.</summary>
    internal void OnOutputCompleted()
    {
        _state |= StreamState.OutputDone;
        ReleaseSlot();
    }

    /// <summary>Lets the writer know if there is something to send now. Gate held.</summary>
    internal void ScheduleData()
    {
        if (IsSendable) _connection.Writer.QueueData(this);
        else NoteStarvation();
    }

    /// <summary>Bytes to send, credit or the stream itself came or went: counts the time without credit. Gate held.</summary>
    internal void NoteStarvation()
    {
        bool starved = _credit.Available == 0 && !IsGone && _output.Remaining > 0;
        if (starved == _isStarved) return;
        _isStarved = starved;
        if (starved) _connection.Counters.BeginWait(ConnectionStage.WindowWait);
        else _connection.Counters.EndWait(ConnectionStage.WindowWait);
    }

    /// <summary>The one control frame that says everything pending. False: nothing is. Gate held.</summary>
    internal bool TryTakeControl(out YamuxHeader header)
    {
        uint length = (_pendingFlags & FrameFlags.Rst) != 0 ? 0 : _pendingCredit; // with RST it would be an error code
        header = new YamuxHeader(FrameType.WindowUpdate, _pendingFlags, StreamId, length);
        bool any = _pendingFlags != 0 || _pendingCredit != 0;
        _pendingFlags = FrameFlags.None;
        _pendingCredit = 0;
        ReleaseSlot();
        return any;
    }

    /// <summary>The next data frame; to be called when <see cref="IsSendable"/>. Gate held.</summary>
    /// <returns>Whether the stream wants <see cref="OnFlushed"/> and is new to the batch.</returns>
    internal bool TakeData(int limit, out YamuxHeader header, out ReadOnlyMemory<byte> payload)
    {
        bool wantsFlush = false;
        payload = default;
        if (_output.Remaining > 0)
        {
            // A rest of a few kilobytes is not worth a frame of its own, still less, at the end of a write, a system call.
            int shortRest = limit / 32;
            if (_output.Remaining - limit <= shortRest) limit += shortRest;
            wantsFlush = _output.Take((int)Math.Min((uint)limit, _credit.Available), out payload);
            _credit.Take(payload.Length);
            if (_credit.Available == 0) NoteStarvation();
        }

        bool last = IsEndDue;
        header = new YamuxHeader(FrameType.Data, last ? FrameFlags.Fin : FrameFlags.None, StreamId, (uint)payload.Length);
        if (last)
        {
            _state |= StreamState.FinSent;
            if (Has(StreamState.FinReceived)) LeaveLocked();
            else SettleInput();
        }

        return wantsFlush;
    }

    /// <summary>The batch that carries taken bytes was flushed, or never will be. Gate held.</summary>
    internal void OnFlushed() => _output.OnFlushed();

    private bool IsEndDue => Has(StreamState.FinQueued) && !Has(StreamState.FinSent) && _output.IsDrained;

    private bool Has(StreamState state) => (_state & state) != 0;

    /// <summary>
    /// Nobody reads and our end was sent, but the remote end is missing. If the remote side evidently still sends, or waits for
    /// credit that will never come, it is told by a reset; otherwise it gets a while to read our last bytes and finish.
    /// </summary>
    private void SettleInput()
    {
        if (IsGone || !Has(StreamState.InputDone) || !Has(StreamState.FinSent) || Has(StreamState.FinReceived)) return;
        if (Has(StreamState.InputDropped) || _input.IsPeerOutOfCredit)
        {
            ResetLocked();
        }
        else if (!Has(StreamState.Lingering))
        {
            _state |= StreamState.Lingering;
            LingerUntil = _connection.Now + _connection.Options.LingerTimeout;
            _connection.Streams.Linger(this);
        }
    }

    private void EndLocked(TransportException failure, bool drop)
    {
        if (IsGone) return;
        _pendingFlags = FrameFlags.None;
        _pendingCredit = 0;
        LeaveLocked();
        _output.Fail(failure);
        _input.Fail(failure, drop);
    }

    private void LeaveLocked()
    {
        Debug.Assert(!IsGone, "a stream leaves the table once");
        _state |= StreamState.Gone;
        NoteStarvation();
        _closed?.TrySetResult();
        if (Acknowledge()) _connection.Streams.OnAbandoned();
        _connection.Streams.Remove(this);
        _connection.Crowding.OnEnded(_input.OpenedAt, _connection.Now);
        ReleaseSlot();
        if (!IsRemote) EndUse();
    }

    /// <summary>
    /// A stream of the remote side stands for work here until it is gone, the application has let it go, and nothing about it
    /// waits to be sent; resetting it early makes no room for another (CVE-2023-44487).
    /// </summary>
    private void ReleaseSlot()
    {
        if (!IsRemote || !IsGone || Has(StreamState.SlotReleased) || _pendingFlags != 0) return;
        if (Has(StreamState.Accepted) && !(Has(StreamState.InputDone) && Has(StreamState.OutputDone))) return;
        _state |= StreamState.SlotReleased;
        _connection.Streams.ReleaseInboundSlot();
        EndUse();
    }

    private void EndUse()
    {
        if (Has(StreamState.Unused)) return;
        _state |= StreamState.Unused;
        _connection.Streams.Uses.Leave(_connection.Now);
        _connection.OnUseEnded();
    }
}
