using System.Net;
using System.Net.Sockets;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Dialing.Internal;

/// <summary>
/// Decides, before anything is read from it, whether a connection that came in may stay: bounds on all, on those that still
/// negotiate, and on those of one source. Thread-safe.
/// </summary>
/// <remarks>
/// When too many negotiate, a newcomer waits for a place, and the one that has negotiated longest loses its own after
/// <see cref="Grace"/>: honest negotiations take a few round trips, held-open ones take until their deadline. So a burst of honest
/// peers is served in turn, and held-open connections hold up others only briefly. Loopback and in-process sources count in the
/// totals only. How many may be open is for <see cref="ConnectionLimits"/> to say.
/// </remarks>
/// <param name="maxPending">Connections that may negotiate at a time.</param>
/// <param name="maxPerSource">Connections that may come from one source.</param>
/// <param name="isFull">Whether no further connection could be kept; called under a lock, so it must be quick.</param>
/// <param name="time">The clock.</param>
internal sealed class InboundAdmission(int maxPending, int maxPerSource, Func<bool> isFull, TimeProvider time)
{
    /// <summary>How long a negotiation is safe from being ended for a newcomer: several round trips of 50 ms.</summary>
    public static readonly TimeSpan Grace = TimeSpan.FromMilliseconds(250);

    private readonly TimeProvider _time = time;
    private readonly Lock _lock = new();
    private readonly Dictionary<UInt128, int> _perSource = []; // _lock
    private readonly LinkedList<Ticket> _pending = []; // _lock; oldest first
    private int _total; // _lock
    private TaskCompletionSource _room = new(TaskCreationOptions.RunContinuationsAsynchronously); // _lock

    /// <summary>A place for one connection; <see cref="Dispose"/> frees it.</summary>
    public sealed class Ticket : IDisposable
    {
        private readonly InboundAdmission _owner;
        private readonly CancellationTokenSource _evicted = new();
        private int _freed; // interlocked

        internal Ticket(InboundAdmission owner, UInt128? source)
        {
            _owner = owner;
            Source = source;
            EnteredAt = owner._time.GetTimestamp();
            Node = new LinkedListNode<Ticket>(this);
        }

        /// <summary>Fires when the place is needed for a newcomer while this connection still negotiates.</summary>
        public CancellationToken Evicted => _evicted.Token;

        internal UInt128? Source { get; }

        internal long EnteredAt { get; }

        internal LinkedListNode<Ticket> Node { get; }

        /// <summary>The negotiation is over, and went well. False if the place was already taken away.</summary>
        public bool Promote()
        {
            lock (_owner._lock)
            {
                if (Node.List is null) return false;
                _owner._pending.Remove(Node);
                _owner.MakeRoom();
                return true;
            }
        }

        /// <summary>The connection is over. Idempotent.</summary>
        public void Dispose()
        {
            if (Interlocked.Exchange(ref _freed, 1) != 0) return;
            _owner.Free(this);
        }

        // The source is not disposed: it holds no timer, and an upgrade may still be linked to it.
        internal void Evict() => _evicted.Cancel();
    }

    /// <summary>Connections that hold a place.</summary>
    public int Total
    {
        get
        {
            lock (_lock) return _total;
        }
    }

    /// <summary>Completes when a place may have become free after this was read.</summary>
    public Task Room
    {
        get
        {
            lock (_lock) return _room.Task;
        }
    }

    /// <summary>
    /// A place for a connection from <paramref name="remote"/>. Null: it must be closed at once, or, with
    /// <paramref name="retryIn"/>, asked for again after <see cref="Room"/> or that time.
    /// </summary>
    public Ticket? TryEnter(Multiaddr remote, out TimeSpan? retryIn)
    {
        retryIn = null;
        UInt128? source = SourceOf(remote);
        Ticket? ticket, victim = null;
        lock (_lock)
        {
            int ofSource = source is { } key ? _perSource.GetValueOrDefault(key) : 0;
            if (ofSource >= maxPerSource) return null;
            if (isFull()) return null;
            if (_pending.Count >= maxPending)
            {
                victim = _pending.First!.Value;
                TimeSpan age = _time.GetElapsedTime(victim.EnteredAt);
                if (age < Grace)
                {
                    retryIn = Grace - age;
                    return null;
                }

                _pending.RemoveFirst();
            }

            ticket = new Ticket(this, source);
            _pending.AddLast(ticket.Node);
            _total++;
            if (source is { } entered) _perSource[entered] = ofSource + 1;
        }

        victim?.Evict();
        return ticket;
    }

    private void MakeRoom()
    {
        _room.TrySetResult();
        _room = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    private void Free(Ticket ticket)
    {
        lock (_lock)
        {
            MakeRoom();
            if (ticket.Node.List is not null) _pending.Remove(ticket.Node);
            _total--;
            if (ticket.Source is not { } source) return;
            int left = _perSource[source] - 1;
            if (left == 0) _perSource.Remove(source);
            else _perSource[source] = left;
        }
    }

    // An IPv6 customer usually has a /56 or more to take addresses from (go-libp2p counts the same way).
    private static UInt128? SourceOf(Multiaddr remote)
    {
        if (!remote.TryGetTcpEndPoint(out IPEndPoint? endpoint) || IPAddress.IsLoopback(endpoint.Address)) return null;
        byte[] bytes = endpoint.Address.GetAddressBytes();
        if (endpoint.AddressFamily == AddressFamily.InterNetworkV6) bytes.AsSpan(7).Clear();
        UInt128 key = (UInt128)bytes.Length;
        foreach (byte b in bytes.AsSpan(0, Math.Min(bytes.Length, 8))) key = (key << 8) | b;
        return key;
    }
}
