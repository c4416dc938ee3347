using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Requests.Internal;

// What belongs to one peer, and how requests get onto its connections. All of it with the lock held.
internal sealed partial class RequestQueue<TConnection>
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(1);

    /// <summary>The requests, connections and wish of one peer.</summary>
    private sealed class PeerQueue(PeerId peer)
    {
        private readonly List<ConnectionSlot<TConnection>> _slots = [];
        private TimeSpan _dialed; // with earlier wishes
        private TimeSpan _wishedAt;
        private int _turn; // where the search for the next connection begins
        private int _lost; // connections in a row

        public PeerId Peer { get; } = peer;

        /// <summary>Calls without room.</summary>
        public IndexedHeap<QueuedRequest<TConnection>, QueuedRequest<TConnection>.ByNumber> Waiting { get; } = new();

        /// <summary>Ready for a connection.</summary>
        public IndexedHeap<QueuedRequest<TConnection>, QueuedRequest<TConnection>.ByNumber> Queued { get; } = new();

        /// <summary>To be tried again.</summary>
        public IndexedHeap<QueuedRequest<TConnection>, QueuedRequest<TConnection>.ByNumber> BackingOff { get; } = new();

        public ConnectionWish<TConnection>? Wish { get; private set; }

        /// <summary>Requests that the limits count: queued and backing off.</summary>
        public int HeldCount => Queued.Count + BackingOff.Count;

        public long HeldBytes { get; set; }

        public int ConnectionCount => _slots.Count;

        /// <summary>Attempts whose end has not been reported.</summary>
        public int InFlight { get; set; }

        public bool IsEmpty =>
            _slots.Count == 0 && Wish is null && InFlight == 0 && HeldCount == 0 && Waiting.Count == 0;

        /// <summary>The time with a wish, so far.</summary>
        public TimeSpan DialingTime(TimeSpan now) => Wish is null ? _dialed : _dialed + (now - _wishedAt);

        public void BeginWish(ConnectionWish<TConnection> wish, TimeSpan now)
        {
            Wish = wish;
            _wishedAt = now;
        }

        public void EndWish(TimeSpan now)
        {
            _dialed = DialingTime(now);
            Wish = null;
        }

        /// <summary>Lists a connection; false if it was found dead before.</summary>
        public bool Add(TConnection connection)
        {
            if (_slots.Find(s => s.Connection == connection) is { } known) return !known.IsDead;
            _slots.Add(new ConnectionSlot<TConnection>(connection));
            return true;
        }

        /// <summary>When a connection may be wished for: there is a pause after lost ones.</summary>
        public TimeSpan PauseEnd { get; private set; }

        /// <summary>
        /// A connection was lost with requests on it, or before any got there. From the second in a row on there is a pause before the next:
        /// a peer, or a policy, that ends each at once is not dialed as fast as that goes.
        /// </summary>
        public void Lose(TimeSpan now, double random)
        {
            if (++_lost > 1) PauseEnd = now + DoublingPause.Bound(FirstPause, LongestPause, _lost - 2) * (0.5 + random / 2);
        }

        /// <summary>A connection brought a response.</summary>
        public void Serve() => (_lost, PauseEnd) = (0, default);

        /// <summary>There is news of the peer: the next connection may be wished for at once.</summary>
        public void EndPause() => PauseEnd = default;

        public void Remove(TConnection connection) => _slots.RemoveAll(s => s.Connection == connection);

        public void RemoveAll() => _slots.Clear();

        /// <summary>Whether any connection takes new streams, now or when it has room.</summary>
        public bool IsConnected(Func<TConnection, bool> isLive)
        {
            foreach (ConnectionSlot<TConnection> slot in _slots)
            {
                if (!slot.IsDead && isLive(slot.Connection)) return true;
            }

            return false;
        }

        /// <summary>The connection with the least in flight; those that are level take turns. Null: none has room.</summary>
        public ConnectionSlot<TConnection>? Pick(int limit, Func<TConnection, bool> isLive)
        {
            int best = -1;
            for (int i = 0; i < _slots.Count; i++)
            {
                int index = (_turn + i) % _slots.Count;
                ConnectionSlot<TConnection> slot = _slots[index];
                if (slot.InFlight >= limit || slot.IsDead || !isLive(slot.Connection)) continue;
                if (best < 0 || slot.InFlight < _slots[best].InFlight) best = index;
            }

            if (best < 0) return null;
            _turn = best + 1;
            return _slots[best];
        }

        /// <summary>Empties the queue, in the order of the calls.</summary>
        public QueuedRequest<TConnection>[] TakeQueued() => Take(Queued);

        public static QueuedRequest<TConnection>[] Take(
            IndexedHeap<QueuedRequest<TConnection>, QueuedRequest<TConnection>.ByNumber> heap)
        {
            var taken = new QueuedRequest<TConnection>[heap.Count];
            for (int i = 0; i < taken.Length; i++)
            {
                taken[i] = heap.First!;
                heap.Remove(taken[i]);
            }

            return taken;
        }
    }

    private PeerQueue QueueOf(PeerId peer)
    {
        if (!_peers.TryGetValue(peer, out PeerQueue? queue)) _peers[peer] = queue = new PeerQueue(peer);
        return queue;
    }

    private void Trim(PeerQueue queue)
    {
        if (queue.IsEmpty) _peers.Remove(queue.Peer);
    }

    private bool HasRoom(PeerQueue queue, QueuedRequest<TConnection> request) => queue.HeldCount == 0
        || queue.HeldCount < options.MaxQueuedRequests && queue.HeldBytes + request.Size <= options.MaxQueuedBytes;

    private string DescribeFull(PeerQueue queue) => queue.HeldCount >= options.MaxQueuedRequests
        ? $"{queue.HeldCount} requests are queued for {queue.Peer} ({nameof(RequestProtocolOptions.MaxQueuedRequests)})"
        : $"{queue.HeldBytes} bytes of requests are queued for {queue.Peer} ({nameof(RequestProtocolOptions.MaxQueuedBytes)})";

    // A request that had no place among those the limits count gets one.
    private void Enqueue(PeerQueue queue, QueuedRequest<TConnection> request, TimeSpan now)
    {
        queue.HeldBytes += request.Size;
        Requeue(queue, request, now);
    }

    // A request that has a place comes to the queue; its number puts it before all later calls.
    private void Requeue(PeerQueue queue, QueuedRequest<TConnection> request, TimeSpan now)
    {
        request.State = RequestState.Queued;
        request.Since = now;
        request.DialingMark = queue.DialingTime(now);
        request.Due = request.Deadline;
        _dues.Update(request);
        queue.Queued.Add(request);
    }

    private void Wake(PeerQueue queue, TimeSpan now)
    {
        foreach (QueuedRequest<TConnection> request in PeerQueue.Take(queue.BackingOff))
        {
            CloseState(request, queue, now);
            Requeue(queue, request, now);
        }
    }

    /// <summary>
    /// Puts queued requests onto connections, lets in those that wait for room, and has a wish stand exactly as long as there are
    /// queued requests and no connection.
    /// </summary>
    private void Advance(PeerQueue queue, TimeSpan now, List<RequestStep<TConnection>> steps)
    {
        while (true)
        {
            while (queue.Waiting.First is { } next && HasRoom(queue, next))
            {
                queue.Waiting.Remove(next);
                CloseState(next, queue, now);
                Enqueue(queue, next, now);
                steps.Add(new RequestStep<TConnection>(RequestStepKind.Accepted, next));
            }

            if (queue.Queued.First is not { } first || queue.Pick(options.MaxConcurrentStreams, isLive) is not { } slot) break;
            Send(queue, first, slot, now, steps);
        }

        bool wanted = queue.Queued.Count > 0 && !queue.IsConnected(isLive);
        if (wanted && queue.Wish is null)
        {
            if (now < queue.PauseEnd) Pause(queue, now);
            else BeginWish(queue, now, steps);
        }
        else if (!wanted && queue.Wish is { } ended)
        {
            queue.EndWish(now);
            steps.Add(new RequestStep<TConnection>(RequestStepKind.EndConnect, Wish: ended));
        }

        Trim(queue);
    }

    // What is queued waits until the peer may be dialed again, or is connected by somebody else.
    private void Pause(PeerQueue queue, TimeSpan now)
    {
        foreach (QueuedRequest<TConnection> request in queue.TakeQueued())
        {
            CloseState(request, queue, now);
            BackOff(queue, request, queue.PauseEnd - now, now);
        }
    }

    private static void BeginWish(PeerQueue queue, TimeSpan now, List<RequestStep<TConnection>> steps)
    {
        bool isPatient = true;
        foreach (QueuedRequest<TConnection> request in queue.Queued.Items) isPatient &= request.Attempts > 0;
        var wish = new ConnectionWish<TConnection>(queue.Peer, queue.Queued.First!.Condition, isPatient);
        queue.BeginWish(wish, now);
        steps.Add(new RequestStep<TConnection>(RequestStepKind.Connect, Wish: wish));
    }

    // A first attempt is not made to wait for the peer's pause, and takes the others with it.
    private static void Hurry(PeerQueue queue, TimeSpan now, List<RequestStep<TConnection>> steps)
    {
        if (queue.Wish is not { IsPatient: true } patient) return;
        queue.EndWish(now);
        BeginWish(queue, now, steps);
        steps.Add(new RequestStep<TConnection>(RequestStepKind.EndConnect, Wish: patient));
    }

    private void Send(
        PeerQueue queue, QueuedRequest<TConnection> request, ConnectionSlot<TConnection> slot, TimeSpan now,
        List<RequestStep<TConnection>> steps)
    {
        queue.Queued.Remove(request);
        CloseState(request, queue, now);
        queue.HeldBytes -= request.Size;
        slot.InFlight++;
        queue.InFlight++;
        request.State = RequestState.InFlight;
        request.Since = now;
        request.Flight = new RequestFlight<TConnection>(request, slot, now);
        steps.Add(new RequestStep<TConnection>(RequestStepKind.Send, request, request.Flight));
    }

    private PeerQueue EndFlight(RequestFlight<TConnection> flight)
    {
        PeerQueue queue = QueueOf(flight.Request.Peer);
        if (flight.IsOver) return queue;
        flight.IsOver = true;
        flight.Slot.InFlight--;
        queue.InFlight--;
        return queue;
    }
}
