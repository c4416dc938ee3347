using FastShare.Transport.Identity;

namespace FastShare.Transport.Dialing.Internal;

/// <summary>
/// Connections and dials of all peers, under one lock. Pure: no sockets, no clock, no chance; a driver reports what happened and
/// carries out the steps. Thread-safe; calls nothing foreign but <paramref name="isLive"/>.
/// </summary>
/// <remarks>
/// <para>What follows from it: a second caller can only ever join, never be refused; a connection from the peer serves those who wait
/// as well as one to it; and a caller sees either an open connection or a dial, never a gap between them.</para>
/// <para>A dial begins with its first waiter and ends when nobody waits for it. One that fails hands its waiters to another dial to
/// the same peer that is under way, if there is one; they fail only with the last.</para>
/// </remarks>
/// <param name="isLive">Whether a connection can still be used; must be quick and take no locks.</param>
/// <param name="limits">Bounds on connections and dials; null: none.</param>
/// <param name="backoff">How long patient callers leave a peer alone; null: not at all.</param>
/// <param name="markAskedFor">
/// Told of a connection that somebody asked for beside others, before anybody can find it in the table; as quick as <paramref name="isLive"/>.
/// </param>
internal sealed class PendingConnections<TConnection>(
    Func<TConnection, bool> isLive, ConnectionLimits? limits = null, RedialBackoff? backoff = null, Action<TConnection>? markAskedFor = null)
    where TConnection : class
{
    /// <summary>No time of its own: a report wakes the driver.</summary>
    private static readonly TimeSpan Never = TimeSpan.MaxValue;

    private readonly ConnectionLimits _limits = limits ?? new ConnectionLimits();
    private readonly Lock _lock = new();
    private readonly Dictionary<PeerId, PeerConnections<TConnection>> _peers = []; // _lock
    private readonly HashSet<PendingDial<TConnection>> _dials = []; // _lock; pending ones, lanes included
    private readonly DialLine<TConnection> _line = new(limits ?? new ConnectionLimits()); // _lock
    private int _inbound; // _lock; listed connections
    private int _outbound; // _lock
    private bool _closed; // _lock

    /// <summary>The peer's oldest open connection that is not a lane; null if there is none.</summary>
    public TConnection? Find(PeerId peer)
    {
        lock (_lock) return _peers.TryGetValue(peer, out PeerConnections<TConnection>? entry) ? entry.Oldest(isLive) : null;
    }

    /// <summary>The peer's open connections that are not lanes, oldest first.</summary>
    public IReadOnlyList<TConnection> ConnectionsTo(PeerId peer)
    {
        lock (_lock)
        {
            if (!_peers.TryGetValue(peer, out PeerConnections<TConnection>? entry)) return [];
            return [.. entry.Connections.Where(c => !c.IsLane && isLive(c.Connection)).Select(c => c.Connection)];
        }
    }

    /// <summary>What the caller's condition gives: an open connection, a place at a dial under way, or a new dial.</summary>
    /// <param name="peer">The peer.</param>
    /// <param name="request">What the caller asks for.</param>
    /// <param name="now">The time.</param>
    /// <param name="mayStart">Whether a new dial may be made; if it would be needed, the answer says so and nothing changes.</param>
    /// <exception cref="TransportException"><see cref="TransportError.Aborted"/>: closed; <see cref="TransportError.LimitExceeded"/>:
    /// a new dial's connection would be one too many.</exception>
    public JoinResult<TConnection> Join(PeerId peer, in DialRequest request, TimeSpan now, bool mayStart = true)
    {
        lock (_lock)
        {
            ThrowIfClosed();
            PeerConnections<TConnection>? entry = _peers.GetValueOrDefault(peer);
            TConnection? open = entry?.Oldest(isLive);
            PendingDial<TConnection>? dial = entry?.Joinable(now);
            if (!IsMet(request.Condition, open is not null, dial is not null))
            {
                return open is not null ? new JoinResult<TConnection>(JoinKind.Open, open) : Enter(dial!, takesAny: true, request, now);
            }

            // A further connection, or a dial whose own connection was asked for.
            bool takesAny = open is null && request.Condition != DialCondition.Always;
            // A dial that is held back goes at once for this caller, a second one behind one in line would gain nothing, and a patient
            // caller is in no hurry.
            bool joins = request.IsPatient || dial?.Stage == DialStage.Held
                || (dial?.Place is not null && request.Condition != DialCondition.Always);
            if (dial is not null && joins) return Enter(dial, takesAny, request, now);
            if (!mayStart) return new JoinResult<TConnection>(JoinKind.NeedsDial);
            if (request.Candidates.Count == 0)
                return dial is null ? default : Enter(dial, takesAny, request, now);

            entry = EntryOf(peer);
            if (Refuse(peer, isInbound: false, entry) is { } refusal)
            {
                Trim(peer, entry);
                throw refusal;
            }

            dial = NewDial(peer, isLane: false, request.Candidates, now, request.Timeout);
            entry.Dials.Add(dial);
            if (request.IsPatient && backoff?.Find(peer, now) is { } pause)
            {
                dial.Stage = DialStage.Held;
                dial.HeldUntil = pause.Until;
            }

            return Enter(dial, takesAny, request, now) with { Kind = JoinKind.Started };
        }
    }

    /// <summary>A new dial for a further connection, which only its one caller will know.</summary>
    /// <exception cref="TransportException">As <see cref="Join"/>.</exception>
    public JoinResult<TConnection> NewLane(PeerId peer, IReadOnlyCollection<DialCandidate> candidates, TimeSpan now, TimeSpan timeout)
    {
        lock (_lock)
        {
            ThrowIfClosed();
            if (candidates.Count == 0) return default;
            if (Refuse(peer, isInbound: false, _peers.GetValueOrDefault(peer)) is { } refusal) throw refusal;
            PendingDial<TConnection> dial = NewDial(peer, isLane: true, candidates, now, timeout);
            var waiter = new DialWaiter<TConnection>(takesAny: false);
            dial.Add(waiter);
            return new JoinResult<TConnection>(JoinKind.Started, Waiter: waiter, Dial: dial);
        }
    }

    /// <summary>A caller no longer waits; the last one to leave a dial cancels it. Nothing happens to one that has its result.</summary>
    public void Leave(DialWaiter<TConnection> waiter)
    {
        lock (_lock)
        {
            if (waiter.Dial is not { } dial) return;
            waiter.Dial = null;
            dial.Waiters.Remove(waiter);
            if (dial.Waiters.Count == 0) Cancel(dial, "nobody waits for the connection any more");
        }
    }

    /// <summary>Addresses that became known: they join the dials under way.</summary>
    /// <param name="peer">Whose they are.</param>
    /// <param name="candidates">The addresses.</param>
    /// <param name="isNews">Whether they say that the peer is there now: then patient callers are patient no longer.</param>
    /// <param name="now">The time.</param>
    public void Learn(PeerId peer, IReadOnlyCollection<DialCandidate> candidates, bool isNews, TimeSpan now)
    {
        lock (_lock)
        {
            if (isNews) backoff?.Reset(peer);
            if (!_peers.TryGetValue(peer, out PeerConnections<TConnection>? entry)) return;
            foreach (PendingDial<TConnection> dial in entry.Dials)
            {
                if (isNews) Release(dial);
                dial.Plan.Add(candidates, now);
                dial.Changed.Set();
            }
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
        lock (_lock)
        {
            if (dial.Outcome != DialOutcome.Pending) return new DialStep(DialStepKind.Settled);
            switch (dial.Stage)
            {
                case DialStage.UnderWay: return dial.Plan.Next(now);
                case DialStage.Held when now < dial.HeldUntil: return new DialStep(DialStepKind.Wait, Until: dial.HeldUntil);
                case DialStage.Held: dial.Stage = DialStage.InLine; break;
            }

            return _line.TryGo(dial) ? Begin(dial, now) : new DialStep(DialStepKind.Wait, Until: Never);
        }
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
    /// The dial is exhausted or expired. Its waiters go over to another dial, or fail. Returns the failure; null if the dial ended
    /// otherwise, or goes on because an address joined at the last moment.
    /// </summary>
    public TransportException? GiveUp(PendingDial<TConnection> dial, TimeSpan now)
    {
        lock (_lock)
        {
            if (dial.Outcome != DialOutcome.Pending) return null;
            if (now < dial.Plan.Deadline && dial.Plan.Targets.Any(t => t.State != DialTargetState.Failed)) return null;
            TransportException error = DialFailure.Create(dial.Peer, dial.Plan.Attempts());
            DialWaiter<TConnection>[] waiters = [.. dial.Waiters];
            Settle(dial, DialOutcome.Failed, error);
            PeerConnections<TConnection>? entry = _peers.GetValueOrDefault(dial.Peer);
            // A dial that is held back is for the patient; these have waited already.
            PendingDial<TConnection>? other = dial.IsLane ? null : entry?.Joinable(now);
            if (other?.Stage == DialStage.Held) other = null;
            if (other is null && entry?.Oldest(isLive) is null) backoff?.Failed(dial.Peer, error, now);
            foreach (DialWaiter<TConnection> waiter in waiters) PassOn(waiter, error, other);
            return error;
        }
    }

    /// <summary>
    /// A connection is ready: it is listed, and serves those who wait for its peer, whoever dialed it. It is refused if nobody wants
    /// it (its dial was given up, and no other has a waiter), if it exceeds a limit, or if all is closed.
    /// </summary>
    /// <param name="peer">The peer.</param>
    /// <param name="connection">The connection.</param>
    /// <param name="dial">The dial that made it; null for one that came in.</param>
    public Establishment Establish(PeerId peer, TConnection connection, PendingDial<TConnection>? dial)
    {
        lock (_lock)
        {
            if (_closed) return new Establishment(0, false, Aborted(peer, "this node is closing"));
            PeerConnections<TConnection> entry = EntryOf(peer);
            TransportException? refusal =
                dial?.Outcome is DialOutcome.Cancelled or DialOutcome.Failed && !entry.Dials.Exists(d => d.Waiters.Any(w => w.TakesAny))
                    ? Aborted(peer, "nobody waits for the connection any more")
                    : Refuse(peer, dial is null, entry);
            if (refusal is not null)
            {
                Trim(peer, entry);
                return new Establishment(0, false, refusal);
            }

            // A second connection of a dial that has its result is shared as well: the remote side may already use it.
            bool isLane = dial is { IsLane: true, Outcome: DialOutcome.Pending };
            bool isAskedFor = isLane || (dial is { Outcome: DialOutcome.Pending } && dial.Waiters.Any(waiter => !waiter.TakesAny));
            if (isAskedFor) markAskedFor?.Invoke(connection);
            entry.Connections.Add(new PeerConnections<TConnection>.Listed(connection, dial is null, isLane));
            if (dial is null) _inbound++;
            else _outbound++;
            backoff?.Reset(peer);
            if (dial is { Outcome: DialOutcome.Pending }) Serve(dial, connection, all: true);
            if (!isLane)
            {
                foreach (PendingDial<TConnection> other in entry.Dials.ToArray()) Serve(other, connection, all: false);
            }

            return new Establishment(entry.Connections.Count, isLane, null, isAskedFor);
        }
    }

    /// <summary>A listed connection is over. Returns how many to the peer remain.</summary>
    public int Lost(PeerId peer, TConnection connection)
    {
        lock (_lock)
        {
            if (!_peers.TryGetValue(peer, out PeerConnections<TConnection>? entry)) return 0;
            int index = entry.Connections.FindIndex(c => ReferenceEquals(c.Connection, connection));
            if (index >= 0)
            {
                if (entry.Connections[index].IsInbound) _inbound--;
                else _outbound--;
                entry.Connections.RemoveAt(index);
            }

            Trim(peer, entry);
            return entry.Connections.Count;
        }
    }

    /// <summary>Whether a connection that comes in cannot be kept, whoever it is from.</summary>
    public bool IsFullForInbound
    {
        get
        {
            lock (_lock) return _limits.HoldForAll && (_inbound >= _limits.Inbound || _inbound + _outbound >= _limits.Total);
        }
    }

    /// <summary>Every listed connection.</summary>
    public IReadOnlyList<TConnection> Connections
    {
        get
        {
            lock (_lock) return [.. _peers.Values.SelectMany(entry => entry.Connections).Select(c => c.Connection)];
        }
    }

    /// <summary>The pause that patient callers keep before a peer is dialed again; null if there is none.</summary>
    public RedialPause? PauseOf(PeerId peer, TimeSpan now)
    {
        lock (_lock) return backoff?.Find(peer, now);
    }

    /// <summary>Dials to a peer that got under way so far, lanes not counted.</summary>
    public int DialCount(PeerId peer)
    {
        lock (_lock) return _peers.TryGetValue(peer, out PeerConnections<TConnection>? entry) ? entry.DialCount : 0;
    }

    /// <summary>Dials to a peer that are pending, lanes not counted.</summary>
    public int PendingCount(PeerId peer)
    {
        lock (_lock) return _peers.TryGetValue(peer, out PeerConnections<TConnection>? entry) ? entry.Dials.Count : 0;
    }

    /// <summary>Dials that stand in line until fewer are under way.</summary>
    public int InLine
    {
        get
        {
            lock (_lock) return _line.Count;
        }
    }

    /// <summary>Callers that wait for dials to the peer, lanes not counted.</summary>
    public int WaiterCount(PeerId peer)
    {
        lock (_lock) return _peers.TryGetValue(peer, out PeerConnections<TConnection>? entry) ? entry.Dials.Sum(d => d.Waiters.Count) : 0;
    }

    /// <summary>Cancels all dials to a peer, lanes included; those who wait fail with <see cref="TransportError.Aborted"/>.</summary>
    public void Abort(PeerId peer)
    {
        lock (_lock)
        {
            foreach (PendingDial<TConnection> dial in _dials.Where(d => d.Peer == peer).ToArray()) Cancel(dial, "it was aborted here");
        }
    }

    /// <summary>Cancels all dials; from now on nothing can be joined or listed.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _closed = true;
            foreach (PendingDial<TConnection> dial in _dials.ToArray()) Cancel(dial, "this node is closing");
        }
    }

    private static bool IsMet(DialCondition condition, bool isConnected, bool isDialing) => condition switch
    {
        DialCondition.Always => true,
        DialCondition.Disconnected => !isConnected,
        DialCondition.NotDialing => !isDialing,
        _ => !isConnected && !isDialing,
    };

    private static TransportException Aborted(PeerId peer, string why) =>
        new(TransportError.Aborted, $"the dial to {peer} was given up: {why}") { Peer = peer };

    private static void PassOn(DialWaiter<TConnection> waiter, TransportException error, PendingDial<TConnection>? other)
    {
        IReadOnlyList<DialAttempt> attempts = waiter.EarlierAttempts;
        if (other is not null)
        {
            waiter.EarlierAttempts = [.. attempts, .. error.Attempts];
            other.Add(waiter);
        }
        else
        {
            waiter.Fail(attempts.Count == 0 ? error : DialFailure.Create(error.Peer!, [.. attempts, .. error.Attempts]));
        }
    }

    private JoinResult<TConnection> Enter(PendingDial<TConnection> dial, bool takesAny, in DialRequest request, TimeSpan now)
    {
        var waiter = new DialWaiter<TConnection>(takesAny);
        dial.Add(waiter);
        dial.Plan.Add(request.Candidates, now);
        if (!request.IsPatient) Release(dial);
        dial.Changed.Set();
        return new JoinResult<TConnection>(JoinKind.Joined, Waiter: waiter, Dial: dial);
    }

    private PendingDial<TConnection> NewDial(
        PeerId peer, bool isLane, IReadOnlyCollection<DialCandidate> candidates, TimeSpan now, TimeSpan timeout)
    {
        var plan = new DialPlan(now, timeout);
        plan.Add(candidates, now);
        var dial = new PendingDial<TConnection>(peer, isLane, plan);
        _dials.Add(dial);
        return dial;
    }

    private static void Release(PendingDial<TConnection> dial)
    {
        if (dial.Stage == DialStage.Held) dial.Stage = DialStage.InLine;
    }

    private DialStep Begin(PendingDial<TConnection> dial, TimeSpan now)
    {
        dial.Stage = DialStage.UnderWay;
        dial.Plan.Begin(now);
        if (!dial.IsLane) EntryOf(dial.Peer).DialCount++;
        return new DialStep(DialStepKind.Begin);
    }

    // Gives waiters the connection; a dial that nobody waits for any more is over.
    private void Serve(PendingDial<TConnection> dial, TConnection connection, bool all)
    {
        if (all)
        {
            foreach (DialWaiter<TConnection> waiter in dial.Waiters) waiter.Complete(connection);
            dial.Waiters.Clear();
        }
        else
        {
            dial.Waiters.RemoveWhere(waiter =>
            {
                if (waiter.TakesAny) waiter.Complete(connection);
                return waiter.TakesAny;
            });
        }

        if (dial.Waiters.Count == 0) Settle(dial, DialOutcome.Connected);
    }

    private void Cancel(PendingDial<TConnection> dial, string why)
    {
        TransportException error = Aborted(dial.Peer, why);
        foreach (DialWaiter<TConnection> waiter in dial.Waiters) waiter.Fail(error);
        Settle(dial, DialOutcome.Cancelled, error);
    }

    private void Settle(PendingDial<TConnection> dial, DialOutcome outcome, TransportException? error = null)
    {
        dial.End(outcome, error);
        dial.Waiters.Clear();
        _dials.Remove(dial);
        _line.Leave(dial);
        if (!_peers.TryGetValue(dial.Peer, out PeerConnections<TConnection>? entry)) return;
        entry.Dials.Remove(dial);
        Trim(dial.Peer, entry);
    }

    private PeerConnections<TConnection> EntryOf(PeerId peer)
    {
        if (!_peers.TryGetValue(peer, out PeerConnections<TConnection>? entry)) _peers[peer] = entry = new PeerConnections<TConnection>();
        return entry;
    }

    // Peers that only ever came in leave nothing behind; the count of dials is kept for those this node chose to dial.
    private void Trim(PeerId peer, PeerConnections<TConnection> entry)
    {
        if (entry is { IsEmpty: true, DialCount: 0 }) _peers.Remove(peer);
    }

    private TransportException? Refuse(PeerId peer, bool isInbound, PeerConnections<TConnection>? entry)
    {
        var all = new ConnectionCounts(_inbound, _outbound, entry?.Connections.Count ?? 0);
        TransportException? refusal = _limits.Refuse(peer, isInbound, all);
        if (refusal is null || isInbound) return refusal;
        // This node's own callers need not wait until the end of a connection is reported. For visitors every connection counts that
        // is there, or one could have any number of them by making each look worn out.
        int inbound = 0, outbound = 0;
        foreach (PeerConnections<TConnection>.Listed listed in _peers.Values.SelectMany(p => p.Connections))
        {
            if (!isLive(listed.Connection)) continue;
            if (listed.IsInbound) inbound++;
            else outbound++;
        }

        int ofPeer = entry?.Connections.Count(c => isLive(c.Connection)) ?? 0;
        return _limits.Refuse(peer, isInbound, new ConnectionCounts(inbound, outbound, ofPeer));
    }

    private void ThrowIfClosed()
    {
        if (_closed) throw new TransportException(TransportError.Aborted, "this node is closed: it dials no more");
    }
}
