namespace FastShare.Transport.Dialing.Internal;

/// <summary>
/// What the table knows of one peer. Guarded by its <see cref="PendingConnections{TConnection}"/>'s lock.
/// </summary>
internal sealed class PeerConnections<TConnection>
    where TConnection : class
{
    /// <summary>Connections, oldest first, until their owners report them lost.</summary>
    public List<Listed> Connections { get; } = [];

    /// <summary>Dials that ordinary callers may join, oldest first. More than one only where callers asked for it.</summary>
    public List<PendingDial<TConnection>> Dials { get; } = [];

    /// <summary>Dials that got under way so far, lanes not counted.</summary>
    public int DialCount { get; set; }

    public bool IsEmpty => Connections.Count == 0 && Dials.Count == 0;

    public readonly record struct Listed(TConnection Connection, bool IsInbound, bool IsLane);

    /// <summary>The oldest shared connection that can be used; null if there is none.</summary>
    public TConnection? Oldest(Func<TConnection, bool> isLive)
    {
        foreach (Listed listed in Connections)
        {
            if (!listed.IsLane && isLive(listed.Connection)) return listed.Connection;
        }

        return null;
    }

    /// <summary>The dial that can serve a caller soonest: the oldest one with time left; null if there is none.</summary>
    public PendingDial<TConnection>? Joinable(TimeSpan now)
    {
        foreach (PendingDial<TConnection> dial in Dials)
        {
            if (dial.Stage != DialStage.UnderWay || now < dial.Plan.Deadline) return dial;
        }

        return null;
    }
}
