using FastShare.Transport.Dialing;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Requests.Internal;

/// <summary>Where a request is.</summary>
internal enum RequestState
{
    /// <summary>Not given to a queue yet.</summary>
    New,

    /// <summary>The peer's queue is full; the request waits for room.</summary>
    Waiting,

    /// <summary>In the peer's queue.</summary>
    Queued,

    /// <summary>On a connection.</summary>
    InFlight,

    /// <summary>To be tried again later, or sooner if there is news of the peer.</summary>
    BackingOff,

    /// <summary>Answered, failed or cancelled.</summary>
    Done,
}

/// <summary>
/// A request as its <see cref="RequestQueue{TConnection}"/> sees it. What is not set by the constructor is guarded by the queue's
/// lock.
/// </summary>
/// <param name="peer">Whom it is for.</param>
/// <param name="size">Its length in bytes.</param>
/// <param name="timeout">The time it has from its beginning.</param>
/// <param name="retry">Whether and when it is tried again.</param>
/// <param name="isIdempotent">Whether the peer may carry it out twice.</param>
/// <param name="condition">When a dial is started for it.</param>
internal class QueuedRequest<TConnection>(
    PeerId peer, long size, TimeSpan timeout, RetryPolicy retry, bool isIdempotent, DialCondition condition)
    where TConnection : class
{
    public PeerId Peer { get; } = peer;

    public long Size { get; } = size;

    public TimeSpan Timeout { get; } = timeout;

    public RetryPolicy Retry { get; } = retry;

    public bool IsIdempotent { get; } = isIdempotent;

    public DialCondition Condition { get; } = condition;

    /// <summary>Its number, from 1 upwards; 0 until it is given to a queue.</summary>
    public long Id { get; internal set; }

    public RequestState State { get; internal set; }

    public TimeSpan Begun { get; internal set; }

    public TimeSpan Deadline { get; internal set; }

    /// <summary>Attempts that failed.</summary>
    public int Attempts { get; internal set; }

    /// <summary>Connections that were lost before the peer could take the request; they are not counted as attempts.</summary>
    public int Detours { get; internal set; }

    /// <summary>Why the last attempt failed; what the request fails with if there is no time for another.</summary>
    public RequestException? LastFailure { get; internal set; }

    /// <summary>The attempt under way.</summary>
    public RequestFlight<TConnection>? Flight { get; internal set; }

    /// <summary>When something is to be done about it: its deadline, or sooner its next attempt.</summary>
    internal TimeSpan Due { get; set; }

    /// <summary>When it came into its present state.</summary>
    internal TimeSpan Since { get; set; }

    /// <summary>The peer's dialing clock when it was queued.</summary>
    internal TimeSpan DialingMark { get; set; }

    /// <summary>Where its time went, the present state not counted.</summary>
    internal RequestTimes Spent { get; set; }

    internal int DuePlace = -1;
    internal int QueuePlace = -1;

    /// <summary>By number: the order of the calls.</summary>
    internal readonly struct ByNumber : IHeapOrder<QueuedRequest<TConnection>>
    {
        public static bool IsBefore(QueuedRequest<TConnection> a, QueuedRequest<TConnection> b) => a.Id < b.Id;

        public static ref int Place(QueuedRequest<TConnection> item) => ref item.QueuePlace;
    }

    /// <summary>By the time at which something is to be done.</summary>
    internal readonly struct ByDue : IHeapOrder<QueuedRequest<TConnection>>
    {
        public static bool IsBefore(QueuedRequest<TConnection> a, QueuedRequest<TConnection> b) =>
            a.Due < b.Due || a.Due == b.Due && a.Id < b.Id;

        public static ref int Place(QueuedRequest<TConnection> item) => ref item.DuePlace;
    }
}

/// <summary>How far a failed attempt had come: what decides whether it may be repeated.</summary>
internal enum FlightReach
{
    /// <summary>Nothing of the request was sent.</summary>
    NotBegun,

    /// <summary>Something was sent, but the peer evidently has not taken the stream.</summary>
    NotTaken,

    /// <summary>The peer may have carried out the request.</summary>
    Unknown,
}

/// <summary>One attempt of a request on one connection.</summary>
internal sealed class RequestFlight<TConnection>(QueuedRequest<TConnection> request, ConnectionSlot<TConnection> slot, TimeSpan started)
    where TConnection : class
{
    private int _stage = (int)RequestStage.Negotiating; // written by the driver
    private long _negotiated = -1; // ticks, by the driver; −1: not yet

    public QueuedRequest<TConnection> Request { get; } = request;

    public TConnection Connection => Slot.Connection;

    public TimeSpan Started { get; } = started;

    /// <summary>Fires when nobody wants the result any more. Cancelled by the driver, under no lock.</summary>
    public CancellationTokenSource Stopping { get; } = new();

    /// <summary>What the driver is doing. Thread-safe.</summary>
    public RequestStage Stage
    {
        get => (RequestStage)Volatile.Read(ref _stage);
        set => Volatile.Write(ref _stage, (int)value);
    }

    internal ConnectionSlot<TConnection> Slot { get; } = slot;

    /// <summary>Whether the driver has reported its end. Guarded by the queue's lock.</summary>
    internal bool IsOver { get; set; }

    /// <summary>The stream is open and the peer serves the protocol, as far as is known. By the driver.</summary>
    public void Negotiated(TimeSpan now)
    {
        Volatile.Write(ref _negotiated, now.Ticks);
        Stage = RequestStage.Sending;
    }

    /// <summary>When the negotiation ended, if it did.</summary>
    internal TimeSpan? NegotiatedAt => Volatile.Read(ref _negotiated) is >= 0 and var ticks ? TimeSpan.FromTicks(ticks) : null;
}

/// <summary>A connection that requests may go out on. Guarded by the queue's lock.</summary>
internal sealed class ConnectionSlot<TConnection>(TConnection connection)
    where TConnection : class
{
    public TConnection Connection { get; } = connection;

    /// <summary>Attempts on it whose end has not been reported.</summary>
    public int InFlight { get; set; }

    /// <summary>An attempt found it dead, which its end will confirm.</summary>
    public bool IsDead { get; set; }
}

/// <summary>
/// The wish of a queue to be connected with a peer; the driver waits for a connection in its name until it is told to stop.
/// </summary>
internal sealed class ConnectionWish<TConnection>(PeerId peer, DialCondition condition, bool isPatient)
    where TConnection : class
{
    public PeerId Peer { get; } = peer;

    public DialCondition Condition { get; } = condition;

    /// <summary>
    /// Whether a peer that could not be reached is left alone for a while first: all requests concerned have failed before, so their
    /// many retries do not become as many dials.
    /// </summary>
    public bool IsPatient { get; } = isPatient;

    /// <summary>Fires when it is no longer wanted. Cancelled by the driver, under no lock.</summary>
    public CancellationTokenSource Ended { get; } = new();
}

/// <summary>What the driver is to do.</summary>
internal enum RequestStepKind
{
    /// <summary>Wait for a connection with <see cref="RequestStep{TConnection}.Wish"/>'s peer, dialing if its condition is met.</summary>
    Connect,

    /// <summary>Stop waiting.</summary>
    EndConnect,

    /// <summary>The request has got its place in the queue.</summary>
    Accepted,

    /// <summary>Begin <see cref="RequestStep{TConnection}.Flight"/>, and report its end.</summary>
    Send,

    /// <summary>Break off a flight, and report its end nevertheless.</summary>
    Stop,

    /// <summary>The request is over: tell the caller.</summary>
    Fail,

    /// <summary>An attempt failed, and another follows: nothing to be done, but perhaps to be counted.</summary>
    Retry,
}

/// <summary>A step to carry out, under no lock. Steps that concern one request, wish or flight hold in any order.</summary>
internal readonly record struct RequestStep<TConnection>(
    RequestStepKind Kind,
    QueuedRequest<TConnection>? Request = null,
    RequestFlight<TConnection>? Flight = null,
    ConnectionWish<TConnection>? Wish = null,
    RequestException? Error = null)
    where TConnection : class;
