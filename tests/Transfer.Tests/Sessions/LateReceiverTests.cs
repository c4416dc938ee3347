using FastShare.Transport;
using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transfer.Tests.Sessions;

/// <summary>Files queued for a peer that is not there. The sender's time stands still but for what a test says, so nothing is found by polling.</summary>
public sealed class LateReceiverTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("fastshare-test-").FullName;
    private readonly MemoryTransport _memory = new();
    private readonly InMemoryDiscoveryHub _hub = new();
    private readonly FakeTimeProvider _time = new();

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public async Task Discovery_wakes_all_that_is_queued_and_one_dial_serves_it()
    {
        await using FastShareNode sender = await StartSenderAsync();
        using PeerIdentity identity = PeerIdentity.Generate();
        Transfer[] queued = [.. Enumerable.Range(0, 10).Select(i => sender.Send(identity.PeerId, [AddFile($"file{i}", 100 * i)]))];
        // The transfers wait for the peer by now, or will find it there.
        await using FastShareNode other = await StartReceiverAsync();
        Assert.Equal(0, sender.Swarm.DialCount(identity.PeerId));

        await using FastShareNode receiver = await StartReceiverAsync(identity);
        await Task.WhenAll(queued.Select(transfer => transfer.Completion));
        Assert.Equal(1, sender.Swarm.DialCount(identity.PeerId));
        Assert.Single(sender.Swarm.Connections, connection => connection.Peer == identity.PeerId);
        Assert.Equal(10, Directory.GetFiles(Path.Combine(_root, "target")).Length);
    }

    [Fact]
    public async Task More_transfers_than_a_receiver_takes_at_once_wait_for_each_other()
    {
        await using FastShareNode sender = await StartSenderAsync();
        using PeerIdentity identity = PeerIdentity.Generate();
        Transfer[] queued = [.. Enumerable.Range(0, 100).Select(i => sender.Send(identity.PeerId, [AddFile($"file{i}", 100 * i)]))];

        await using FastShareNode receiver = await StartReceiverAsync(identity);
        await Task.WhenAll(queued.Select(transfer => transfer.Completion));
        Assert.Equal(1, sender.Swarm.DialCount(identity.PeerId));
        Assert.Equal(100, Directory.GetFiles(Path.Combine(_root, "target")).Length);
    }

    [Fact]
    public async Task Cancelling_one_that_waits_for_a_place_leaves_the_others_theirs()
    {
        await using FastShareNode sender = await StartSenderAsync();
        using PeerIdentity identity = PeerIdentity.Generate();
        Transfer[] queued = [.. Enumerable.Range(0, 40).Select(i => sender.Send(identity.PeerId, [AddFile($"file{i}", 100 * i)]))];
        await using FastShareNode receiver = await StartReceiverAsync(identity);
        foreach (Transfer transfer in queued[20..]) await transfer.CancelAsync();
        await Task.WhenAll(queued[..20].Select(transfer => transfer.Completion));
        foreach (Transfer transfer in queued) await Task.WhenAny(transfer.Completion);

        await sender.Send(identity.PeerId, [AddFile("last", 1)]).Completion;
        Assert.True(File.Exists(Path.Combine(_root, "target", "last")));
    }

    [Fact]
    public async Task Each_waits_as_long_as_its_own_budget_and_no_longer()
    {
        await using FastShareNode sender = await StartSenderAsync();
        using PeerIdentity identity = PeerIdentity.Generate();
        DateTimeOffset start = _time.GetUtcNow();
        Transfer patient = Send(sender, identity.PeerId, "patient", TimeSpan.FromDays(2));
        Transfer hasty = Send(sender, identity.PeerId, "hasty", TimeSpan.FromSeconds(10));
        while (!hasty.Completion.IsCompleted)
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            await Task.Delay(1);
        }

        TransferException failure = await Assert.ThrowsAsync<TransferException>(() => hasty.Completion);
        Assert.Equal((TransferError.PeerNotReachable, identity.PeerId), (failure.Error, failure.Peer));
        Assert.Contains("was not found within 10 s", failure.Message, StringComparison.Ordinal);
        Assert.True(_time.GetUtcNow() - start >= TimeSpan.FromSeconds(10));
        Assert.Equal(TransferState.Connecting, patient.Progress.State);

        await using FastShareNode receiver = await StartReceiverAsync(identity);
        await patient.Completion;
        Assert.Equal(1, sender.Swarm.DialCount(identity.PeerId));
        Assert.Equal(["patient"], Directory.GetFiles(Path.Combine(_root, "target")).Select(Path.GetFileName));
    }

    [Fact]
    public async Task A_peer_announced_before_it_could_be_reached_gets_its_files_when_it_is_announced_again()
    {
        await using FastShareNode sender = await StartSenderAsync();
        using PeerIdentity identity = PeerIdentity.Generate();
        Transfer queued = Send(sender, identity.PeerId, "file", TimeSpan.FromSeconds(30));
        await using IAsyncEnumerator<SwarmEvent> events = sender.Swarm.WatchAsync().GetAsyncEnumerator();
        ValueTask<bool> dialed = events.MoveNextAsync();
        _hub.Announce(identity.PeerId, Multiaddr.Parse($"/memory/nobody-{Guid.NewGuid():N}"));
        while (await dialed && events.Current is not SwarmEvent.DialFailed) dialed = events.MoveNextAsync();
        _hub.Expire(identity.PeerId);
        Assert.False(queued.Completion.IsCompleted);

        await using FastShareNode receiver = await StartReceiverAsync(identity);
        await queued.Completion;
        Assert.Equal(["file"], Directory.GetFiles(Path.Combine(_root, "target")).Select(Path.GetFileName));
    }

    [Fact]
    public async Task A_peer_that_connects_itself_gets_what_waits_for_it_without_any_dial()
    {
        await using FastShareNode sender = await StartSenderAsync();
        using PeerIdentity identity = PeerIdentity.Generate();
        Transfer queued = Send(sender, identity.PeerId, "file", TimeSpan.FromSeconds(30));
        // Not announced: only it knows how to reach the sender.
        await using FastShareNode receiver = await FastShareNode.StartAsync(new FastShareOptions
        {
            Name = "receiver",
            Identity = identity,
            Transports = [_memory],
            Listen = [],
            Consent = AcceptAll,
        });
        await receiver.Swarm.ConnectAsync(sender.Id, [.. sender.Swarm.ListenAddresses], CancellationToken.None);
        await queued.Completion;
        Assert.Equal(0, sender.Swarm.DialCount(identity.PeerId));
    }

    [Fact]
    public async Task What_waits_can_be_cancelled_and_leaves_the_others_waiting()
    {
        await using FastShareNode sender = await StartSenderAsync();
        using PeerIdentity identity = PeerIdentity.Generate();
        Transfer stays = Send(sender, identity.PeerId, "stays", TimeSpan.FromSeconds(30));
        Transfer goes = Send(sender, identity.PeerId, "goes", TimeSpan.FromSeconds(30));
        await goes.CancelAsync();
        Assert.Equal(TransferError.Cancelled, (await Assert.ThrowsAsync<TransferException>(() => goes.Completion)).Error);
        await using FastShareNode receiver = await StartReceiverAsync(identity);
        await stays.Completion;
        Assert.Equal(["stays"], Directory.GetFiles(Path.Combine(_root, "target")).Select(Path.GetFileName));
    }

    private Transfer Send(FastShareNode sender, PeerId peer, string name, TimeSpan wait) =>
        sender.Send(peer, [AddFile(name, 1000)], new SendOptions { WaitForPeer = wait });

    private ValueTask<OfferAnswer> AcceptAll(TransferOffer offer, CancellationToken cancellationToken) =>
        ValueTask.FromResult(OfferAnswer.Accept(Path.Combine(_root, "target")));

    private string AddFile(string name, int size)
    {
        Directory.CreateDirectory(Path.Combine(_root, "source"));
        string path = Path.Combine(_root, "source", name);
        File.WriteAllBytes(path, new byte[size]);
        return path;
    }

    private Task<FastShareNode> StartSenderAsync() => StartAsync("sender", _time, null);

    private Task<FastShareNode> StartReceiverAsync(PeerIdentity? identity = null) => StartAsync("receiver", TimeProvider.System, identity);

    private Task<FastShareNode> StartAsync(string name, TimeProvider time, PeerIdentity? identity) =>
        FastShareNode.StartAsync(new FastShareOptions
        {
            Name = name,
            Identity = identity,
            Consent = AcceptAll,
            TimeProvider = time,
            Transports = [_memory],
            Listen = [Multiaddr.Parse($"/memory/node-{Guid.NewGuid():N}")],
            Discovery = [new InMemoryDiscovery(_hub)],
        });
}
