using System.Threading.Channels;
using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;

namespace FastShare.Testing.Discovery;

/// <summary>A network in memory: every <see cref="InMemoryDiscovery"/> on it finds every other. Thread-safe.</summary>
public sealed class InMemoryLink
{
    private readonly Lock _gate = new();
    private readonly Dictionary<PeerId, List<Multiaddr>> _announced = []; // guarded by _gate
    private readonly List<InMemoryDiscovery> _watching = [];              // guarded by _gate

    /// <summary>Announces addresses of a peer, as if it had a discovery here; for peers that exist in a test's mind only.</summary>
    public void Announce(PeerId peer, params IReadOnlyList<Multiaddr> addresses)
    {
        lock (_gate)
        {
            if (!_announced.TryGetValue(peer, out List<Multiaddr>? known)) _announced.Add(peer, known = []);
            List<Multiaddr> news = [.. addresses.Select(a => a.WithPeerId(peer)).Where(a => !known.Contains(a)).Distinct()];
            known.AddRange(news);
            if (news.Count > 0) Tell(DiscoveryEventKind.Found, peer, news);
        }
    }

    /// <summary>Takes a peer's announcements back.</summary>
    public void Withdraw(PeerId peer)
    {
        lock (_gate)
        {
            if (_announced.Remove(peer, out List<Multiaddr>? known)) Tell(DiscoveryEventKind.Expired, peer, known);
        }
    }

    internal void Join(InMemoryDiscovery discovery)
    {
        lock (_gate)
        {
            foreach ((PeerId peer, List<Multiaddr> addresses) in _announced)
                discovery.Tell(new DiscoveryEvent(DiscoveryEventKind.Found, peer, [.. addresses], InMemoryDiscovery.Source));
            _watching.Add(discovery);
        }
    }

    internal void Leave(InMemoryDiscovery discovery)
    {
        lock (_gate) _watching.Remove(discovery);
    }

    private void Tell(DiscoveryEventKind kind, PeerId peer, List<Multiaddr> addresses)
    {
        foreach (InMemoryDiscovery discovery in _watching)
            discovery.Tell(new DiscoveryEvent(kind, peer, [.. addresses], InMemoryDiscovery.Source));
    }
}

/// <summary>
/// Discovery over an <see cref="InMemoryLink"/>. Announces the listen addresses as they are given: no wildcards. Events reach the sink
/// on a loop of its own, as they do with mDNS.
/// </summary>
public sealed class InMemoryDiscovery(InMemoryLink link) : IPeerDiscovery
{
    /// <summary>The source named in events.</summary>
    public const string Source = "memory";

    private readonly Channel<DiscoveryEvent> _events = Channel.CreateUnbounded<DiscoveryEvent>();
    private readonly CancellationTokenSource _stop = new();
    private PeerId? _self;
    private Task _reporting = Task.CompletedTask;

    /// <inheritdoc/>
    public ValueTask StartAsync(
        PeerId self, IReadOnlyList<Multiaddr> listenAddresses, Action<DiscoveryEvent> sink, CancellationToken cancellationToken)
    {
        if (Interlocked.CompareExchange(ref _self, self, null) is not null) throw new InvalidOperationException("started before");
        _reporting = Task.Run(() => ReportAsync(sink), CancellationToken.None);
        link.Join(this);
        link.Announce(self, listenAddresses);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        link.Leave(this);
        if (_self is not null) link.Withdraw(_self);
        _events.Writer.TryComplete();
        await _stop.CancelAsync();
        await _reporting;
    }

    internal void Tell(DiscoveryEvent observation)
    {
        if (observation.Peer != _self) _events.Writer.TryWrite(observation);
    }

    private async Task ReportAsync(Action<DiscoveryEvent> sink)
    {
        while (await _events.Reader.WaitToReadAsync(CancellationToken.None))
        {
            while (!_stop.IsCancellationRequested && _events.Reader.TryRead(out DiscoveryEvent? observation)) sink(observation);
            if (_stop.IsCancellationRequested) return;
        }
    }
}
