using System.Runtime.CompilerServices;
using System.Threading.Channels;
using FastShare.Transport;
using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;

namespace FastShare.Transfer.Sessions;

/// <summary>What the discoveries of a node announce now: told to the swarm, to waiting transfers and to watchers. Thread-safe.</summary>
internal sealed class PeerDirectory(Swarm swarm, Pulse changed)
{
    /// <summary>Peers and addresses a peer kept: discovery is unauthenticated, so anybody on the network can make them up.</summary>
    private const int MaxPeers = 4096;
    private const int MaxAddresses = 32;
    private const int MaxWaitingEvents = 1024;

    private readonly Lock _gate = new();
    private readonly Dictionary<PeerId, List<Multiaddr>> _peers = []; // guarded by _gate
    private readonly List<ChannelWriter<DiscoveryEvent>> _watchers = []; // guarded by _gate
    private bool _ended; // guarded by _gate

    public IReadOnlyList<DiscoveredPeer> Peers
    {
        get
        {
            lock (_gate) return [.. _peers.Select(peer => new DiscoveredPeer(peer.Key, [.. peer.Value]))];
        }
    }

    /// <summary>Takes an observation of a discovery.</summary>
    public void Observe(DiscoveryEvent seen)
    {
        if (seen.Peer == swarm.LocalPeer) return;
        lock (_gate)
        {
            if (_ended || !Apply(seen)) return;
            foreach (ChannelWriter<DiscoveryEvent> watcher in _watchers) watcher.TryWrite(seen);
        }

        swarm.Discovered(seen);
        if (seen.Kind == DiscoveryEventKind.Found) changed.Signal();
    }

    /// <summary>Peers announced now as found, then every change.</summary>
    public async IAsyncEnumerable<DiscoveryEvent> WatchAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        Channel<DiscoveryEvent> channel = Channel.CreateBounded<DiscoveryEvent>(
            new BoundedChannelOptions(MaxPeers + MaxWaitingEvents) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });
        lock (_gate)
        {
            foreach ((PeerId peer, List<Multiaddr> addresses) in _peers)
                channel.Writer.TryWrite(new DiscoveryEvent(DiscoveryEventKind.Found, peer, [.. addresses], "known"));
            if (_ended) channel.Writer.TryComplete();
            else _watchers.Add(channel.Writer);
        }

        try
        {
            await foreach (DiscoveryEvent seen in channel.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false)) yield return seen;
        }
        finally
        {
            lock (_gate) _watchers.Remove(channel.Writer);
        }
    }

    /// <summary>Watchers end.</summary>
    public void End()
    {
        lock (_gate)
        {
            _ended = true;
            foreach (ChannelWriter<DiscoveryEvent> watcher in _watchers) watcher.TryComplete();
        }
    }

    /// <summary>Under the gate; false: too many peers, the observation is dropped.</summary>
    private bool Apply(DiscoveryEvent seen)
    {
        if (!_peers.TryGetValue(seen.Peer, out List<Multiaddr>? addresses))
        {
            if (seen.Kind == DiscoveryEventKind.Expired || _peers.Count >= MaxPeers) return false;
            _peers.Add(seen.Peer, addresses = []);
        }

        foreach (Multiaddr address in seen.Addresses)
        {
            addresses.Remove(address);
            if (seen.Kind == DiscoveryEventKind.Found && addresses.Count < MaxAddresses) addresses.Add(address);
        }

        if (addresses.Count == 0) _peers.Remove(seen.Peer);
        return true;
    }
}
