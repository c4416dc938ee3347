namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>What the connection's clock has to do.</summary>
internal enum HeartbeatStep
{
    /// <summary>Nothing but to look again later.</summary>
    Wait,

    /// <summary>Send a ping.</summary>
    Ping,

    /// <summary>Close in good order: nothing has used the connection for too long.</summary>
    Idle,

    /// <summary>Give up: the peer answers nothing.</summary>
    Dead,

    /// <summary>Give up: the peer, or the path to it, takes no data.</summary>
    Stalled,
}

/// <summary>What the clock looks at; all times since the connection's start.</summary>
/// <param name="LastInput">When anything last came from the peer.</param>
/// <param name="LastPing">When a ping last was asked for.</param>
/// <param name="PingInFlight">Whether it is unanswered.</param>
/// <param name="FlushStarted">Since when the channel has been busy with a batch; null: it is not.</param>
/// <param name="IdleSince">Since when nothing has used the connection; null: something does, or it closes already.</param>
internal readonly record struct HeartbeatState(
    TimeSpan LastInput, TimeSpan LastPing, bool PingInFlight, TimeSpan? FlushStarted, TimeSpan? IdleSince = null);

/// <summary>Decides when to ping and when a peer is dead. Pure: time comes in, a decision goes out.</summary>
internal static class Heartbeat
{
    // A peer that still sends may merely have a slow path (1 MiB at 200 kbit/s takes 40 s); one that never reads must not hold
    // memory for ever.
    private const int StallPatience = 4;

    /// <summary>
    /// The decision at <paramref name="now"/> and, for <see cref="HeartbeatStep.Wait"/>, when to decide again at the latest.
    /// </summary>
    public static HeartbeatStep Decide(YamuxOptions options, TimeSpan now, HeartbeatState state, out TimeSpan wait)
    {
        // A flush may begin at any time while the clock sleeps, and so may a stream start to linger.
        wait = Min(Min(options.WriteStallTimeout, options.PingInterval), options.LingerTimeout);
        if (state.FlushStarted is { } started)
        {
            TimeSpan due = Min(
                Max(started, state.LastInput) + options.WriteStallTimeout, started + StallPatience * options.WriteStallTimeout);
            if (now >= due) return HeartbeatStep.Stalled;
            wait = Min(wait, due - now);
        }

        if (options.IdleTimeout is { } patience)
        {
            wait = Min(wait, patience); // the last use may end at any time while the clock sleeps
            if (state.IdleSince is { } idle)
            {
                TimeSpan due = idle + patience;
                if (now >= due) return HeartbeatStep.Idle;
                wait = Min(wait, due - now);
            }
        }

        if (state.PingInFlight)
        {
            TimeSpan due = Max(state.LastPing, state.LastInput) + options.PingTimeout;
            if (now >= due) return HeartbeatStep.Dead;
            wait = Min(wait, due - now);
        }
        else
        {
            TimeSpan due = state.LastPing + options.PingInterval;
            if (now >= due) return HeartbeatStep.Ping;
            wait = Min(wait, due - now);
        }

        return HeartbeatStep.Wait;
    }

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;

    private static TimeSpan Max(TimeSpan a, TimeSpan b) => a > b ? a : b;
}
