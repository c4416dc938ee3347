using System.Diagnostics;
using FastShare.Transport.Dialing;
using FastShare.Transport.Identity;
using FastShare.Transport.Telemetry;

namespace FastShare.Transport.Requests.Internal;

/// <summary>
/// Sends the requests of one protocol: carries out the steps of a <see cref="RequestQueue{TConnection}"/> on a swarm. Thread-safe.
/// </summary>
/// <remarks>
/// One timer serves all deadlines and retries, one waiter per peer stands for all requests that need a connection, and a request has
/// a task of its own only while it is on a connection.
/// </remarks>
internal sealed class RequestClient : IConnectionObserver
{
    /// <summary>Lists of steps that have grown beyond this are not kept.</summary>
    private const int MaxSpareSteps = 64;

    /// <summary>The client whose steps this thread carries out, and those that came up meanwhile: they follow, not nest.</summary>
    [ThreadStatic]
    private static (RequestClient Client, List<RequestStep<PeerConnection>> Steps)? _carrying;

    /// <summary>A list of steps that this thread may use again; empty.</summary>
    [ThreadStatic]
    private static List<RequestStep<PeerConnection>>? _spare;

    private readonly Swarm _swarm;
    private readonly string _protocol;
    private readonly RequestProtocolOptions _options;
    private readonly EventFeed<RequestEvent> _events;
    private readonly RequestQueue<PeerConnection> _queue;
    private readonly ActivityCount _activity = new();
    private readonly TransportInstruments _instruments;
    private readonly TimeProvider _time;
    private readonly long _epoch;
    private readonly ITimer _timer;
    private readonly Lock _timerLock = new();
    private readonly IDisposable _subscription;
    private readonly CancellationTokenRegistration _swarmCloses;
    private long _armed = long.MaxValue; // ticks for which the timer is set; written under _timerLock, read without

    public RequestClient(Swarm swarm, string protocol, RequestProtocolOptions options, EventFeed<RequestEvent> events, Func<double> random)
    {
        _swarm = swarm;
        _protocol = protocol;
        _options = options;
        _events = events;
        _queue = new RequestQueue<PeerConnection>(options, static connection => connection.IsLive, random);
        _instruments = swarm.Instruments;
        _time = swarm.Time;
        _epoch = _time.GetTimestamp();
        _timer = _time.CreateTimer(
            static client => ((RequestClient)client!).OnTimer(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _subscription = swarm.Observe(this);
        _swarmCloses = swarm.Closing.UnsafeRegister(static client => ((RequestClient)client!).FailAll(), this);
    }

    /// <summary>The queue, for tests.</summary>
    internal RequestQueue<PeerConnection> Queue => _queue;

    private TimeSpan Now => _time.GetElapsedTime(_epoch);

    public bool IsPending(OutboundRequestId id) => _queue.IsPending(id.Value);

    public void Begin(OutboundCall call, RequestOptions options)
    {
        if (options.Addresses.Count > 0) _swarm.AddAddresses(call.Peer, options.Addresses);
        Activity? outer = Activity.Current;
        call.Activity = TransportInstruments.StartRequest(_protocol, call.Peer, inbound: false);
        Activity.Current = outer; // it ends elsewhere
        call.CountQueued(_instruments, _protocol);
        call.WatchCancellation(this);
        List<RequestStep<PeerConnection>> steps = NewSteps();
        _queue.Begin(call, Now, steps);
        Carry(steps);
        if (call.CancellationToken.IsCancellationRequested) Cancel(call); // it may have fired before the queue knew the call
    }

    /// <summary>Fails a request that cannot be sent at all.</summary>
    public void Refuse(OutboundCall call, RequestFailure failure, string message, Exception? cause)
    {
        List<RequestStep<PeerConnection>> steps = NewSteps();
        _queue.Refuse(call, failure, message, cause, Now, steps);
        Carry(steps);
    }

    /// <summary>The caller gave the call up.</summary>
    public void Cancel(OutboundCall call)
    {
        List<RequestStep<PeerConnection>> steps = NewSteps();
        _queue.Cancel(call, Now, steps);
        Carry(steps);
    }

    /// <summary>Fails every request and waits until nothing is under way.</summary>
    public async ValueTask CloseAsync()
    {
        _subscription.Dispose();
        _swarmCloses.Unregister();
        FailAll();
        await _timer.DisposeAsync().ConfigureAwait(false);
        await _activity.DrainAsync().ConfigureAwait(false);
    }

    void IConnectionObserver.ConnectionUp(PeerConnection connection)
    {
        List<RequestStep<PeerConnection>> steps = NewSteps();
        _queue.ConnectionUp(connection.Peer, connection, Now, steps);
        CarryElsewhere(steps);
    }

    void IConnectionObserver.ConnectionDown(PeerConnection connection, TransportException? reason)
    {
        List<RequestStep<PeerConnection>> steps = NewSteps();
        _queue.ConnectionDown(connection.Peer, connection, Now, steps);
        CarryElsewhere(steps);
    }

    void IConnectionObserver.PeerFound(PeerId peer)
    {
        List<RequestStep<PeerConnection>> steps = NewSteps();
        _queue.PeerFound(peer, Now, steps);
        CarryElsewhere(steps);
    }

    // Also when the swarm is disposed first: nothing shall wait for a next attempt that cannot come.
    private void FailAll()
    {
        List<RequestStep<PeerConnection>> steps = NewSteps();
        _queue.Close(Now, steps);
        Carry(steps);
    }

    private void OnTimer()
    {
        lock (_timerLock) Volatile.Write(ref _armed, long.MaxValue);
        List<RequestStep<PeerConnection>> steps = NewSteps();
        _queue.Tick(Now, steps);
        Carry(steps);
    }

    // Whoever reports connections must not be kept busy with sending on them.
    private void CarryElsewhere(List<RequestStep<PeerConnection>> steps)
    {
        if (steps.Count == 0)
        {
            Reuse(steps);
            Arm();
            return;
        }

        _activity.Enter();
        ThreadPool.UnsafeQueueUserWorkItem(
            static work =>
            {
                work.Client.Carry(work.Steps);
                work.Client._activity.Leave();
            },
            (Client: this, Steps: steps),
            preferLocal: false);
    }

    private void Carry(List<RequestStep<PeerConnection>> steps)
    {
        if (_carrying is { } outer && outer.Client == this)
        {
            outer.Steps.AddRange(steps);
            Reuse(steps);
            return;
        }

        var before = _carrying;
        _carrying = (this, steps);
        try
        {
            for (int i = 0; i < steps.Count; i++) CarryOut(steps[i]);
        }
        finally
        {
            _carrying = before;
        }

        Reuse(steps);
        Arm();
    }

    // Steps are carried out by the thread that got them, mostly, so one list for each thread spares one for each request.
    private static List<RequestStep<PeerConnection>> NewSteps()
    {
        List<RequestStep<PeerConnection>> steps = _spare ?? [];
        _spare = null;
        return steps;
    }

    private static void Reuse(List<RequestStep<PeerConnection>> steps)
    {
        if (steps.Capacity > MaxSpareSteps) return;
        steps.Clear();
        _spare = steps;
    }

    private void CarryOut(in RequestStep<PeerConnection> step)
    {
        switch (step.Kind)
        {
            case RequestStepKind.Connect:
                _activity.Enter();
                _ = ConnectAsync(step.Wish!); // counted; never faults
                break;
            case RequestStepKind.EndConnect:
                step.Wish!.Ended.Cancel();
                break;
            case RequestStepKind.Accepted:
                ((OutboundCall)step.Request!).Accept();
                break;
            case RequestStepKind.Send:
                ((OutboundCall)step.Request!).HoldPayload();
                ((OutboundCall)step.Request!).CountDequeued(_instruments, _protocol);
                _activity.Enter();
                _ = SendAsync(step.Flight!); // counted; never faults
                break;
            case RequestStepKind.Stop:
                step.Flight!.Stopping.Cancel();
                break;
            case RequestStepKind.Retry:
                _instruments.RequestRetried(_protocol);
                break;
            default:
                var call = (OutboundCall)step.Request!;
                CountEnd(call, step.Error);
                if (_events.IsWatched) _events.Publish(new RequestEvent.OutboundFailed(call.Peer, step.Error!.Id, step.Error));
                call.End(step.Error!);
                break;
        }
    }

    private void CountEnd(OutboundCall call, RequestException? error)
    {
        call.CountDequeued(_instruments, _protocol);
        if (_instruments.MeasuresRequests || error is not null)
            _instruments.RequestEnded(_protocol, Now - call.Begun, error?.Failure, error?.Stage ?? default);
        if (call.Activity is not { } activity) return;
        if (error is not null) TransportInstruments.Fail(activity, error);
        Activity? current = Activity.Current;
        activity.Dispose();
        Activity.Current = current; // whoever ends it has a flow of its own
    }

    private void Arm()
    {
        if (_queue.NextDue.Ticks >= Volatile.Read(ref _armed)) return;
        lock (_timerLock)
        {
            TimeSpan due = _queue.NextDue;
            if (due.Ticks >= _armed) return;
            Volatile.Write(ref _armed, due.Ticks);
            // Rounded up: a timer that fires early would find nothing to do.
            _timer.Change(TimeSpan.FromMilliseconds(Math.Ceiling(Math.Max(1, (due - Now).TotalMilliseconds))), Timeout.InfiniteTimeSpan);
        }
    }

    private async Task ConnectAsync(ConnectionWish<PeerConnection> wish)
    {
        List<RequestStep<PeerConnection>>? steps = null;
        try
        {
            var options = new DialOptions { Condition = wish.Condition, WaitsForBackoff = wish.IsPatient };
            PeerConnection connection = await _swarm.ConnectAsync(wish.Peer, options, wish.Ended.Token).ConfigureAwait(false);
            _queue.Connected(wish, connection, Now, steps = NewSteps());
        }
        catch (OperationCanceledException) when (wish.Ended.IsCancellationRequested)
        {
            // Nobody waits any more; the dial goes on if others do.
        }
        catch (Exception e)
        {
            TransportException error = e as TransportException
                ?? new TransportException(TransportError.Unknown, $"connecting {wish.Peer} failed: {e.Message}", e) { Peer = wish.Peer };
            _queue.NotConnected(wish, error, Now, steps ??= NewSteps());
        }

        if (steps is not null) Carry(steps);
        _activity.Leave();
    }

    private async Task SendAsync(RequestFlight<PeerConnection> flight)
    {
        var call = (OutboundCall)flight.Request;
        PeerStream? stream = null;
        bool isCounted = false;
        List<RequestStep<PeerConnection>>? steps = null;
        try
        {
            CancellationToken stopping = flight.Stopping.Token;
            stream = await flight.Connection.OpenStreamAsync(_protocol, stopping).ConfigureAwait(false);
            flight.Negotiated(Now);
            isCounted = _instruments.RequestGotStream(_protocol, inbound: false);
            await WriteAsync(stream, call, stopping).ConfigureAwait(false);
            flight.Stage = RequestStage.Receiving;
            await stream.Output.CompleteAsync().ConfigureAwait(false);
            if (!await call.ReceiveAsync(stream.Input, stopping).ConfigureAwait(false))
                throw new ResponseOmittedException();

            await stream.DisposeAsync().ConfigureAwait(false);
            if (_queue.Succeeded(flight, Now, steps = NewSteps()))
            {
                CountEnd(call, null);
                if (_events.IsWatched) _events.Publish(new RequestEvent.ResponseReceived(call.Peer, new OutboundRequestId(call.Id)));
                call.Complete();
            }
        }
        catch (Exception e)
        {
            stream?.Reset();
            FlightReach reach = stream is null ? FlightReach.NotBegun
                : e is TransportException { NotTaken: true } ? FlightReach.NotTaken : FlightReach.Unknown;
            (RequestFailure failure, string message, bool isPassing) = Explain(e, flight, stream?.Connection ?? flight.Connection);
            call.CountQueued(_instruments, _protocol);
            steps ??= NewSteps();
            if (!_queue.Failed(flight, failure, message, e is ResponseOmittedException ? null : e, reach, isPassing, Now, steps))
                call.CountDequeued(_instruments, _protocol);
        }

        if (isCounted) _instruments.RequestLeftStream(_protocol, inbound: false);
        call.ReleasePayload();
        Carry(steps);
        _activity.Leave();
    }

    // A peer that refuses the protocol of an optimistic stream resets it, perhaps while the request is being written; why it did stands
    // in its answer.
    private static async ValueTask WriteAsync(PeerStream stream, OutboundCall call, CancellationToken cancellationToken)
    {
        try
        {
            await MessageIo.WriteAsync(stream.Output, call.Payload, cancellationToken).ConfigureAwait(false);
        }
        catch (TransportException e) when (e.Error == TransportError.StreamReset)
        {
            try
            {
                await stream.Input.ReadAsync(cancellationToken).ConfigureAwait(false);
            }
            catch (TransportException refusal) when (refusal.Error == TransportError.UnsupportedProtocol)
            {
                throw;
            }
            catch (TransportException)
            {
                // It says no more than the first.
            }

            throw;
        }
    }

    // The connection is that of the stream: of a surplus one, new streams go to what took its place.
    private (RequestFailure Failure, string Message, bool IsPassing) Explain(
        Exception e, RequestFlight<PeerConnection> flight, PeerConnection connection)
    {
        PeerId peer = flight.Request.Peer;
        switch (e)
        {
            case MessageTooLongException:
                return (
                    RequestFailure.LimitExceeded,
                    $"the response is longer than {_options.MaxResponseSize} bytes ({nameof(RequestProtocolOptions.MaxResponseSize)})",
                    false);
            case ResponseOmittedException:
                return (RequestFailure.ResponseOmitted, $"{peer} ended the stream without a response", false);
            case TransportException { Error: TransportError.UnsupportedProtocol }:
                return (RequestFailure.UnsupportedProtocols, $"{peer} does not serve {_protocol}", false);
            case TransportException { Error: TransportError.LimitExceeded, NotTaken: false } limit:
                return (RequestFailure.LimitExceeded, limit.Message, false);
            case TransportException { Error: TransportError.Timeout } late when flight.Stage == RequestStage.Negotiating:
                return (RequestFailure.Timeout, late.Message, true);
            case TransportException { Error: TransportError.StreamReset or TransportError.ProtocolViolation } reset
                when connection.IsLive || connection.Successor is not null: // a surplus one still carries streams to their end
                return (RequestFailure.Io, reset.Message, true);
            case TransportException lost:
                return (RequestFailure.ConnectionClosed, $"the connection with {peer} was lost: {lost.Message}", true);
            case FormatException malformed:
                return (RequestFailure.Io, $"the response of {peer} cannot be decoded: {malformed.Message}", false);
            default:
                return (RequestFailure.Io, e.Message, false);
        }
    }
}

/// <summary>The peer ended the stream without a response. Never leaves the client.</summary>
internal sealed class ResponseOmittedException : Exception;
