using FastShare.Transport;
using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;

namespace FastShare.Transfer.Tests.Sessions;

public sealed class FastShareNodeTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("fastshare-test-").FullName;
    private readonly MemoryTransport _memory = new();
    private readonly InMemoryDiscoveryHub _hub = new();

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Theory]
    [InlineData(TransferMode.Sequential, true)]
    [InlineData(TransferMode.Parallel, true)]
    [InlineData(TransferMode.Sequential, false)]
    [InlineData(TransferMode.Parallel, false)]
    public async Task Files_arrive_over_real_connections(TransferMode mode, bool memory)
    {
        await using FastShareNode receiver = await StartAsync("receiver", memory, AcceptAll);
        await using FastShareNode sender = await StartAsync("sender", memory);
        string[] files = [AddFile("large", 9_000_000), .. Enumerable.Range(0, 30).Select(i => AddFile($"small{i}", i * 1111))];
        Transfer sent = sender.Send(receiver.Id, files, new SendOptions { Mode = mode });
        TransferResult result = await sent.Completion;
        Assert.Empty(result.Failures);
        Assert.Equal(31, result.Files);
        foreach (string file in files) Assert.Equal(
            await File.ReadAllBytesAsync(file), await File.ReadAllBytesAsync(Path.Combine(_root, "target", Path.GetFileName(file))));
        Assert.Equal(1, sender.Swarm.DialCount(receiver.Id));
        Assert.Single(sender.Swarm.Connections);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_file_goes_over_several_connections_and_survives_the_loss_of_one(bool memory)
    {
        await using FastShareNode receiver = await StartAsync("receiver", memory, AcceptAll);
        await using FastShareNode sender = await StartAsync("sender", memory);
        string file = AddFile("large", 12 << 20);
        // Slow until one connection is lost.
        Transfer sent = sender.Send(
            receiver.Id, [file], new SendOptions { Mode = TransferMode.Parallel, Connections = 3, Streams = 3, RateLimit = 1_000_000 });
        while (sender.Swarm.Connections.Count(static connection => connection.IsExtra) < 2 || sent.Progress.Bytes < 300_000)
            await Task.Delay(5);
        sender.Swarm.Connections.First(static connection => connection.IsExtra)
            .Abort(new TransportException(TransportError.ConnectionReset, "pulled out"));
        sent.RateLimit = null;
        TransferResult result = await sent.Completion;
        Assert.Empty(result.Failures);
        Assert.Equal(await File.ReadAllBytesAsync(file), await File.ReadAllBytesAsync(Path.Combine(_root, "target", "large")));
        Assert.Empty(await sent.EventsAsync().OfType<TransferEvent.Retrying>().ToListAsync());
        Assert.Equal(1, sender.Swarm.DialCount(receiver.Id));
    }

    [Fact]
    public async Task Transfers_queued_before_the_peer_is_known_share_one_dial()
    {
        await using FastShareNode sender = await StartAsync("sender", memory: true);
        using PeerIdentity identity = PeerIdentity.Generate();
        Transfer[] queued = [.. Enumerable.Range(0, 5).Select(i => sender.Send(identity.PeerId, [AddFile($"file{i}", 1000 + i)]))];
        Assert.All(queued, transfer => Assert.Equal(TransferState.Connecting, transfer.Progress.State));
        await using FastShareNode receiver = await StartAsync("receiver", memory: true, AcceptAll, identity);
        await Task.WhenAll(queued.Select(transfer => transfer.Completion));
        Assert.Equal(1, sender.Swarm.DialCount(receiver.Id));
        Assert.Equal(5, Directory.GetFiles(Path.Combine(_root, "target")).Length);
    }

    [Fact]
    public async Task A_node_without_a_consent_policy_refuses_with_a_clear_text()
    {
        await using FastShareNode receiver = await StartAsync("receiver", memory: true);
        await using FastShareNode sender = await StartAsync("sender", memory: true);
        TransferException failure =
            await Assert.ThrowsAsync<TransferException>(() => sender.Send(receiver.Id, [AddFile("a", 1)]).Completion);
        Assert.Equal(TransferError.Refused, failure.Error);
        Assert.Contains("takes no files", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Peers_are_discovered_watched_and_found_by_name()
    {
        await using FastShareNode alice = await StartAsync("Alice (home)", memory: true);
        FastShareNode bob = await StartAsync("Bob", memory: true);
        Assert.Equal(alice.Id, await bob.FindPeerByNameAsync("Alice (home)", TimeSpan.FromSeconds(10)));
        Assert.Equal("Bob", await alice.GetPeerNameAsync(bob.Id));
        Assert.Contains(alice.DiscoveredPeers, peer => peer.Peer == bob.Id && peer.Addresses.Count == 1);

        await using IAsyncEnumerator<DiscoveryEvent> events = alice.WatchPeersAsync().GetAsyncEnumerator();
        Assert.True(await events.MoveNextAsync());
        Assert.Equal((DiscoveryEventKind.Found, bob.Id), (events.Current.Kind, events.Current.Peer));
        await bob.DisposeAsync();
        _hub.Expire(bob.Id);
        Assert.True(await events.MoveNextAsync());
        Assert.Equal((DiscoveryEventKind.Expired, bob.Id), (events.Current.Kind, events.Current.Peer));
        Assert.Empty(alice.DiscoveredPeers);
    }

    [Fact]
    public async Task A_peer_that_cannot_be_asked_for_its_name_at_first_is_asked_again()
    {
        await using FastShareNode seeker = await StartAsync("seeker", memory: true);
        using PeerIdentity identity = PeerIdentity.Generate();
        var address = Multiaddr.Parse($"/memory/late-{Guid.NewGuid():N}");
        await using IAsyncEnumerator<SwarmEvent> events = seeker.Swarm.WatchAsync().GetAsyncEnumerator();
        Task<PeerId> search = seeker.FindPeerByNameAsync("late", TimeSpan.FromSeconds(50));
        ValueTask<bool> dialed = events.MoveNextAsync();
        _hub.Announce(identity.PeerId, address); // the only announcement, and nobody listens there yet
        while (await dialed && events.Current is not SwarmEvent.DialFailed) dialed = events.MoveNextAsync();

        await using FastShareNode late = await FastShareNode.StartAsync(
            new FastShareOptions { Name = "late", Identity = identity, Transports = [_memory], Listen = [address] });
        Assert.Equal(late.Id, await search);
    }

    [Fact]
    public async Task Two_peers_of_one_name_are_told_apart_by_refusing()
    {
        await using FastShareNode one = await StartAsync("twin", memory: true);
        await using FastShareNode two = await StartAsync("twin", memory: true);
        await using FastShareNode seeker = await StartAsync("seeker", memory: true);
        TransferException failure =
            await Assert.ThrowsAsync<TransferException>(() => seeker.FindPeerByNameAsync("twin", TimeSpan.FromSeconds(10)));
        Assert.Equal(TransferError.PeerNotReachable, failure.Error);
        Assert.Contains(one.Id.ToString(), failure.Message, StringComparison.Ordinal);
        Assert.Contains(two.Id.ToString(), failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Stopping_a_node_ends_its_transfers()
    {
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        FastShareNode receiver = await StartAsync("receiver", memory: true, async (_, cancellationToken) =>
        {
            asked.SetResult();
            await Task.Delay(Timeout.Infinite, cancellationToken);
            return OfferAnswer.Refuse("");
        });
        await using FastShareNode sender = await StartAsync("sender", memory: true);
        Transfer sent = sender.Send(receiver.Id, [AddFile("a", 1)]);
        await asked.Task;
        await receiver.DisposeAsync();
        Assert.Equal(TransferError.CancelledByPeer, (await Assert.ThrowsAsync<TransferException>(() => sent.Completion)).Error);
    }

    [Theory]
    [InlineData("")]
    [InlineData("bell\a")]
    [InlineData("0123456789012345678901234567890123456789012345678901234567890123")]
    public async Task Impossible_names_are_refused(string name) =>
        await Assert.ThrowsAsync<ArgumentException>(() => FastShareNode.StartAsync(new FastShareOptions { Name = name, Listen = [] }));

    private ValueTask<OfferAnswer> AcceptAll(TransferOffer offer, CancellationToken cancellationToken) =>
        ValueTask.FromResult(OfferAnswer.Accept(Path.Combine(_root, "target")));

    private string AddFile(string name, int size)
    {
        Directory.CreateDirectory(Path.Combine(_root, "source"));
        string path = Path.Combine(_root, "source", name);
        byte[] content = new byte[size];
        new Random(size).NextBytes(content);
        File.WriteAllBytes(path, content);
        return path;
    }

    private Task<FastShareNode> StartAsync(string name, bool memory, ConsentPolicy? consent = null, PeerIdentity? identity = null) =>
        FastShareNode.StartAsync(new FastShareOptions
        {
            Name = name,
            Identity = identity,
            Consent = consent,
            Transports = memory ? [_memory] : null,
            Listen = [Multiaddr.Parse(memory ? $"/memory/node-{Guid.NewGuid():N}" : "/ip4/127.0.0.1/tcp/0")],
            Discovery = [new InMemoryDiscovery(_hub)],
        });
}
