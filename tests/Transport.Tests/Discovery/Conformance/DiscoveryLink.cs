using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Discovery.Conformance;

/// <summary>
/// The network that a discovery under test is on, with neighbours that are there in the test's mind only. What it does has arrived, or
/// will, when the method's task ends.
/// </summary>
public abstract class DiscoveryLink : IAsyncDisposable
{
    /// <summary>Makes a discovery on the link, not started.</summary>
    public abstract IPeerDiscovery Create();

    /// <summary>Starts a discovery of this link.</summary>
    public virtual ValueTask StartAsync(IPeerDiscovery discovery, PeerId self, Action<DiscoveryEvent> sink) =>
        discovery.StartAsync(self, [Address(99)], sink, TestContext.Current.CancellationToken);

    /// <summary>An address at which a neighbour may be, different for each number from 1 to 99; without peer id.</summary>
    public virtual Multiaddr Address(int number) => Multiaddr.Parse($"/ip4/10.0.0.{number}/tcp/4001");

    /// <summary>A neighbour says what addresses it has now. Before a discovery starts: what it will say to it.</summary>
    public abstract ValueTask AnnounceAsync(PeerId peer, params Multiaddr[] addresses);

    /// <summary>Lets a little (virtual) time pass.</summary>
    public virtual ValueTask PassAsync() => new(Task.Delay(1));

    public virtual ValueTask DisposeAsync() => ValueTask.CompletedTask;
}

/// <summary>A link on which neighbours come, change and go while a discovery runs.</summary>
public abstract class LiveDiscoveryLink : DiscoveryLink
{
    /// <summary>A neighbour goes, or its announcements expire.</summary>
    public abstract ValueTask LeaveAsync(PeerId peer);
}

/// <summary>What the sink of a discovery was told. Thread-safe.</summary>
public sealed class DiscoveryRecorder(DiscoveryLink link)
{
    private readonly Lock _gate = new();
    private readonly List<DiscoveryEvent> _events = []; // guarded by _gate
    private int _within;
    private bool _overlapped;

    public IReadOnlyList<DiscoveryEvent> Events
    {
        get
        {
            lock (_gate) return [.. _events];
        }
    }

    /// <summary>Whether two calls of the sink were under way at once.</summary>
    public bool Overlapped => Volatile.Read(ref _overlapped);

    public void Sink(DiscoveryEvent observation)
    {
        if (Interlocked.Increment(ref _within) > 1) Volatile.Write(ref _overlapped, true);
        lock (_gate) _events.Add(observation);
        Interlocked.Decrement(ref _within);
    }

    /// <summary>Events about one peer.</summary>
    public IReadOnlyList<DiscoveryEvent> Of(PeerId peer) => [.. Events.Where(e => e.Peer == peer)];

    /// <summary>Waits for an event.</summary>
    public async Task<DiscoveryEvent> NextAsync(Func<DiscoveryEvent, bool> matches, string what)
    {
        for (int i = 0; i < 20_000; i++) // at least 20 s: only something broken takes so long
        {
            if (Events.FirstOrDefault(matches) is { } found) return found;
            await link.PassAsync();
        }

        string seen = string.Join("; ", Events.Select(e => $"{e.Kind} {e.Peer} {string.Join(' ', e.Addresses)}"));
        throw new TimeoutException($"never reported: {what}; reported was: {seen}");
    }

    public Task<DiscoveryEvent> FoundAsync(PeerId peer) =>
        NextAsync(e => e.Kind == DiscoveryEventKind.Found && e.Peer == peer, $"{peer} found");

    /// <summary>Waits until every address of the peer, and no other, is reported and not expired.</summary>
    public async Task KnowsAsync(PeerId peer, params Multiaddr[] addresses)
    {
        HashSet<Multiaddr> expected = [.. addresses.Select(a => a.WithPeerId(peer))];
        await NextAsync(_ => expected.SetEquals(Known(peer)), $"{peer} at exactly {string.Join(' ', expected)}");
    }

    /// <summary>The addresses reported and not expired. Fails where one is reported twice, or expires unreported.</summary>
    public IReadOnlyCollection<Multiaddr> Known(PeerId peer)
    {
        var known = new HashSet<Multiaddr>();
        foreach (DiscoveryEvent observation in Of(peer))
        {
            Assert.NotEmpty(observation.Addresses);
            foreach (Multiaddr address in observation.Addresses)
            {
                bool isFirst = observation.Kind == DiscoveryEventKind.Found ? known.Add(address) : known.Remove(address);
                Assert.True(isFirst, $"{address} was reported {observation.Kind} again");
            }
        }

        return known;
    }
}
