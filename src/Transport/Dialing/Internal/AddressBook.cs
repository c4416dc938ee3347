using FastShare.Transport.Identity;

namespace FastShare.Transport.Dialing.Internal;

/// <summary>
/// Addresses known for peers, in the order in which to try them: what worked last first, what failed last. Bounded: the least
/// promising addresses are forgotten first, and peers known by their own claims only, then those used longest ago. Thread-safe.
/// </summary>
/// <remarks>
/// <para>Addresses that a peer claims for itself (identify) are a cache like rust-libp2p's (<c>peer_addresses.rs</c>, 100 peers of 10
/// addresses): one that fails is forgotten, and comes back when the peer claims it again.</para>
/// <para>Addresses that the application or discovery gave are kept when they fail, and tried last. Whoever gave them will not give
/// them again just because a dial failed: the peer may be switched off, or this machine between two networks. If they were forgotten,
/// a peer that comes back would not be found until discovery loses it and finds it anew, and one that was typed in never.</para>
/// </remarks>
/// <param name="maxPeers">Peers remembered of which addresses were given.</param>
/// <param name="maxClaimants">Peers remembered that are known by their own claims only.</param>
internal sealed class AddressBook(int maxPeers = AddressBook.MaxPeers, int maxClaimants = AddressBook.MaxClaimants)
{
    /// <summary>Default number of peers remembered of which addresses were given.</summary>
    public const int MaxPeers = 1000;

    /// <summary>Default number of peers remembered that are known by their own claims only (rust-libp2p's figure).</summary>
    public const int MaxClaimants = 100;

    /// <summary>Addresses remembered per peer: several interfaces, both families and a few names.</summary>
    public const int MaxAddresses = 16;

    /// <summary>Of them, those that only the peer itself claims (rust-libp2p's figure).</summary>
    public const int MaxClaimedAddresses = 10;

    private readonly Lock _lock = new();
    private readonly Dictionary<PeerId, Page> _pages = []; // _lock
    private readonly LinkedList<Page> _given = []; // _lock; pages with a given address, last used first
    private readonly LinkedList<Page> _claimed = []; // _lock; the other pages, last used first

    private sealed class Entry(Multiaddr address, bool given)
    {
        public Multiaddr Address { get; } = address;

        public bool Given { get; set; } = given;

        public bool Failed { get; set; }
    }

    private sealed class Page
    {
        public Page(PeerId peer)
        {
            Peer = peer;
            Node = new LinkedListNode<Page>(this);
        }

        public PeerId Peer { get; }

        public List<Entry> Entries { get; } = [];

        public LinkedListNode<Page> Node { get; }

        public int Claimed => Entries.Count(e => !e.Given);
    }

    /// <summary>Adds addresses; those with another peer's id in them are left out.</summary>
    /// <param name="peer">Whose they are.</param>
    /// <param name="addresses">With or without <c>/p2p/…</c>.</param>
    /// <param name="given">Given by the application or discovery, rather than claimed by the peer itself: kept in preference.</param>
    /// <returns>Whether an address was new, or is given for the first time.</returns>
    public bool Add(PeerId peer, IEnumerable<Multiaddr> addresses, bool given)
    {
        List<Multiaddr> normal = [.. addresses.Select(a => Normalise(peer, a)).OfType<Multiaddr>()];
        if (normal.Count == 0) return false;
        lock (_lock)
        {
            if (!_pages.TryGetValue(peer, out Page? page)) _pages[peer] = page = new Page(peer);
            bool news = false;
            foreach (Multiaddr address in normal) news |= Add(page, address, given);
            Use(page);
            while (_given.Count > maxPeers) Forget(_given.Last!.Value);
            while (_claimed.Count > maxClaimants) Forget(_claimed.Last!.Value);
            return news;
        }
    }

    /// <summary>Forgets addresses.</summary>
    public void Remove(PeerId peer, IEnumerable<Multiaddr> addresses)
    {
        lock (_lock)
        {
            if (!_pages.TryGetValue(peer, out Page? page)) return;
            foreach (Multiaddr raw in addresses)
            {
                if (Normalise(peer, raw) is { } address) page.Entries.RemoveAll(e => e.Address == address);
            }

            Use(page);
        }
    }

    /// <summary>The addresses of a peer, most promising first.</summary>
    public IReadOnlyList<Multiaddr> Get(PeerId peer)
    {
        lock (_lock)
        {
            if (!_pages.TryGetValue(peer, out Page? page)) return [];
            Use(page);
            return [.. page.Entries.Select(e => e.Address)];
        }
    }

    /// <summary>A dial to the address failed: it is tried last from now on, or forgotten if the peer only claimed it.</summary>
    public void MarkFailed(PeerId peer, Multiaddr address) => Move(peer, address, failed: true);

    /// <summary>A dial to the address succeeded: it is tried first from now on.</summary>
    public void MarkGood(PeerId peer, Multiaddr address) => Move(peer, address, failed: false);

    /// <summary>The address without peer id; null if it is another peer's or nothing else than a peer id.</summary>
    public static Multiaddr? Normalise(PeerId peer, Multiaddr address) =>
        address.EndsInPeerId && address.PeerId != peer ? null : address.WithoutPeerId();

    private void Move(PeerId peer, Multiaddr address, bool failed)
    {
        lock (_lock)
        {
            if (!_pages.TryGetValue(peer, out Page? page)) return;
            if (page.Entries.Find(e => e.Address == address) is not { } entry) return;
            page.Entries.Remove(entry);
            entry.Failed = failed;
            if (!failed) page.Entries.Insert(0, entry);
            else if (entry.Given) page.Entries.Add(entry);
            if (page.Entries.Count == 0) Forget(page);
        }
    }

    // Visitors are free to make up identities, so pages that only they filled have a list, and a bound, of their own.
    private void Use(Page page)
    {
        page.Node.List?.Remove(page.Node);
        if (page.Entries.Count == 0) _pages.Remove(page.Peer);
        else (page.Entries.Exists(e => e.Given) ? _given : _claimed).AddFirst(page.Node);
    }

    private void Forget(Page page)
    {
        page.Node.List?.Remove(page.Node);
        _pages.Remove(page.Peer);
    }

    private static bool Add(Page page, Multiaddr address, bool given)
    {
        if (page.Entries.Find(e => e.Address == address) is { } known)
        {
            bool first = given && !known.Given;
            known.Given |= given;
            return first;
        }

        int firstFailed = page.Entries.FindIndex(e => e.Failed);
        var entry = new Entry(address, given);
        page.Entries.Insert(firstFailed < 0 ? page.Entries.Count : firstFailed, entry);
        if (!given && page.Claimed > MaxClaimedAddresses) page.Entries.Remove(page.Entries.First(e => !e.Given));
        // Least promising: claimed only, then failed, then oldest.
        if (page.Entries.Count > MaxAddresses)
            page.Entries.Remove(page.Entries.OrderBy(e => e.Given).ThenByDescending(e => e.Failed).First());
        return page.Entries.Contains(entry);
    }
}
