using System.Collections.Concurrent;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Dialing.Internal;

/// <summary>Connections that stand at the moment when one more is to be added.</summary>
internal readonly record struct ConnectionCounts(int Inbound, int Outbound, int OfPeer);

/// <summary>Bounds on connections, and the peers they do not hold for. Null: no bound. Thread-safe.</summary>
internal sealed class ConnectionLimits
{
    private readonly ConcurrentDictionary<PeerId, bool> _exempt = [];

    /// <summary>Dials under way at a time; further ones wait in line.</summary>
    public int? PendingOutbound { get; init; }

    public int? Inbound { get; init; }

    public int? Outbound { get; init; }

    public int? PerPeer { get; init; }

    public int? Total { get; init; }

    /// <summary>Whether the limits hold for everybody: then one can refuse before knowing who it is.</summary>
    public bool HoldForAll => _exempt.IsEmpty;

    public void Exempt(PeerId peer) => _exempt[peer] = true;

    public void EndExemption(PeerId peer) => _exempt.TryRemove(peer, out _);

    public bool IsExempt(PeerId peer) => _exempt.ContainsKey(peer);

    /// <summary>Why one more connection cannot be had; null if it can.</summary>
    public TransportException? Refuse(PeerId peer, bool isInbound, ConnectionCounts counts)
    {
        if (IsExempt(peer)) return null;
        if (isInbound && counts.Inbound >= Inbound) return Exceeded(peer, nameof(SwarmOptions.MaxInboundConnections), Inbound.Value);
        if (!isInbound && counts.Outbound >= Outbound) return Exceeded(peer, nameof(SwarmOptions.MaxOutboundConnections), Outbound.Value);
        if (counts.OfPeer >= PerPeer) return Exceeded(peer, nameof(SwarmOptions.MaxConnectionsPerPeer), PerPeer.Value);
        if (counts.Inbound + counts.Outbound >= Total) return Exceeded(peer, nameof(SwarmOptions.MaxConnections), Total.Value);
        return null;
    }

    private static TransportException Exceeded(PeerId peer, string option, int limit) => new(
        TransportError.LimitExceeded,
        $"a connection with {peer} would exceed {option} ({limit}): close another one, raise the limit, or exempt the peer from it")
    {
        Peer = peer,
    };
}
