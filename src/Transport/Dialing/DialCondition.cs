namespace FastShare.Transport.Dialing;

/// <summary>
/// When <see cref="Swarm.ConnectAsync(Identity.PeerId, DialOptions, CancellationToken)"/> starts a dial of its own. A condition that
/// is not met is never a failure: the caller gets what there is, the open connection, else the result of the dial under way.
/// </summary>
/// <remarks>The names are rust-libp2p's (<c>PeerCondition</c>); there, an unmet condition is an error.</remarks>
public enum DialCondition
{
    /// <summary>Dial if there is no connection and no dial under way. The default: everybody shares one dial.</summary>
    DisconnectedAndNotDialing,

    /// <summary>Dial if there is no connection, even beside a dial under way.</summary>
    Disconnected,

    /// <summary>Dial unless a dial is under way; so a connected peer gets a further connection.</summary>
    NotDialing,

    /// <summary>Dial in any case, and return the connection that this dial made.</summary>
    Always,
}
