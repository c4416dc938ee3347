using FastShare.Testing.Sockets;
using FastShare.Transport.Dialing;
using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;
using FastShare.Transport.Watching;
using FastShare.Transport.Watching.Internal;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transport.Tests.Connections;

/// <summary>The states of peers, as watchers see them.</summary>
public sealed class PeerWatchingTests
{
    private static readonly Multiaddr Address = Multiaddr.Parse("/memory/there");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_peer_is_seen_discovered_dialing_connected_disconnected_and_expired()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        await using IAsyncEnumerator<PeerState> states = a.WatchPeerAsync(b.LocalPeer, Token).GetAsyncEnumerator(Token);
        Assert.Equal(PeerStatus.Unknown, (await NextAsync(states)).Status); // the latest state first, even if it is none

        a.Discovered(new DiscoveryEvent(DiscoveryEventKind.Found, b.LocalPeer, b.ListenAddresses, "test"));
        PeerState state = await UntilAsync(states, s => s.Status == PeerStatus.Discovered);
        Assert.Equal(b.ListenAddresses, state.DiscoveredAddresses);
        Assert.Equal(b.ListenAddresses, a.GetAddresses(b.LocalPeer)); // and it can be dialed

        PeerConnection connection = await a.ConnectAsync(b.LocalPeer, null, Token);
        state = await UntilAsync(states, s => s.Status == PeerStatus.Connected && s.RoundTripTime is not null);
        Assert.Equal((1, connection.Security), (state.Connections, state.Security));
        await a.ConnectAsync(b.LocalPeer, new DialOptions { Condition = DialCondition.Always }, Token);
        await UntilAsync(states, s => s.Connections == 2);

        await a.DisconnectAsync(b.LocalPeer, Token);
        state = await UntilAsync(states, s => s.Connections == 0 && !s.IsDialing);
        Assert.Equal(PeerStatus.Discovered, state.Status); // a discovery still announces it
        Assert.Equal(DisconnectCause.ClosedHere, state.LastDisconnect?.Cause);

        a.Discovered(new DiscoveryEvent(DiscoveryEventKind.Expired, b.LocalPeer, b.ListenAddresses, "test"));
        state = await UntilAsync(states, s => s.Status == PeerStatus.Expired);
        Assert.Empty(state.DiscoveredAddresses);
        Assert.Empty(a.GetAddresses(b.LocalPeer));
        await a.DisposeAsync();
        Assert.False(await states.MoveNextAsync());
    }

    [Fact]
    public async Task A_peer_that_cannot_be_reached_is_seen_backing_off_until_when_and_why()
    {
        await using var nodes = new TestNodes();
        var time = new FakeTimeProvider();
        Swarm a = await nodes.StartAsync("a", (identity, transport) =>
            new SwarmOptions { Identity = identity, Transports = [transport], TimeProvider = time });
        using PeerIdentity peer = PeerIdentity.Generate();
        await using IAsyncEnumerator<PeerState> states = a.WatchPeerAsync(peer.PeerId, Token).GetAsyncEnumerator(Token);
        var error = await Assert.ThrowsAsync<TransportException>(async () => await a.ConnectAsync(peer.PeerId, [Address], Token));
        PeerState state = await UntilAsync(states, s => s.Backoff is not null);
        Assert.Equal(PeerStatus.BackingOff, state.Status);
        Assert.True(state.Backoff!.Until > time.GetUtcNow());
        Assert.Equal(TransportError.DialFailure, state.Backoff.Reason.Error);
        Assert.Equal(error.Message, state.DialError?.Message);
        time.Advance(TimeSpan.FromMinutes(1));
        await using IAsyncEnumerator<PeerState> later = a.WatchPeerAsync(peer.PeerId, Token).GetAsyncEnumerator(Token);
        Assert.Equal((PeerStatus.Disconnected, null), ((await NextAsync(later)) is var now ? now.Status : default, now.Backoff));
    }

    [Fact]
    public async Task All_peers_are_shown_at_once_to_those_who_come_late()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        using PeerIdentity c = PeerIdentity.Generate();
        await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        a.Discovered(new DiscoveryEvent(DiscoveryEventKind.Found, c.PeerId, [Address], "test"));
        var seen = new Dictionary<PeerId, PeerState>();
        await foreach (PeerState state in a.WatchPeersAsync(Token))
        {
            seen[state.Peer] = state;
            if (seen.Count == 2) break;
        }

        Assert.Equal(PeerStatus.Connected, seen[b.LocalPeer].Status);
        Assert.Equal(PeerStatus.Discovered, seen[c.PeerId].Status);
    }

    [Fact]
    public async Task A_slow_reader_sees_the_latest_state_of_each_peer_and_blocks_nobody()
    {
        var states = new PeerStates(TimeProvider.System);
        PeerId[] peers = [.. Enumerable.Range(0, 10).Select(_ => PeerIdentity.Generate().PeerId)];
        IAsyncEnumerable<PeerState> reader = states.WatchAsync(null, Token);
        for (int i = 0; i < 1000; i++)
        {
            foreach (PeerId peer in peers)
            {
                states.DialStarted(peer);
                states.DialEnded(peer, new TransportException(TransportError.DialFailure, $"{i}"));
            }
        }

        states.Complete();
        var seen = new List<PeerState>();
        await foreach (PeerState state in reader) seen.Add(state);
        Assert.Equal(peers, seen.Select(state => state.Peer));
        Assert.All(seen, state => Assert.Equal("999", state.DialError?.Message));
    }

    [Fact]
    public async Task Memory_is_bounded_by_what_is_present_and_a_thousand_past_peers()
    {
        var states = new PeerStates(TimeProvider.System);
        PeerId present = PeerIdentity.Generate().PeerId;
        Assert.True(states.Found(present, [Address]));
        IAsyncEnumerable<PeerState> reader = states.WatchAsync(null, Token);
        PeerId last = present;
        for (int i = 0; i < PeerStates.MaxPast + 500; i++)
        {
            last = PeerIdentity.Generate().PeerId;
            states.DialStarted(last);
            states.DialEnded(last, new TransportException(TransportError.DialFailure, "no"));
        }

        states.Complete();
        var seen = new List<PeerId>();
        await foreach (PeerState state in reader) seen.Add(state.Peer);
        Assert.Equal(PeerStates.MaxPast + 1, seen.Count);
        Assert.Contains(present, seen);
        Assert.Contains(last, seen);
    }

    [Fact]
    public void No_more_than_4096_peers_are_taken_from_discoveries()
    {
        var states = new PeerStates(TimeProvider.System);
        PeerId[] peers = [.. Enumerable.Range(0, PeerStates.MaxDiscovered).Select(_ => PeerIdentity.Generate().PeerId)];
        foreach (PeerId peer in peers) Assert.True(states.Found(peer, [Address]));
        PeerId late = PeerIdentity.Generate().PeerId;
        Assert.False(states.Found(late, [Address]));
        states.Expired(peers[0], [Address]);
        Assert.True(states.Found(late, [Address]));
    }

    [Fact]
    public async Task Watching_ends_with_its_token()
    {
        var states = new PeerStates(TimeProvider.System);
        using var cancellation = new CancellationTokenSource();
        await using IAsyncEnumerator<PeerState> reader = states.WatchAsync(null, cancellation.Token).GetAsyncEnumerator(Token);
        ValueTask<bool> waiting = reader.MoveNextAsync();
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await waiting);
    }

    private static async Task<PeerState> NextAsync(IAsyncEnumerator<PeerState> states)
    {
        Assert.True(await states.MoveNextAsync());
        return states.Current;
    }

    private static async Task<PeerState> UntilAsync(IAsyncEnumerator<PeerState> states, Func<PeerState, bool> condition)
    {
        PeerState state;
        do state = await NextAsync(states);
        while (!condition(state));
        return state;
    }
}
