using FastShare.Transport.Identity;

namespace FastShare.Transport.Discovery.Internal;

/// <summary>
/// Who was seen where, until when. Keyed by peer id; instance names are remembered only to list known answers and to understand
/// goodbyes. At the caps the longest unseen gives way, so a flood of made-up peers costs no more than renewed events. Not thread-safe.
/// </summary>
/// <param name="source">The source named in events.</param>
/// <param name="maxPeers">Peers kept.</param>
/// <param name="maxAddresses">Addresses kept of one peer.</param>
/// <param name="random">Spreads refresh queries.</param>
internal sealed class MdnsPeerTable(string source, int maxPeers, int maxAddresses, Random random)
{
    /// <summary>Instance names kept of one peer: one per link normally; rust-libp2p makes a new one for each response.</summary>
    public const int MaxInstances = 8;

    // RFC 6762, 5.2: ask again at 80, 85, 90 and 95 % of the time to live, each up to 2 % later at random.
    private static readonly double[] RefreshAt = [0.80, 0.85, 0.90, 0.95];
    private static readonly TimeSpan LeastRefreshedTtl = TimeSpan.FromSeconds(10);

    private readonly Dictionary<PeerId, Peer> _peers = [];
    private readonly LinkedList<Peer> _bySeen = []; // least recently seen first
    private readonly Dictionary<(int Link, DnsName Name), Instance> _instances = [];
    private readonly PriorityQueue<Address, TimeSpan> _due = new(); // an address stands in it at its Due, and at former ones for a while
    private int _addresses;

    private sealed class Peer(PeerId id)
    {
        public PeerId Id { get; } = id;
        public Dictionary<Multiaddr, Address> Addresses { get; } = [];
        public List<Instance> Instances { get; } = []; // oldest first
        public LinkedListNode<Peer>? Node { get; set; }
    }

    private sealed class Instance(int link, DnsName name, Peer peer)
    {
        public int Link { get; } = link;
        public DnsName Name { get; } = name;
        public Peer Peer { get; } = peer;
        public TimeSpan Seen { get; set; }
        public TimeSpan Ttl { get; set; }
    }

    private sealed class Address(Peer peer, Multiaddr value)
    {
        public Peer Peer { get; } = peer;
        public Multiaddr Value { get; } = value;
        public DnsName Instance { get; set; } = null!; // that named it last
        public int Link { get; set; }
        public bool IsAnnounced { get; set; } // rather than taken from a packet's source
        public TimeSpan Seen { get; set; }
        public TimeSpan Ttl { get; set; }
        public TimeSpan Expires { get; set; }
        public int Refreshes { get; set; }
        public TimeSpan Due { get; set; } = MdnsTimes.Never; // next refresh or the expiry
        public bool IsGone { get; set; }
    }

    /// <summary>Peers known.</summary>
    public int Count => _peers.Count;

    /// <summary>Entries of the queue behind <see cref="Due"/>: at most about twice the addresses.</summary>
    public int QueueLength => _due.Count;

    /// <summary>When <see cref="Advance"/> has something to do.</summary>
    public TimeSpan Due => _due.TryPeek(out _, out TimeSpan due) ? due : MdnsTimes.Never;

    /// <summary>Takes in a sighting on a link.</summary>
    public void Saw(TimeSpan now, int link, MdnsSighting sighting, List<DiscoveryEvent> events)
    {
        if (sighting.TimeToLive == TimeSpan.Zero)
        {
            if (_peers.TryGetValue(sighting.Peer, out Peer? leaving)) Withdraw(now, leaving, sighting.Addresses);
            return;
        }

        if (sighting.Addresses.Count == 0) return;
        Peer peer = Touch(sighting.Peer, events);
        Remember(now, link, sighting, peer);

        var found = new List<Multiaddr>();
        foreach (Multiaddr value in sighting.Addresses) Saw(now, link, sighting, peer, value, isAnnounced: true, found, events);
        foreach (Multiaddr value in sighting.FromSource) Saw(now, link, sighting, peer, value, isAnnounced: false, found, events);

        // RFC 6762, 10.2: what the same owner said more than a second ago and does not say now, goes in a second.
        if (sighting.ReplacesEarlier)
        {
            foreach (Address address in peer.Addresses.Values)
            {
                bool isOlder = address.IsAnnounced && address.Seen < now - MdnsTimes.Second;
                if (isOlder && address.Link == link && address.Instance.Equals(sighting.Instance))
                    Shorten(address, now + MdnsTimes.GoodbyeGrace);
            }
        }

        if (found.Count > 0) events.Add(new DiscoveryEvent(DiscoveryEventKind.Found, peer.Id, found, source));
    }

    /// <summary>An instance said goodbye on a link: what it announced there last goes.</summary>
    public void Left(TimeSpan now, int link, DnsName name)
    {
        if (!_instances.TryGetValue((link, name), out Instance? instance)) return;
        Drop(instance);
        foreach (Address address in instance.Peer.Addresses.Values)
        {
            if (address.Link == link && address.Instance.Equals(name)) Shorten(address, now + MdnsTimes.GoodbyeGrace);
        }
    }

    /// <summary>
    /// What was last seen on a link may hold no longer: it goes in <see cref="MdnsTimes.Reconfirmation"/> unless it is seen again, and its
    /// peers are not listed as known until they are.
    /// </summary>
    /// <param name="now">The time.</param>
    /// <param name="link">The link.</param>
    /// <param name="elsewhere">Takes the other links on which those peers were seen.</param>
    public void Doubt(TimeSpan now, int link, HashSet<int> elsewhere)
    {
        foreach (Peer peer in _peers.Values)
        {
            bool affected = false;
            foreach (Address address in peer.Addresses.Values)
            {
                if (address.Link != link) continue;
                affected = true;
                Shorten(address, now + MdnsTimes.Reconfirmation);
            }

            if (!affected) continue;
            foreach (Instance instance in peer.Instances)
            {
                instance.Ttl = TimeSpan.Zero;
                if (instance.Link != link) elsewhere.Add(instance.Link);
            }
        }
    }

    /// <summary>Expires what is over and names the links on which to ask again for what soon is.</summary>
    public void Advance(TimeSpan now, List<DiscoveryEvent> events, HashSet<int> askOn)
    {
        Dictionary<PeerId, List<Multiaddr>>? expired = null;
        while (_due.TryPeek(out Address? address, out TimeSpan due) && due <= now)
        {
            _due.Dequeue();
            if (address.IsGone || address.Due != due) continue; // a former place in the queue
            if (address.Expires <= now)
            {
                expired ??= [];
                if (!expired.TryGetValue(address.Peer.Id, out List<Multiaddr>? list)) expired.Add(address.Peer.Id, list = []);
                list.Add(address.Value);
                Remove(address);
                continue;
            }

            askOn.Add(address.Link);
            address.Refreshes++;
            SetExpiry(address, address.Expires);
        }

        if (expired is null) return;
        foreach ((PeerId peer, List<Multiaddr> addresses) in expired)
            events.Add(new DiscoveryEvent(DiscoveryEventKind.Expired, peer, addresses, source));
    }

    /// <summary>
    /// The instances seen on a link with at least half their time to live left, one per peer, with the seconds left: what a query
    /// lists as known.
    /// </summary>
    public IEnumerable<(DnsName Instance, uint Ttl)> KnownOn(int link, TimeSpan now)
    {
        foreach (Peer peer in _peers.Values)
        {
            for (int i = peer.Instances.Count - 1; i >= 0; i--)
            {
                Instance instance = peer.Instances[i];
                TimeSpan left = instance.Seen + instance.Ttl - now;
                if (instance.Link != link || left < instance.Ttl / 2 || instance.Ttl == TimeSpan.Zero) continue;
                yield return (instance.Name, (uint)left.TotalSeconds);
                break;
            }
        }
    }

    /// <summary>
    /// Whether this host would list an instance as known, too (RFC 6762, 7.3): one of which less than half the time to live is left, it
    /// must ask for itself. A second's grace, since what all hosts heard at once did not reach all at the same instant.
    /// </summary>
    public bool Knows(int link, DnsName name, TimeSpan now) =>
        _instances.TryGetValue((link, name), out Instance? instance) && instance.Ttl > TimeSpan.Zero
        && instance.Seen + instance.Ttl - now >= (instance.Ttl / 2) - MdnsTimes.Second;

    private Peer Touch(PeerId id, List<DiscoveryEvent> events)
    {
        if (_peers.TryGetValue(id, out Peer? peer))
        {
            _bySeen.Remove(peer.Node!);
            _bySeen.AddLast(peer.Node!);
            return peer;
        }

        if (_peers.Count >= maxPeers)
        {
            Peer oldest = _bySeen.First!.Value;
            Multiaddr[] gone = [.. oldest.Addresses.Keys];
            foreach (Address address in oldest.Addresses.Values.ToArray()) Remove(address);
            events.Add(new DiscoveryEvent(DiscoveryEventKind.Expired, oldest.Id, gone, source));
        }

        peer = new Peer(id);
        peer.Node = _bySeen.AddLast(peer);
        _peers.Add(id, peer);
        return peer;
    }

    private void Remember(TimeSpan now, int link, MdnsSighting sighting, Peer peer)
    {
        if (_instances.TryGetValue((link, sighting.Instance), out Instance? instance) && instance.Peer != peer)
        {
            Drop(instance); // claimed by another peer now
            instance = null;
        }

        if (instance is null)
        {
            if (peer.Instances.Count >= MaxInstances) Drop(peer.Instances[0]);
            _instances.Add((link, sighting.Instance), instance = new Instance(link, sighting.Instance, peer));
        }
        else
        {
            peer.Instances.Remove(instance);
        }

        peer.Instances.Add(instance);
        instance.Seen = now;
        instance.Ttl = sighting.TimeToLive;
    }

    private void Drop(Instance instance)
    {
        _instances.Remove((instance.Link, instance.Name));
        instance.Peer.Instances.Remove(instance);
    }

    private void Saw(
        TimeSpan now, int link, MdnsSighting sighting, Peer peer, Multiaddr value, bool isAnnounced,
        List<Multiaddr> found, List<DiscoveryEvent> events)
    {
        if (!peer.Addresses.TryGetValue(value, out Address? address))
        {
            if (peer.Addresses.Count >= maxAddresses) Forget(peer.Addresses.Values.MinBy(a => a.Seen)!, events);
            peer.Addresses.Add(value, address = new Address(peer, value));
            _addresses++;
            found.Add(value);
        }

        address.Instance = sighting.Instance;
        address.Link = link;
        address.IsAnnounced = isAnnounced;
        address.Seen = now;
        address.Ttl = sighting.TimeToLive;
        address.Refreshes = 0;
        SetExpiry(address, now + sighting.TimeToLive);
    }

    private void Withdraw(TimeSpan now, Peer peer, IReadOnlyList<Multiaddr> addresses)
    {
        foreach (Multiaddr value in addresses)
        {
            if (peer.Addresses.TryGetValue(value, out Address? address)) Shorten(address, now + MdnsTimes.GoodbyeGrace);
        }
    }

    private void Shorten(Address address, TimeSpan expires)
    {
        if (expires < address.Expires) SetExpiry(address, expires, refresh: false);
    }

    private void SetExpiry(Address address, TimeSpan expires, bool refresh = true)
    {
        address.Expires = expires;
        if (!refresh || address.Ttl < LeastRefreshedTtl) address.Refreshes = RefreshAt.Length;
        TimeSpan due = expires;
        if (address.Refreshes < RefreshAt.Length)
            due = expires - (address.Ttl * (1 - RefreshAt[address.Refreshes] - (random.NextDouble() * 0.02)));
        address.Due = due;
        if (_due.Count > (2 * _addresses) + 64) DropFormerPlaces();
        _due.Enqueue(address, due);
    }

    // Keeps the queue as small as the table, at a cost that each renewal pays a constant part of.
    private void DropFormerPlaces()
    {
        _due.Clear();
        foreach (Peer peer in _peers.Values)
        {
            foreach (Address address in peer.Addresses.Values) _due.Enqueue(address, address.Due);
        }
    }

    private void Forget(Address address, List<DiscoveryEvent> events)
    {
        events.Add(new DiscoveryEvent(DiscoveryEventKind.Expired, address.Peer.Id, [address.Value], source));
        Drop(address);
    }

    private void Remove(Address address)
    {
        Drop(address);
        Peer peer = address.Peer;
        if (peer.Addresses.Count > 0) return;
        _peers.Remove(peer.Id);
        _bySeen.Remove(peer.Node!);
        foreach (Instance instance in peer.Instances.ToArray()) Drop(instance);
    }

    private void Drop(Address address)
    {
        address.IsGone = true;
        address.Peer.Addresses.Remove(address.Value);
        _addresses--;
    }
}
