using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Discovery.Conformance;

/// <summary>What every <see cref="IPeerDiscovery"/> keeps to. A subclass says on what link.</summary>
public abstract class DiscoveryConformance
{
    protected static readonly PeerId Self = Ids.Of(1), First = Ids.Of(2), Second = Ids.Of(3), Marker = Ids.Of(4);

    protected abstract DiscoveryLink CreateLink();

    [Fact]
    public async Task A_peer_is_found_with_all_its_addresses()
    {
        await using DiscoveryLink link = CreateLink();
        await link.AnnounceAsync(First, link.Address(1), link.Address(2));
        await link.AnnounceAsync(Second, link.Address(3));
        await using IPeerDiscovery discovery = link.Create();
        var seen = new DiscoveryRecorder(link);
        await link.StartAsync(discovery, Self, seen.Sink);
        await seen.KnowsAsync(First, link.Address(1), link.Address(2));
        await seen.KnowsAsync(Second, link.Address(3));
        Assert.All(seen.Events, e => Assert.NotEmpty(e.Source));
        Assert.All(seen.Events, e => Assert.All(e.Addresses, a => Assert.Equal((true, e.Peer), (a.EndsInPeerId, a.PeerId))));
        Assert.False(seen.Overlapped);
    }

    [Fact]
    public async Task A_node_never_finds_itself()
    {
        await using DiscoveryLink link = CreateLink();
        await link.AnnounceAsync(Self, link.Address(1));
        await link.AnnounceAsync(Marker, link.Address(2));
        await using IPeerDiscovery discovery = link.Create();
        var seen = new DiscoveryRecorder(link);
        await link.StartAsync(discovery, Self, seen.Sink);
        await seen.FoundAsync(Marker);
        Assert.Empty(seen.Of(Self));
    }

    [Fact]
    public async Task A_discovery_is_started_once()
    {
        await using DiscoveryLink link = CreateLink();
        await using IPeerDiscovery discovery = link.Create();
        await link.StartAsync(discovery, Self, _ => { });
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await link.StartAsync(discovery, Self, _ => { }));
    }

    [Fact]
    public async Task A_discovery_that_was_disposed_cannot_be_started()
    {
        await using DiscoveryLink link = CreateLink();
        IPeerDiscovery discovery = link.Create();
        await discovery.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await link.StartAsync(discovery, Self, _ => { }));
    }

    [Fact]
    public async Task A_start_that_is_cancelled_starts_nothing()
    {
        await using DiscoveryLink link = CreateLink();
        await link.AnnounceAsync(First, link.Address(1));
        await using IPeerDiscovery discovery = link.Create();
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            async () => await discovery.StartAsync(Self, [link.Address(99)], _ => { }, cancelled.Token));
        var seen = new DiscoveryRecorder(link);
        await link.StartAsync(discovery, Self, seen.Sink);
        await seen.FoundAsync(First);
    }

    [Fact]
    public async Task Disposal_may_be_repeated_and_come_from_several_sides()
    {
        await using DiscoveryLink link = CreateLink();
        IPeerDiscovery discovery = link.Create();
        await link.StartAsync(discovery, Self, _ => { });
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(async () => await discovery.DisposeAsync())));
        await discovery.DisposeAsync();
    }
}

/// <summary>What every discovery keeps to that hears of peers while it runs.</summary>
public abstract class LiveDiscoveryConformance : DiscoveryConformance
{
    protected sealed override DiscoveryLink CreateLink() => CreateLiveLink();

    protected abstract LiveDiscoveryLink CreateLiveLink();

    [Fact]
    public async Task An_announcement_that_is_repeated_is_no_news()
    {
        await using LiveDiscoveryLink link = CreateLiveLink();
        await using IPeerDiscovery discovery = link.Create();
        var seen = new DiscoveryRecorder(link);
        await link.StartAsync(discovery, Self, seen.Sink);
        for (int i = 0; i < 5; i++) await link.AnnounceAsync(First, link.Address(1), link.Address(2));
        await link.AnnounceAsync(Marker, link.Address(3));
        await seen.FoundAsync(Marker);
        await seen.KnowsAsync(First, link.Address(1), link.Address(2)); // fails where one was reported twice
        Assert.All(seen.Of(First), e => Assert.Equal(DiscoveryEventKind.Found, e.Kind));
    }

    [Fact]
    public async Task Changes_of_addresses_are_reported_and_nothing_else()
    {
        await using LiveDiscoveryLink link = CreateLiveLink();
        await using IPeerDiscovery discovery = link.Create();
        var seen = new DiscoveryRecorder(link);
        await link.StartAsync(discovery, Self, seen.Sink);
        await link.AnnounceAsync(First, link.Address(1), link.Address(2));
        await seen.KnowsAsync(First, link.Address(1), link.Address(2));
        int before = seen.Of(First).Count;
        await link.AnnounceAsync(First, link.Address(1), link.Address(3));
        await seen.KnowsAsync(First, link.Address(1), link.Address(3));
        DiscoveryEvent[] changes = [.. seen.Of(First).Skip(before)];
        Assert.Equal([link.Address(3).WithPeerId(First)],
            changes.Where(e => e.Kind == DiscoveryEventKind.Found).SelectMany(e => e.Addresses));
        Assert.Equal([link.Address(2).WithPeerId(First)],
            changes.Where(e => e.Kind == DiscoveryEventKind.Expired).SelectMany(e => e.Addresses));
    }

    [Fact]
    public async Task A_peer_that_goes_expires_with_all_its_addresses_and_may_come_back()
    {
        await using LiveDiscoveryLink link = CreateLiveLink();
        await using IPeerDiscovery discovery = link.Create();
        var seen = new DiscoveryRecorder(link);
        await link.StartAsync(discovery, Self, seen.Sink);
        await link.AnnounceAsync(First, link.Address(1), link.Address(2));
        await link.AnnounceAsync(Second, link.Address(3));
        await seen.KnowsAsync(First, link.Address(1), link.Address(2));
        await seen.KnowsAsync(Second, link.Address(3));
        await link.LeaveAsync(First);
        await seen.KnowsAsync(First);
        await link.AnnounceAsync(First, link.Address(1));
        await seen.KnowsAsync(First, link.Address(1));
        Assert.Single(seen.Of(Second)); // what the others do is not its matter
    }

    [Fact]
    public async Task Nothing_is_reported_after_disposal()
    {
        await using LiveDiscoveryLink link = CreateLiveLink();
        IPeerDiscovery discovery = link.Create();
        var seen = new DiscoveryRecorder(link);
        await link.StartAsync(discovery, Self, seen.Sink);
        await link.AnnounceAsync(First, link.Address(1));
        await seen.FoundAsync(First);
        await discovery.DisposeAsync();
        int count = seen.Events.Count;

        await using IPeerDiscovery witness = link.Create();
        var witnessed = new DiscoveryRecorder(link);
        await link.StartAsync(witness, Ids.Of(5), witnessed.Sink);
        await link.AnnounceAsync(Second, link.Address(2));
        await link.LeaveAsync(First);
        await witnessed.FoundAsync(Second);
        Assert.Equal(count, seen.Events.Count);
    }

    [Fact]
    public async Task Disposal_amid_announcements_is_the_last_that_the_sink_hears()
    {
        await using LiveDiscoveryLink link = CreateLiveLink();
        IPeerDiscovery discovery = link.Create();
        var seen = new DiscoveryRecorder(link);
        bool ended = false;
        bool late = false;
        await link.StartAsync(discovery, Self, observation =>
        {
            if (Volatile.Read(ref ended)) Volatile.Write(ref late, true);
            seen.Sink(observation);
        });
        using var stop = new CancellationTokenSource();
        Task announcing = Task.Run(async () =>
        {
            for (int i = 0; !stop.IsCancellationRequested; i++) await link.AnnounceAsync(Ids.Of(100 + (i % 50)), link.Address(1 + (i % 90)));
        });
        await seen.NextAsync(_ => true, "anything");
        await discovery.DisposeAsync();
        Volatile.Write(ref ended, true);
        await Task.Delay(20); // time to be late, not a time that anything needs
        await stop.CancelAsync();
        await announcing;
        Assert.False(late);
        Assert.False(seen.Overlapped);
    }

    [Fact]
    public async Task A_sink_that_throws_ends_nothing()
    {
        await using LiveDiscoveryLink link = CreateLiveLink();
        await using IPeerDiscovery discovery = link.Create();
        var seen = new DiscoveryRecorder(link);
        await link.StartAsync(discovery, Self, observation =>
        {
            seen.Sink(observation);
            throw new InvalidOperationException("a test's sink");
        });
        await link.AnnounceAsync(First, link.Address(1));
        await seen.FoundAsync(First);
        await link.AnnounceAsync(Second, link.Address(2));
        await seen.FoundAsync(Second);
    }
}

/// <summary>Ids of peers that exist only in tests.</summary>
internal static class Ids
{
    /// <summary>An Ed25519 peer id whose key is only a number.</summary>
    public static PeerId Of(int number)
    {
        byte[] key = new byte[32];
        BitConverter.TryWriteBytes(key, number);
        return PeerId.FromBytes([0x00, 0x24, 0x08, 0x01, 0x12, 0x20, .. key]);
    }
}
