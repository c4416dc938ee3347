using FastShare.Transport.Identity;

namespace FastShare.Transport.Dialing.Internal;

/// <summary>
/// Addresses known for peers, in the order in which to try them: what worked last first, what failed last. Bounded: the least
/// promising addresses are forgotten first, and peers known by their own claims only, then those used longest ago. Thread-safe.
/// </summary>
internal sealed class AddressBook
{
    /// <summary>Peers remembered.</summary>
    public const int MaxPeers = 1000;

    /// <summary>Addresses remembered per peer: several interfaces, both families and a few names.</summary>
    public const int MaxAddresses = 16;

    private readonly Lock _lock = new();
    private readonly Dictionary<PeerId, LinkedListNode<Page>> _pages = []; // _lock
    private readonly LinkedList<Page> _recent = []; // _lock; last used first

    private sealed class Entry(Multiaddr address, bool given)
    {
        public Multiaddr Address { get; } = address;

        public bool Given { get; set; } = given;

        public bool Failed { get; set; }
    }

    private sealed record Page(PeerId Peer, List<Entry> Entries);

    /// <summary>Adds addresses; those with another peer's id in them are left out.</summary>
    /// <param name="peer">Whose they are.</param>
    /// <param name="addresses">With or without <c>/p2p/…</c>.</param>
    /// <param name="given">Given by the application or discovery, rather than claimed by the peer itself: kept in preference.</param>
    public void Add(PeerId peer, IEnumerable<Multiaddr> addresses, bool given)
    {
        lock (_lock)
        {
            foreach (Multiaddr raw in addresses)
            {
                if (Normalise(peer, raw) is { } address) Add(PageOf(peer), address, given);
            }

            while (_recent.Count > MaxPeers)
            {
                LinkedListNode<Page> victim = LeastUseful();
                _pages.Remove(victim.Value.Peer);
                _recent.Remove(victim);
            }
        }
    }

    /// <summary>Forgets addresses.</summary>
    public void Remove(PeerId peer, IEnumerable<Multiaddr> addresses)
    {
        lock (_lock)
        {
            if (!_pages.TryGetValue(peer, out LinkedListNode<Page>? page)) return;
            foreach (Multiaddr raw in addresses)
            {
                if (Normalise(peer, raw) is { } address) page.Value.Entries.RemoveAll(e => e.Address == address);
            }

            if (page.Value.Entries.Count > 0) return;
            _pages.Remove(peer);
            _recent.Remove(page);
        }
    }

    /// <summary>The addresses of a peer, most promising first.</summary>
    public IReadOnlyList<Multiaddr> Get(PeerId peer)
    {
        lock (_lock)
        {
            if (!_pages.TryGetValue(peer, out LinkedListNode<Page>? page)) return [];
            _recent.Remove(page);
            _recent.AddFirst(page);
            return [.. page.Value.Entries.Select(e => e.Address)];
        }
    }

    /// <summary>A dial to the address failed: it is tried last from now on.</summary>
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
            if (!_pages.TryGetValue(peer, out LinkedListNode<Page>? page)) return;
            List<Entry> entries = page.Value.Entries;
            if (entries.Find(e => e.Address == address) is not { } entry) return;
            entries.Remove(entry);
            entry.Failed = failed;
            entries.Insert(failed ? entries.Count : 0, entry);
        }
    }

    private Page PageOf(PeerId peer)
    {
        if (_pages.TryGetValue(peer, out LinkedListNode<Page>? page)) _recent.Remove(page);
        else _pages[peer] = page = new LinkedListNode<Page>(new Page(peer, []));
        _recent.AddFirst(page);
        return page.Value;
    }

    // Visitors are free to make up identities, so what they claim must not push out what this node was given.
    private LinkedListNode<Page> LeastUseful()
    {
        LinkedListNode<Page>? page = _recent.Last;
        while (page is not null && page.Value.Entries.Exists(e => e.Given)) page = page.Previous;
        return page ?? _recent.Last!;
    }

    private static void Add(Page page, Multiaddr address, bool given)
    {
        if (page.Entries.Find(e => e.Address == address) is { } known)
        {
            known.Given |= given;
            return;
        }

        int firstFailed = page.Entries.FindIndex(e => e.Failed);
        page.Entries.Insert(firstFailed < 0 ? page.Entries.Count : firstFailed, new Entry(address, given));
        if (page.Entries.Count <= MaxAddresses) return;
        // Least promising: claimed only and failed, claimed only, failed, oldest.
        Entry victim = page.Entries.OrderBy(e => e.Given).ThenByDescending(e => e.Failed).First();
        page.Entries.Remove(victim);
    }
}
