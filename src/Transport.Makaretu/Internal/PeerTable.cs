using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Makaretu.Internal;

/// <summary>Who was seen, with which addresses, until when. Bounded. Not thread-safe.</summary>
internal sealed class PeerTable(PeerId self, int maxPeers, int maxAddresses)
{
    // RFC 6762, 10.1: a record lives on for a second after its goodbye, time for another holder to object.
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(1);

    private readonly Dictionary<PeerId, Dictionary<Multiaddr, Entry>> _peers = [];

    private sealed class Entry
    {
        public required string Instance { get; set; } // that named it last
        public TimeSpan Seen { get; set; }
        public TimeSpan Ttl { get; set; }
        public TimeSpan Expires { get; set; }
    }

    /// <summary>When <see cref="Advance"/> has something to do.</summary>
    public TimeSpan Due =>
        _peers.Values.SelectMany(addresses => addresses.Values).Select(entry => entry.Expires).DefaultIfEmpty(TimeSpan.MaxValue / 2).Min();

    /// <summary>Takes in a sighting; what is new goes to <paramref name="events"/>.</summary>
    public void Saw(TimeSpan now, Sighting sighting, List<DiscoveryEvent> events)
    {
        if (sighting.Peer == self) return;
        if (sighting.TimeToLive == TimeSpan.Zero)
        {
            foreach (Multiaddr address in sighting.Addresses)
            {
                if (_peers.TryGetValue(sighting.Peer, out var leaving) && leaving.TryGetValue(address, out Entry? entry)) Shorten(entry, now);
            }

            return;
        }

        if (sighting.Addresses.Count == 0) return;
        if (!_peers.TryGetValue(sighting.Peer, out Dictionary<Multiaddr, Entry>? addresses))
        {
            if (_peers.Count >= maxPeers) ForgetLongestUnseen(events);
            _peers.Add(sighting.Peer, addresses = []);
        }

        var found = new List<Multiaddr>();
        foreach (Multiaddr address in sighting.Addresses)
        {
            if (!addresses.TryGetValue(address, out Entry? entry))
            {
                if (addresses.Count >= maxAddresses) continue;
                addresses.Add(address, entry = new Entry { Instance = sighting.Instance });
                found.Add(address);
            }

            entry.Instance = sighting.Instance;
            entry.Seen = now;
            entry.Ttl = sighting.TimeToLive;
            entry.Expires = now + sighting.TimeToLive;
        }

        if (sighting.ReplacesEarlier)
        {
            foreach (Entry entry in addresses.Values)
            {
                if (entry.Instance == sighting.Instance && entry.Seen < now - Grace) Shorten(entry, now);
            }
        }

        if (found.Count > 0) events.Add(new DiscoveryEvent(DiscoveryEventKind.Found, sighting.Peer, found, MakaretuDiscovery.Source));
    }

    /// <summary>An instance said goodbye: what it announced last goes.</summary>
    public void Left(TimeSpan now, string instance)
    {
        foreach (Dictionary<Multiaddr, Entry> addresses in _peers.Values)
        {
            foreach (Entry entry in addresses.Values)
            {
                if (entry.Instance == instance) Shorten(entry, now);
            }
        }
    }

    /// <summary>Expires what is over.</summary>
    public void Advance(TimeSpan now, List<DiscoveryEvent> events)
    {
        foreach ((PeerId peer, Dictionary<Multiaddr, Entry> addresses) in _peers)
        {
            Multiaddr[] gone = [.. addresses.Where(a => a.Value.Expires <= now).Select(a => a.Key)];
            if (gone.Length == 0) continue;
            foreach (Multiaddr address in gone) addresses.Remove(address);
            if (addresses.Count == 0) _peers.Remove(peer); // removal is allowed while a dictionary is enumerated
            events.Add(new DiscoveryEvent(DiscoveryEventKind.Expired, peer, gone, MakaretuDiscovery.Source));
        }
    }

    /// <summary>Instances of which at least half the time to live is left, with what is left: what a query lists as known.</summary>
    public IEnumerable<(string Instance, TimeSpan Left)> Known(TimeSpan now) =>
        _peers.Values.SelectMany(addresses => addresses.Values)
            .Where(entry => entry.Expires - now >= entry.Ttl / 2)
            .GroupBy(entry => entry.Instance, (instance, entries) => (instance, entries.Min(entry => entry.Expires) - now));

    private static void Shorten(Entry entry, TimeSpan now)
    {
        if (now + Grace < entry.Expires) entry.Expires = now + Grace;
    }

    private void ForgetLongestUnseen(List<DiscoveryEvent> events)
    {
        (PeerId peer, Dictionary<Multiaddr, Entry> addresses) = _peers.MinBy(p => p.Value.Values.Max(entry => entry.Seen));
        _peers.Remove(peer);
        events.Add(new DiscoveryEvent(DiscoveryEventKind.Expired, peer, [.. addresses.Keys], MakaretuDiscovery.Source));
    }
}
