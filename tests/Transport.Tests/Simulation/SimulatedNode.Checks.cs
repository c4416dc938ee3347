using FastShare.Transport.Dialing.Internal;

namespace FastShare.Transport.Tests.Simulation;

// What must hold after every event, and at the end.
internal sealed partial class SimulatedNode
{
    /// <summary>How late a timer may be: the driver's rounding and the jitter of a wake.</summary>
    private static readonly TimeSpan Lateness = TimeSpan.FromMilliseconds(10);

    private bool _isTouched;

    /// <summary>Something was done with it: it is to be checked.</summary>
    public void Touch() => _isTouched = true;

    /// <summary>Checks what an event may have changed; those that touched other nodes only, now and then.</summary>
    public void Check()
    {
        if (!_isTouched && World.Time.Steps % 16 != 0) return;
        _isTouched = false;
        int waiting = 0, underWay = 0;
        foreach (SimulatedDial dial in _dials)
        {
            if (!dial.IsPending) continue;
            if (IsClosed) throw new InvariantException($"{dial} goes on although {this} is closed");
            if (dial.Dial.Waiters.Count == 0) throw new InvariantException($"nobody waits for {dial} of {this}, which goes on");
            waiting += dial.Dial.Waiters.Count;
            if (dial.Dial.Stage != DialStage.UnderWay) continue;
            underWay++;
            if (World.Time.Now > dial.Dial.Plan.Deadline + Lateness) throw new InvariantException($"{dial} of {this} is overdue");
        }

        if (underWay > Limits.PendingOutbound) throw new InvariantException($"{underWay} dials of {this} are under way");
        foreach (SimulatedCaller caller in _callers)
        {
            if (caller.Delivery is not null) continue;
            waiting--;
            if (!caller.Dials[^1].IsPending)
                throw new InvariantException($"{caller} of {this} waits for {caller.Dials[^1]}, which is over");
            if (caller.TakesAny && SharedTo(caller.Peer) is { } open)
                throw new InvariantException($"{caller} of {this} waits although {open} is there");
        }

        if (waiting != 0) throw new InvariantException($"the dials of {this} have {waiting} more waiters than there are callers");
        CheckLimits();
        CheckRequests();
    }

    // Connections that have ended do not count, although the table may not have been told yet.
    private void CheckLimits()
    {
        int inbound = _ends.Count(e => e is { IsLive: true, IsInbound: true });
        int outbound = _ends.Count(e => e is { IsLive: true, IsInbound: false });
        if (inbound > Limits.Inbound || outbound > Limits.Outbound || inbound + outbound > Limits.Total)
            throw new InvariantException($"{this} has {inbound} connections in and {outbound} out: more than allowed");
        if (Limits.PerPeer is not { } perPeer) return;
        foreach (SimulatedNode peer in World.Nodes)
        {
            if (_ends.Count(e => e.IsLive && e.Remote == peer) > perPeer)
                throw new InvariantException($"{this} has too many connections to {peer}");
        }
    }

    /// <summary>A caller was turned away: only closing and limits may do that.</summary>
    private void CheckRefusal(SimulatedCaller caller, SimulatedNode peer, bool isMet, TransportException error)
    {
        World.Trace.Write($"{this}: {caller} is refused: {error.Error}");
        World.See($"a dial refused: {error.Error}");
        if (IsClosed && error.Error == TransportError.Aborted) return;
        if (isMet && error.Error == TransportError.AccessDenied && Vetoes.Contains(peer.Id)) return;
        if (!isMet || error.Error != TransportError.LimitExceeded || !IsFull(peer, isInbound: false))
            throw new InvariantException($"{caller} of {this} was refused: {error.Message}");
    }

    /// <summary>A connection was not listed: is there a reason?</summary>
    private void CheckDiscard(SimulatedEnd end, PendingDial<SimulatedEnd>? dial, TransportException error)
    {
        World.See($"a connection refused: {error.Error}");
        bool isTrue = error.Error == TransportError.LimitExceeded
            ? IsFull(end.Remote, end.IsInbound)
            : IsClosed || dial?.Outcome is DialOutcome.Cancelled or DialOutcome.Failed;
        if (!isTrue) throw new InvariantException($"{this} does not want {end}: {error.Message}");
    }

    // For visitors, connections count until their end was reported; for the node's own callers, while they are good.
    private bool IsFull(SimulatedNode peer, bool isInbound)
    {
        SimulatedEnd[] counted = [.. _ends.Where(e => isInbound || e.IsLive)];
        int inbound = counted.Count(e => e.IsInbound), outbound = counted.Length - inbound;
        return counted.Length >= Limits.Total || counted.Count(e => e.Remote == peer) >= Limits.PerPeer
            || (isInbound ? inbound >= Limits.Inbound : outbound >= Limits.Outbound);
    }

    /// <summary>A caller has its result. If it is a failure: is it true that nothing led to the peer?</summary>
    private void CheckResult(SimulatedCaller caller)
    {
        if (caller.Waiter!.Result is { IsCompletedSuccessfully: true } success)
        {
            if (success.Result.Peer != caller.Peer) throw new InvariantException($"{caller} of {this} was given {success.Result}");
            return;
        }

        var error = (TransportException)caller.Waiter.Result.Exception!.InnerException!;
        if (error.Error == TransportError.Aborted && (IsClosed || _aborted.Contains(caller.Dials[^1]))) return;
        if (error.Error != TransportError.DialFailure)
            throw new InvariantException($"{caller} of {this} failed with {error.Error}: {error.Message}");
        if (caller.TakesAny && SharedTo(caller.Peer) is { } open)
            throw new InvariantException($"{caller} of {this} failed although {open} is there");
        SimulatedDial? other = _dials.Find(d => d.IsShared && d.IsPending && d.Dial.Peer == caller.Peer
            && (d.Dial.Stage != DialStage.UnderWay || World.Time.Now < d.Dial.Plan.Deadline));
        if (other is not null && caller.Dials[^1].IsShared)
            throw new InvariantException($"{caller} of {this} failed although {other} is under way");
        int tried = caller.Dials.Sum(d => d.Dial.Plan.Targets.Count);
        if (error.Attempts.Count != tried)
            throw new InvariantException($"{caller} of {this} was told of {error.Attempts.Count} of {tried} addresses");
        foreach (SimulatedDial dial in caller.Dials) CheckFailure(caller, dial, error);
    }

    private void CheckFailure(SimulatedCaller caller, SimulatedDial dial, TransportException error)
    {
        World.See("a dial that failed");
        bool expired = World.Time.Now >= dial.Dial.Plan.Deadline;
        foreach (DialTarget target in dial.Dial.Plan.Targets)
        {
            SimulatedAttempt? real = dial.Attempts.FirstOrDefault(a => a.Target == target);
            TransportError cause = real?.Cause ?? TransportError.Timeout;
            if (real?.Cause is null && !expired)
                throw new InvariantException($"{caller} of {this} failed although {target.Address} of {dial} had not ({real})");
            if (!error.Attempts.Any(a => a.Address == target.Address && a.Error == cause))
                throw new InvariantException($"{caller} of {this} was not told that {target.Address} of {dial} failed with {cause}");
        }
    }

    /// <summary>After the world's end: whatever is left was forgotten by somebody.</summary>
    public void CheckNothingIsLeft()
    {
        if (_callers.Count > 0) throw new InvariantException($"{_callers[0]} of {this} still waits");
        if (_dials.Count > 0) throw new InvariantException($"{_dials[0]} of {this} is still there");
        if (_ends.Count > 0) throw new InvariantException($"{_ends[0]} of {this} is still there");
        if (_requests.Count > 0 || Line.Machine.PendingCount > 0) throw new InvariantException($"{this} still has requests");
        if (_wishes.Count > 0 || _inFlight.Count > 0)
            throw new InvariantException($"{this} still has {_wishes.Count} wishes, {_inFlight.Count} connections in use");
        if (Line.Machine.PeerCount > 0) throw new InvariantException($"the queue of {this} still knows {Line.Machine.PeerCount} peers");
        if (Table.Machine.Connections.Count > 0)
            throw new InvariantException($"the table of {this} still has {Table.Machine.Connections[0]}");
        foreach (SimulatedNode peer in World.Nodes)
        {
            if (Table.Machine.WaiterCount(peer.Id) + Table.Machine.PendingCount(peer.Id) != 0)
                throw new InvariantException($"the table of {this} still has dials to {peer}");
        }
    }
}
