using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;
using FastShare.Transport.Watching;

namespace FastShare.Transport;

// What becomes known of peers, and who is told.
public sealed partial class Swarm
{
    /// <summary>
    /// The state of every peer that is known, then of each whose state changes, from this call on. A slow reader sees the latest state
    /// of each peer and never blocks the swarm. Ends when the swarm is disposed.
    /// </summary>
    /// <remarks>Of peers that are neither connected nor dialed nor announced, the 1,024 whose state changed last are remembered.</remarks>
    public IAsyncEnumerable<PeerState> WatchPeersAsync(CancellationToken cancellationToken = default) =>
        _states.WatchAsync(null, cancellationToken);

    /// <summary>The state of one peer, which may be <see cref="PeerStatus.Unknown"/>, then every change; see <see cref="WatchPeersAsync"/>.</summary>
    public IAsyncEnumerable<PeerState> WatchPeerAsync(PeerId peer, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(peer);
        return _states.WatchAsync(peer, cancellationToken);
    }

    /// <summary>
    /// Takes what a discovery observed; fits <see cref="IPeerDiscovery.StartAsync"/> as its sink. Addresses found are added, expired ones
    /// forgotten, and watchers see both. Quick, never throws.
    /// </summary>
    public void Discovered(DiscoveryEvent seen)
    {
        ArgumentNullException.ThrowIfNull(seen);
        if (seen.Peer == LocalPeer) return;
        if (seen.Kind == DiscoveryEventKind.Found)
        {
            if (_states.Found(seen.Peer, seen.Addresses)) AddAddresses(seen.Peer, seen.Addresses);
        }
        else
        {
            _states.Expired(seen.Peer, seen.Addresses);
            RemoveAddresses(seen.Peer, seen.Addresses);
        }
    }
}
