using FastShare.Transport.Dialing.Internal;

namespace FastShare.Transport.Tests.Simulation;

// What must hold after every event, and at the end.
internal sealed partial class SimulatedNode
{
    /// <summary>How late a timer may be: the driver's rounding and the jitter of a wake.</summary>
    private static readonly TimeSpan Lateness = TimeSpan.FromMilliseconds(10);

    public void Check()
    {
        for (int i = 0; i < _dials.Count; i++)
        {
            SimulatedDial dial = _dials[i];
            int waiting = dial.Waiters.Count(w => !w.Waiter!.Result.IsCompleted);
            if (dial.Dial.Waiters.Count != waiting)
                throw new InvariantException($"{dial} of {this} counts {dial.Dial.Waiters.Count} waiters, there are {waiting}");
            if (dial.Dial.Outcome != DialOutcome.Pending) continue;
            if (IsClosed) throw new InvariantException($"{dial} goes on although {this} is closed");
            if (dial.Waiters.Count == 0) throw new InvariantException($"nobody waits for {dial} of {this}, which goes on");
            if (dial.Dial.Stage == DialStage.UnderWay && World.Time.Now > dial.Dial.Plan.Deadline + Lateness) throw new InvariantException($"{dial} of {this} is overdue");
            if (dial.Dial.IsLane) continue;
            for (int j = 0; j < i; j++)
            {
                if (IsPendingFor(_dials[j], dial.Dial.Peer))
                    throw new InvariantException($"{_dials[j]} and {dial} of {this} are pending at once");
            }

            if (_ends.Find(e => e is { IsLive: true, IsLane: false } && e.Peer == dial.Dial.Peer) is { } open)
                throw new InvariantException($"{dial.Waiters.Count} callers of {this} wait for {dial} although {open} is there");
        }
    }

    /// <summary>A dial has its result. If it failed: is it true that nothing led to the peer?</summary>
    private void CheckResult(SimulatedDial dial)
    {
        if (dial.IsChecked || dial.Dial.Outcome == DialOutcome.Pending) return;
        dial.IsChecked = true;
        if (dial.Dial.Outcome != DialOutcome.Failed) return;
        TransportException error = dial.Dial.Error!;
        World.Trace.Write($"{this}: {dial} failed with {error.Error}, {error.Attempts.Count} addresses");
        if (error.Error != TransportError.DialFailure) throw new InvariantException($"{dial} of {this} failed with {error.Error}");
        bool expired = World.Time.Now >= dial.Dial.Plan.Deadline;
        if (error.Attempts.Count != dial.Dial.Plan.Targets.Count)
            throw new InvariantException($"{dial} of {this} reports {error.Attempts.Count} of {dial.Dial.Plan.Targets.Count} addresses");
        foreach (DialAttempt told in error.Attempts)
        {
            SimulatedAttempt? real = dial.Attempts.FirstOrDefault(a => a.Target.Address == told.Address);
            if (real?.Cause is { } cause)
            {
                if (cause != told.Error) throw new InvariantException($"{dial} of {this} reports {told.Error} of {told.Address}; it was {cause}");
                continue;
            }

            // Without a failure of its own, only the end of the dial's time ends an attempt.
            if (!expired || told.Error != TransportError.Timeout)
                throw new InvariantException($"{dial} of {this} failed although {told.Address} had not ({real})");
        }
    }

    /// <summary>After the world's end: whatever is left was forgotten by somebody.</summary>
    public void CheckNothingIsLeft()
    {
        if (_callers.Count > 0) throw new InvariantException($"{_callers[0]} of {this} still waits");
        if (_dials.Count > 0) throw new InvariantException($"{_dials[0]} of {this} is still there");
        if (_ends.Count > 0) throw new InvariantException($"{_ends[0]} of {this} is still there");
        if (Table.Machine.Connections.Count > 0) throw new InvariantException($"the table of {this} still has {Table.Machine.Connections[0]}");
        foreach (SimulatedNode peer in World.Nodes)
        {
            if (Table.Machine.WaiterCount(peer.Id) != 0) throw new InvariantException($"the table of {this} still has waiters for {peer}");
        }
    }
}
