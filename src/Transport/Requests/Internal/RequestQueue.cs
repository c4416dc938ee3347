using FastShare.Transport.Identity;

namespace FastShare.Transport.Requests.Internal;

/// <summary>
/// The requests of one protocol, from the call to the result, whatever happens to connections and dials meanwhile. Pure: no streams,
/// no clock; time is passed in, and steps to carry out are handed back. Thread-safe under one lock; calls nothing foreign but
/// <paramref name="isLive"/> and <paramref name="random"/>.
/// </summary>
/// <remarks>
/// <para>A request is queued, then sent on a connection, then over; or in between it waits to be tried again. For a peer there is
/// nothing, a wish for a connection, or a connection: queued requests go out on the peer's connections, and only while there is none
/// a wish stands, one for all of them.</para>
/// <para>What follows from it: no request can be lost between a dial and a connection, for both only ever end a wish; a dial's
/// failure concerns the requests that are queued for it, and none that has a connection; each request ends exactly once.</para>
/// </remarks>
/// <param name="options">Limits.</param>
/// <param name="isLive">Whether a connection takes new streams; must be quick and take no locks.</param>
/// <param name="random">From 0 to below 1; spreads retries.</param>
internal sealed partial class RequestQueue<TConnection>(
    RequestProtocolOptions options, Func<TConnection, bool> isLive, Func<double> random)
    where TConnection : class
{
    private readonly Lock _lock = new();
    private readonly Dictionary<PeerId, PeerQueue> _peers = []; // _lock
    private readonly Dictionary<long, QueuedRequest<TConnection>> _pending = []; // _lock
    private readonly IndexedHeap<QueuedRequest<TConnection>, QueuedRequest<TConnection>.ByDue> _dues = new(); // _lock
    private long _lastId; // _lock
    private bool _closed; // _lock
    private long _nextDue = long.MaxValue; // ticks; written under _lock, read without

    /// <summary>When <see cref="Tick"/> is due; <see cref="TimeSpan.MaxValue"/> if never. May be earlier than needed. Takes no lock.</summary>
    public TimeSpan NextDue => TimeSpan.FromTicks(Volatile.Read(ref _nextDue));

    /// <summary>Requests that are not over.</summary>
    public int PendingCount
    {
        get
        {
            lock (_lock) return _pending.Count;
        }
    }

    /// <summary>Peers of which anything is known: 0 when nothing is left.</summary>
    public int PeerCount
    {
        get
        {
            lock (_lock) return _peers.Count;
        }
    }

    /// <summary>Whether a request is not over.</summary>
    public bool IsPending(long id)
    {
        lock (_lock) return _pending.ContainsKey(id);
    }

    /// <summary>Requests that wait for a peer's connection, a stream or their next attempt, those without room included.</summary>
    public int QueuedCount(PeerId peer)
    {
        lock (_lock) return _peers.TryGetValue(peer, out PeerQueue? queue) ? queue.HeldCount + queue.Waiting.Count : 0;
    }

    /// <summary>Connections to the peer that requests may go out on, as far as the queue has heard.</summary>
    public int ConnectionCount(PeerId peer)
    {
        lock (_lock) return _peers.TryGetValue(peer, out PeerQueue? queue) ? queue.ConnectionCount : 0;
    }

    /// <summary>Numbers a request and takes it, puts it to wait for room, or fails it.</summary>
    public void Begin(QueuedRequest<TConnection> request, TimeSpan now, List<RequestStep<TConnection>> steps)
    {
        lock (_lock)
        {
            request.Id = ++_lastId;
            request.Begun = request.Since = now;
            request.Deadline = request.Due = now + request.Timeout;
            _pending.Add(request.Id, request);
            if (_closed)
            {
                Fail(request, RequestFailure.Aborted, "this node sends no more requests: it is closing", null, now, steps);
                Trim(QueueOf(request.Peer));
                return;
            }

            PeerQueue queue = QueueOf(request.Peer);
            _dues.Add(request);
            if (queue.Waiting.Count == 0 && HasRoom(queue, request))
            {
                Enqueue(queue, request, now);
                Hurry(queue, now, steps);
                Advance(queue, now, steps);
                steps.Add(new RequestStep<TConnection>(RequestStepKind.Accepted, request));
            }
            else if (options.WhenFull == QueueFullMode.Wait)
            {
                request.State = RequestState.Waiting;
                queue.Waiting.Add(request);
            }
            else
            {
                Fail(request, RequestFailure.QueueFull, DescribeFull(queue), null, now, steps);
                Trim(queue);
            }

            NoteDue();
        }
    }

    /// <summary>Numbers a request that cannot be sent at all, and fails it.</summary>
    public void Refuse(
        QueuedRequest<TConnection> request, RequestFailure failure, string message, Exception? cause, TimeSpan now,
        List<RequestStep<TConnection>> steps)
    {
        lock (_lock)
        {
            request.Id = ++_lastId;
            request.Begun = request.Since = request.Deadline = now;
            Fail(request, failure, message, cause, now, steps);
            Trim(QueueOf(request.Peer));
        }
    }

    /// <summary>The caller gave the request up.</summary>
    public void Cancel(QueuedRequest<TConnection> request, TimeSpan now, List<RequestStep<TConnection>> steps)
    {
        lock (_lock)
        {
            // A token that fires during Begin finds it unnumbered: the driver cancels again after Begin.
            if (request.State is RequestState.Done || request.Id == 0) return;
            Fail(request, RequestFailure.Cancelled, "the caller cancelled", null, now, steps);
            Advance(QueueOf(request.Peer), now, steps);
            NoteDue();
        }
    }

    /// <summary>A connection may be used from now on, whoever made it.</summary>
    public void ConnectionUp(PeerId peer, TConnection connection, TimeSpan now, List<RequestStep<TConnection>> steps)
    {
        lock (_lock)
        {
            if (_closed) return;
            PeerQueue queue = QueueOf(peer);
            // Told late it may be over, and its end may have been told already.
            if (isLive(connection) && queue.Add(connection)) Wake(queue, now);
            Advance(queue, now, steps);
            NoteDue();
        }
    }

    /// <summary>A connection is over. Flights on it end by themselves.</summary>
    public void ConnectionDown(PeerId peer, TConnection connection, TimeSpan now, List<RequestStep<TConnection>> steps)
    {
        lock (_lock)
        {
            if (!_peers.TryGetValue(peer, out PeerQueue? queue)) return;
            queue.Remove(connection);
            Advance(queue, now, steps);
            NoteDue();
        }
    }

    /// <summary>There is news of a peer: whatever waits to be tried again is tried now.</summary>
    public void PeerFound(PeerId peer, TimeSpan now, List<RequestStep<TConnection>> steps)
    {
        lock (_lock)
        {
            if (!_peers.TryGetValue(peer, out PeerQueue? queue)) return;
            queue.EndPause();
            Wake(queue, now);
            Advance(queue, now, steps);
            NoteDue();
        }
    }

    /// <summary>The wait for a connection ended with one. Nothing happens if the wish no longer stands.</summary>
    public void Connected(ConnectionWish<TConnection> wish, TConnection connection, TimeSpan now, List<RequestStep<TConnection>> steps)
    {
        lock (_lock)
        {
            if (!_peers.TryGetValue(wish.Peer, out PeerQueue? queue) || queue.Wish != wish) return;
            queue.EndWish(now);
            if (isLive(connection) && queue.Add(connection))
            {
                Wake(queue, now);
            }
            else
            {
                // It is over already. The requests go on to the next one, with a pause if that happens again and again.
                queue.Lose(now, random());
                foreach (QueuedRequest<TConnection> request in queue.TakeQueued()) Detour(queue, request, now, steps);
            }

            Advance(queue, now, steps);
            NoteDue();
        }
    }

    /// <summary>
    /// The wait for a connection failed: so do the requests queued for it, or they wait for their next attempt. Nothing happens if the
    /// wish no longer stands: then there is a connection, or nobody to fail.
    /// </summary>
    public void NotConnected(
        ConnectionWish<TConnection> wish, TransportException error, TimeSpan now, List<RequestStep<TConnection>> steps)
    {
        lock (_lock)
        {
            if (!_peers.TryGetValue(wish.Peer, out PeerQueue? queue) || queue.Wish != wish) return;
            // The requests leave the queue while the wish still stands, so that their time counts as dialing.
            foreach (QueuedRequest<TConnection> request in queue.TakeQueued())
            {
                CloseState(request, queue, now);
                if (error.Error is TransportError.Aborted)
                    Fail(request, RequestFailure.Aborted, error.Message, error, now, steps, RequestStage.Dialing);
                else
                    FailAttempt(queue, request, DialFailed(request, error), mayRetry: error.Error != TransportError.InvalidOperation, now, steps);
            }

            queue.EndWish(now);
            Advance(queue, now, steps);
            NoteDue();
        }
    }

    /// <summary>An attempt brought a response. True: it is the request's result, which the driver gives to the caller.</summary>
    public bool Succeeded(RequestFlight<TConnection> flight, TimeSpan now, List<RequestStep<TConnection>> steps)
    {
        lock (_lock)
        {
            PeerQueue queue = EndFlight(flight);
            queue.Serve();
            QueuedRequest<TConnection> request = flight.Request;
            bool isResult = request.Flight == flight && request.State == RequestState.InFlight;
            if (isResult)
            {
                CloseState(request, queue, now);
                Finish(request);
            }

            Advance(queue, now, steps);
            NoteDue();
            return isResult;
        }
    }

    /// <summary>An attempt failed, or was broken off.</summary>
    /// <param name="flight">The attempt.</param>
    /// <param name="failure">The kind.</param>
    /// <param name="message">The failure in words.</param>
    /// <param name="cause">What it came from.</param>
    /// <param name="reach">How far it had come.</param>
    /// <param name="isPassing">Whether another attempt may fare better.</param>
    /// <param name="now">The time.</param>
    /// <param name="steps">Gets the steps.</param>
    /// <returns>Whether the request goes on: it is queued again, or waits for its next attempt.</returns>
    public bool Failed(
        RequestFlight<TConnection> flight, RequestFailure failure, string message, Exception? cause, FlightReach reach, bool isPassing,
        TimeSpan now, List<RequestStep<TConnection>> steps)
    {
        lock (_lock)
        {
            PeerQueue queue = EndFlight(flight);
            QueuedRequest<TConnection> request = flight.Request;
            if (request.Flight == flight && request.State == RequestState.InFlight)
            {
                CloseState(request, queue, now);
                bool isLost = failure == RequestFailure.ConnectionClosed;
                if (isLost && !flight.Slot.IsDead)
                {
                    flight.Slot.IsDead = true;
                    queue.Lose(now, random());
                }

                if (isLost && reach != FlightReach.Unknown)
                {
                    Detour(queue, request, now, steps);
                }
                else
                {
                    bool mayRetry = (reach != FlightReach.Unknown || request.IsIdempotent) && isPassing;
                    FailAttempt(queue, request, Error(request, failure, message, cause, flight.Stage), mayRetry, now, steps);
                }
            }

            Advance(queue, now, steps);
            bool goesOn = request.State != RequestState.Done;
            NoteDue();
            return goesOn;
        }
    }

    /// <summary>Does what is due: deadlines and next attempts.</summary>
    public void Tick(TimeSpan now, List<RequestStep<TConnection>> steps)
    {
        lock (_lock)
        {
            while (_dues.First is { } request && request.Due <= now)
            {
                PeerQueue queue = QueueOf(request.Peer);
                if (request.State == RequestState.BackingOff && now < LastAttempt(request))
                {
                    queue.BackingOff.Remove(request);
                    CloseState(request, queue, now);
                    Requeue(queue, request, now);
                }
                else if (request.State == RequestState.BackingOff && request.LastFailure is not null)
                {
                    // There is no time for another attempt: the last one's failure says more than "too late".
                    FailFinally(request, now, steps);
                }
                else
                {
                    TimeOut(queue, request, now, steps);
                }

                Advance(queue, now, steps);
            }

            NoteDue();
        }
    }

    /// <summary>Fails everything; from now on every request fails at once. Flights report their ends even so.</summary>
    public void Close(TimeSpan now, List<RequestStep<TConnection>> steps)
    {
        lock (_lock)
        {
            _closed = true;
            foreach (QueuedRequest<TConnection> request in _pending.Values.OrderBy(r => r.Id).ToArray())
                Fail(request, RequestFailure.Aborted, "this node is closing", null, now, steps);
            foreach (PeerQueue queue in _peers.Values.ToArray())
            {
                queue.RemoveAll();
                Advance(queue, now, steps);
            }

            NoteDue();
        }
    }

    private void NoteDue() => Volatile.Write(ref _nextDue, _dues.First?.Due.Ticks ?? long.MaxValue);
}
