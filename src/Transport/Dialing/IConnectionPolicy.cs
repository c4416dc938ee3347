using FastShare.Transport.Identity;

namespace FastShare.Transport.Dialing;

/// <summary>What a policy says; see <see cref="IConnectionPolicy"/>.</summary>
public readonly record struct ConnectionVerdict
{
    private ConnectionVerdict(string reason) => Reason = reason;

    /// <summary>No objection. The default value.</summary>
    public static ConnectionVerdict Allowed => default;

    /// <summary>Why not, in words; null if there is no objection.</summary>
    public string? Reason { get; }

    /// <summary>Whether there is no objection.</summary>
    public bool IsAllowed => Reason is null;

    /// <summary>An objection; the words go into the error that callers of this node see.</summary>
    public static ConnectionVerdict Denied(string reason)
    {
        ArgumentException.ThrowIfNullOrEmpty(reason);
        return new ConnectionVerdict(reason);
    }
}

/// <summary>
/// The application's say in who is connected with. Called from any thread, several calls at a time; must be quick and must not call
/// the swarm. If it throws, that is an objection.
/// </summary>
/// <remarks>
/// A denied connection counts as one that failed: callers that wait for the peer go on to its next address, to another dial, or to
/// a connection that comes in. The other side sees a connection that was closed.
/// </remarks>
public interface IConnectionPolicy
{
    /// <summary>Asked before a dial to a peer is started; joining one under way is always possible.</summary>
    ConnectionVerdict BeforeDial(PeerId peer) => ConnectionVerdict.Allowed;

    /// <summary>Asked when the peer's identity is proved, before anybody gets the connection.</summary>
    /// <param name="peer">The proved peer.</param>
    /// <param name="remoteAddress">Where it is.</param>
    /// <param name="isInbound">Whether it dialed.</param>
    ConnectionVerdict BeforeUse(PeerId peer, Multiaddr remoteAddress, bool isInbound) => ConnectionVerdict.Allowed;
}
