using FastShare.Transport.Identity;

namespace FastShare.Transport.Dialing.Internal;

/// <summary>What a caller who wants a connection got.</summary>
/// <param name="Connection">An open connection, or null.</param>
/// <param name="Dial">The pending connection task joined, or null. Both null: no address is known.</param>
/// <param name="IsNew">Whether the task was made by this call: the caller has it driven.</param>
internal readonly record struct JoinResult<TConnection>(TConnection? Connection, PendingDial<TConnection>? Dial, bool IsNew)
    where TConnection : class;

/// <summary>
/// Connections and pending connection tasks of all peers: one task per peer, under one lock. Pure: no sockets, no clock; a
/// driver reports what happened and carries out the steps. Thread-safe; calls nothing foreign but <paramref name="isLive"/>.
/// </summary>
/// <remarks>
/// What follows from it: a second caller can only ever join, never be refused or dial again; a connection from the peer completes
/// the task as well as one to it; and a caller sees either an open connection or the one task, never a gap between them.
/// </remarks>
/// <param name="isLive">Whether a connection can still be used; must be quick and take no locks.</param>
internal sealed class PendingConnections<TConnection>(Func<TConnection, bool> isLive)
    where TConnection : class
{
    private readonly Lock _lock = new();
    private readonly Dictionary<PeerId, PeerRecord> _peers = []; // _lock
    private readonly HashSet<PendingDial<TConnection>> _dials = []; // _lock; pending ones, lanes included
    private bool _closed; // _lock

    private sealed class PeerRecord
    {
        /// <summary>Open connections for everybody, oldest first.</summary>
        public List<TConnection> Connections { get; } = [];

        /// <summary>Open connections for those who dialed them.</summary>
        public List<TConnection> Lanes { get; } = [];

        public PendingDial<TConnection>? Pending { get; set; }

        public int DialCount { get; set; }

        public int Count => Connections.Count + Lanes.Count;
    }

    /// <summary>The peer's oldest open connection that is not a lane; null if there is none.</summary>
    public TConnection? Find(PeerId peer)
    {
        lock (_lock) return _peers.TryGetValue(peer, out PeerRecord? record) ? record.Connections.Find(c => isLive(c)) : null;
    }

    /// <summary>The peer's open connections that are not lanes, oldest first.</summary>
    public IReadOnlyList<TConnection> ConnectionsTo(PeerId peer)
    {
        lock (_lock) return _peers.TryGetValue(peer, out PeerRecord? record) ? record.Connections.FindAll(c => isLive(c)) : [];
    }

    /// <summary>The peer's oldest open connection, else its pending task (joined), else a new task.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.Aborted"/>: closed.</exception>
    public JoinResult<TConnection> Join(PeerId peer, IReadOnlyCollection<DialCandidate> candidates, TimeSpan now, TimeSpan timeout)
    {
        lock (_lock)
        {
            ThrowIfClosed();
            PeerRecord record = RecordOf(peer);
            if (record.Connections.Find(c => isLive(c)) is { } connection) return new JoinResult<TConnection>(connection, null, false);
            if (record.Pending is { } pending)
            {
                pending.Waiters++;
                pending.Plan.Add(candidates, now);
                pending.Changed.Set();
                return new JoinResult<TConnection>(null, pending, false);
            }

            if (candidates.Count == 0)
            {
                Trim(peer, record);
                return default;
            }

            record.Pending = NewDial(peer, isLane: false, candidates, now, timeout);
            record.DialCount++;
            return new JoinResult<TConnection>(null, record.Pending, true);
        }
    }

    /// <summary>A new task for a further connection, which only its one caller will know.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.Aborted"/>: closed.</exception>
    public PendingDial<TConnection> NewLane(PeerId peer, IReadOnlyCollection<DialCandidate> candidates, TimeSpan now, TimeSpan timeout)
    {
        lock (_lock)
        {
            ThrowIfClosed();
            return NewDial(peer, isLane: true, candidates, now, timeout);
        }
    }

    /// <summary>A caller no longer waits; the last one to leave a pending task cancels it.</summary>
    public void Leave(PendingDial<TConnection> dial)
    {
        lock (_lock)
        {
            if (--dial.Waiters > 0 || dial.Outcome != DialOutcome.Pending) return;
            Settle(dial);
            dial.Fail(DialOutcome.Cancelled, Aborted(dial.Peer, "nobody waits for the connection any more"));
        }
    }

    /// <summary>Addresses that became known: they join a dial under way.</summary>
    public void Learn(PeerId peer, IReadOnlyCollection<DialCandidate> candidates, TimeSpan now)
    {
        lock (_lock)
        {
            if (!_peers.TryGetValue(peer, out PeerRecord? record) || record.Pending is not { } pending) return;
            pending.Plan.Add(candidates, now);
            pending.Changed.Set();
        }
    }

    /// <summary>The addresses of a dial so far.</summary>
    public IReadOnlyList<Multiaddr> AddressesOf(PendingDial<TConnection> dial)
    {
        lock (_lock) return [.. dial.Plan.Targets.Select(t => t.Address)];
    }

    /// <summary>The next step of a dial.</summary>
    public DialStep Next(PendingDial<TConnection> dial, TimeSpan now)
    {
        lock (_lock) return dial.Outcome == DialOutcome.Pending ? dial.Plan.Next(now) : new DialStep(DialStepKind.Settled);
    }

    /// <summary>A target's connection is up.</summary>
    public void TargetConnected(PendingDial<TConnection> dial, DialTarget target)
    {
        lock (_lock) dial.Plan.Connected(target);
        dial.Changed.Set();
    }

    /// <summary>A target failed.</summary>
    public void TargetFailed(PendingDial<TConnection> dial, DialTarget target, TransportError error, string message, TimeSpan now)
    {
        lock (_lock) dial.Plan.Failed(target, error, message, now);
        dial.Changed.Set();
    }

    /// <summary>
    /// The dial is exhausted or expired. Returns the failure its waiters get; null if it ended otherwise, or goes on because an
    /// address joined at the last moment.
    /// </summary>
    public TransportException? GiveUp(PendingDial<TConnection> dial, TimeSpan now)
    {
        lock (_lock)
        {
            if (dial.Outcome != DialOutcome.Pending) return null;
            if (now < dial.Plan.Deadline && dial.Plan.Targets.Any(t => t.State != DialTargetState.Failed)) return null;
            TransportException error = DialFailure.Create(dial.Peer, dial.Plan.Attempts());
            Settle(dial);
            dial.Fail(DialOutcome.Failed, error);
            return error;
        }
    }

    /// <summary>
    /// A connection is ready: it is listed, and completes the pending task of its peer, whoever dialed it. False if it is not
    /// wanted (its dial was cancelled, or all is closed): the caller closes it.
    /// </summary>
    /// <param name="peer">The peer.</param>
    /// <param name="connection">The connection.</param>
    /// <param name="dial">The task that made it; null for one that came in.</param>
    /// <param name="count">Connections to the peer, this one included.</param>
    public bool Establish(PeerId peer, TConnection connection, PendingDial<TConnection>? dial, out int count)
    {
        lock (_lock)
        {
            count = 0;
            if (_closed || dial?.Outcome is DialOutcome.Cancelled or DialOutcome.Failed) return false;
            PeerRecord record = RecordOf(peer);
            if (dial is { IsLane: true, Outcome: DialOutcome.Pending })
            {
                record.Lanes.Add(connection);
                Settle(dial);
                dial.Succeed(connection);
            }
            else
            {
                // A second connection of a dial that has its result is kept as well: the remote side may already use it.
                record.Connections.Add(connection);
                if (record.Pending is { } pending)
                {
                    Settle(pending);
                    pending.Succeed(connection);
                }
            }

            count = record.Count;
            return true;
        }
    }

    /// <summary>A listed connection is over. Returns how many to the peer remain.</summary>
    public int Lost(PeerId peer, TConnection connection)
    {
        lock (_lock)
        {
            if (!_peers.TryGetValue(peer, out PeerRecord? record)) return 0;
            if (!record.Connections.Remove(connection)) record.Lanes.Remove(connection);
            Trim(peer, record);
            return record.Count;
        }
    }

    /// <summary>Every listed connection.</summary>
    public IReadOnlyList<TConnection> Connections
    {
        get
        {
            lock (_lock) return [.. _peers.Values.SelectMany(r => r.Connections.Concat(r.Lanes))];
        }
    }

    /// <summary>Pending tasks made for a peer so far, lanes not counted.</summary>
    public int DialCount(PeerId peer)
    {
        lock (_lock) return _peers.TryGetValue(peer, out PeerRecord? record) ? record.DialCount : 0;
    }

    /// <summary>Callers that wait for the peer's pending task.</summary>
    public int WaiterCount(PeerId peer)
    {
        lock (_lock) return _peers.TryGetValue(peer, out PeerRecord? record) ? record.Pending?.Waiters ?? 0 : 0;
    }

    /// <summary>Cancels all pending tasks; from now on nothing can be joined or listed.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _closed = true;
            foreach (PendingDial<TConnection> dial in _dials.ToArray())
            {
                Settle(dial);
                dial.Fail(DialOutcome.Cancelled, Aborted(dial.Peer, "this node is closing"));
            }
        }
    }

    private static TransportException Aborted(PeerId peer, string why) =>
        new(TransportError.Aborted, $"the dial to {peer} was given up: {why}") { Peer = peer };

    private PendingDial<TConnection> NewDial(
        PeerId peer, bool isLane, IReadOnlyCollection<DialCandidate> candidates, TimeSpan now, TimeSpan timeout)
    {
        var plan = new DialPlan(now, timeout);
        plan.Add(candidates, now);
        var dial = new PendingDial<TConnection>(peer, isLane, plan);
        _dials.Add(dial);
        return dial;
    }

    private void Settle(PendingDial<TConnection> dial)
    {
        _dials.Remove(dial);
        if (_peers.TryGetValue(dial.Peer, out PeerRecord? record) && record.Pending == dial) record.Pending = null;
    }

    private PeerRecord RecordOf(PeerId peer)
    {
        if (!_peers.TryGetValue(peer, out PeerRecord? record)) _peers[peer] = record = new PeerRecord();
        return record;
    }

    // Peers that only ever came in leave nothing behind; the count of dials is kept for those this node chose to dial.
    private void Trim(PeerId peer, PeerRecord record)
    {
        if (record is { Count: 0, Pending: null, DialCount: 0 }) _peers.Remove(peer);
    }

    private void ThrowIfClosed()
    {
        if (_closed) throw new TransportException(TransportError.Aborted, "this node is closed: it dials no more");
    }
}
