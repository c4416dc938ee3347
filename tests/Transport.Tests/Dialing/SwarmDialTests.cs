using System.Net;
using System.Net.Sockets;
using FastShare.Testing;
using FastShare.Testing.Sockets;
using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;
using FastShare.Transport.Tests.Connections;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transport.Tests.Dialing;

/// <summary>Dialing with the real stack: what the project exists for.</summary>
public sealed class SwarmDialTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(10)]
    [InlineData(99)]
    [InlineData(1000)]
    public async Task Any_number_of_requests_to_a_peer_never_dialed_make_one_dial_and_one_connection(int requests)
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        b.Handle(Questions.Echo, Questions.EchoAsync);
        a.AddAddresses(b.LocalPeer, b.ListenAddresses);
        int[] answers = await Task.WhenAll(Enumerable.Range(0, requests).Select(
            i => Task.Run(async () => await Questions.AskAsync(a, b.LocalPeer, i, Token))));
        Assert.Equal(Enumerable.Range(0, requests), answers);
        Assert.Equal(1, a.DialCount(b.LocalPeer));
        Assert.Single(a.Connections);
        Assert.Single(b.Connections);
    }

    [Fact]
    public async Task Several_addresses_of_one_peer_still_make_one_connection()
    {
        await using var nodes = new TestNodes();
        var time = new FakeTimeProvider();
        Swarm a = await nodes.StartTcpAsync((identity, transport) =>
            new SwarmOptions { Identity = identity, Transports = [transport], TimeProvider = time });
        Swarm b = await nodes.StartTcpAsync();
        int accepted = 0;
        await b.ListenAsync(Multiaddr.Parse("/ip4/127.0.0.2/tcp/0"), Token);
        await b.ListenAsync(Multiaddr.Parse("/ip4/127.0.0.3/tcp/0"), Token);
        IAsyncEnumerable<SwarmEvent> events = b.WatchAsync(Token);
        Task<PeerConnection[]> connecting = Task.WhenAll(
            Enumerable.Range(0, 50).Select(_ => a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token).AsTask()));
        time.Advance(2 * DialPlan.PrivateStagger); // all addresses are due; no handshake takes too long, however long this machine takes
        PeerConnection[] connections = await connecting;
        Assert.Single(connections.Distinct());
        await connections[0].PingAsync(Token);
        await b.DisposeAsync();
        await foreach (SwarmEvent change in events) accepted += change is SwarmEvent.Connected ? 1 : 0;
        Assert.Equal(1, accepted);
    }

    [Fact]
    public async Task Both_sides_dialing_at_once_fails_nobody()
    {
        await using var nodes = new TestNodes();
        for (int round = 0; round < 100; round++)
        {
            Swarm a = await nodes.StartAsync($"a{round}"), b = await nodes.StartAsync($"b{round}");
            a.Handle(Questions.Echo, Questions.EchoAsync);
            b.Handle(Questions.Echo, Questions.EchoAsync);
            a.AddAddresses(b.LocalPeer, b.ListenAddresses);
            b.AddAddresses(a.LocalPeer, a.ListenAddresses);
            var start = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            Task<int> there = RequestAsync(a, b.LocalPeer, start.Task, 1), back = RequestAsync(b, a.LocalPeer, start.Task, 2);
            start.SetResult();
            Assert.Equal(1, await there);
            Assert.Equal(2, await back);

            // What each side holds stays usable.
            foreach (PeerConnection connection in a.Connections.Concat(b.Connections))
                Assert.Equal(3, await Questions.AskAsync(await connection.OpenStreamAsync(Questions.Echo, Token), 3, Token));
            Assert.InRange(a.DialCount(b.LocalPeer), 0, 1);
            Assert.InRange(b.DialCount(a.LocalPeer), 0, 1);
            await Task.WhenAll(a.DisposeAsync().AsTask(), b.DisposeAsync().AsTask());
        }

        static async Task<int> RequestAsync(Swarm from, PeerId to, Task start, int question)
        {
            await start;
            return await Questions.AskAsync(from, to, question, Token);
        }
    }

    [Fact]
    public async Task Both_sides_dialing_at_once_over_tcp_keep_connections_that_work()
    {
        for (int round = 0; round < 30; round++)
        {
            await using var nodes = new TestNodes();
            Swarm a = await nodes.StartTcpAsync(), b = await nodes.StartTcpAsync();
            PeerConnection[] both = await Task.WhenAll(
                Task.Run(() => a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token).AsTask()),
                Task.Run(() => b.ConnectAsync(a.LocalPeer, a.ListenAddresses, Token).AsTask()));
            foreach (PeerConnection connection in both) await connection.PingAsync(Token);

            // It is the same one, unless that was surplus.
            PeerConnection ofA = await a.ConnectAsync(b.LocalPeer, null, Token), ofB = await b.ConnectAsync(a.LocalPeer, null, Token);
            Assert.Contains(ofA, new[] { both[0], both[0].Successor });
            Assert.Contains(ofB, new[] { both[1], both[1].Successor });
        }
    }

    [Fact]
    public async Task Another_peer_at_the_address_is_told_apart()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b"), c = await nodes.StartAsync(null);
        var error = await Assert.ThrowsAsync<TransportException>(async () => await a.ConnectAsync(c.LocalPeer, b.ListenAddresses, Token));
        Assert.Equal(TransportError.DialFailure, error.Error);
        Assert.Equal(c.LocalPeer, error.Peer);
        DialAttempt attempt = Assert.Single(error.Attempts);
        Assert.Equal(TransportError.PeerIdMismatch, attempt.Error);
        Assert.Contains(c.LocalPeer.ToString(), attempt.Message, StringComparison.Ordinal);
        Assert.Empty(a.Connections);
    }

    [Fact]
    public async Task A_node_does_not_dial_itself()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a");
        var error = await Assert.ThrowsAsync<TransportException>(async () => await a.ConnectAsync(a.LocalPeer, a.ListenAddresses, Token));
        Assert.Equal(TransportError.InvalidOperation, error.Error);
        error = await Assert.ThrowsAsync<TransportException>(async () => await a.OpenStreamAsync(a.LocalPeer, Questions.Echo, Token));
        Assert.Equal(TransportError.InvalidOperation, error.Error);
    }

    [Fact]
    public async Task Dead_addresses_among_good_ones_do_not_matter()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartTcpAsync(), b = await nodes.StartTcpAsync();
        using Socket deaf = BindWithoutListening(out Multiaddr refused);
        Multiaddr unsupported = Multiaddr.Parse("/ip4/127.0.0.1/udp/4001/quic-v1");
        PeerConnection connection = await a.ConnectAsync(b.LocalPeer, [unsupported, refused, .. b.ListenAddresses], Token);
        Assert.Equal(b.ListenAddresses[0], connection.RemoteAddress);
        Assert.Equal(b.ListenAddresses[0], a.GetAddresses(b.LocalPeer)[0]); // tried first next time
        Assert.Equal(3, a.GetAddresses(b.LocalPeer).Count); // nothing is lost
    }

    [Fact]
    public async Task An_address_that_a_peer_claims_is_used_and_forgotten_when_it_fails()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        PeerConnection first = await b.ConnectAsync(a.LocalPeer, a.ListenAddresses, Token);
        await first.IdentifyAsync(Token);
        await Eventually.BecomesTrueAsync(() => a.GetAddresses(b.LocalPeer).Count == 1, "b said where it listens");
        await b.DisconnectAsync(a.LocalPeer, Token);
        await Eventually.BecomesTrueAsync(() => a.Connections.Count == 0, "the connection is over");
        PeerConnection second = await a.ConnectAsync(b.LocalPeer, cancellationToken: Token);
        Assert.Equal(b.ListenAddresses[0], second.RemoteAddress.WithoutPeerId());
        await b.DisposeAsync();
        await Eventually.BecomesTrueAsync(() => a.Connections.Count == 0, "the peer has gone");
        await Assert.ThrowsAsync<TransportException>(async () => await a.ConnectAsync(b.LocalPeer, cancellationToken: Token));
        Assert.Empty(a.GetAddresses(b.LocalPeer));
        var error = await Assert.ThrowsAsync<TransportException>(async () => await a.ConnectAsync(b.LocalPeer, cancellationToken: Token));
        Assert.Equal(TransportError.NoAddresses, error.Error);
    }

    [Fact]
    public async Task A_failed_dial_names_every_address_and_its_cause()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartTcpAsync(), b = await nodes.StartTcpAsync(), c = await nodes.StartTcpAsync();
        using Socket deaf = BindWithoutListening(out Multiaddr refused);
        Multiaddr unsupported = Multiaddr.Parse("/ip4/127.0.0.1/udp/4001/quic-v1");
        var error = await Assert.ThrowsAsync<TransportException>(
            async () => await a.ConnectAsync(c.LocalPeer, [refused, unsupported, .. b.ListenAddresses], Token));
        Assert.Equal(
            new Dictionary<Multiaddr, TransportError>
            {
                [refused] = TransportError.ConnectionRefused,
                [unsupported] = TransportError.InvalidAddress,
                [b.ListenAddresses[0]] = TransportError.PeerIdMismatch,
            },
            error.Attempts.ToDictionary(x => x.Address, x => x.Error));
    }

    [Fact]
    public async Task A_peers_own_connection_answers_callers_whose_dial_goes_nowhere()
    {
        await using var nodes = new TestNodes();
        var silent = new SilentTransport(nodes.Memory);
        Swarm a = await nodes.StartAsync(silent, Multiaddr.Parse("/memory/a")), b = await nodes.StartAsync("b");
        a.AddAddresses(b.LocalPeer, b.ListenAddresses);
        Task<PeerConnection>[] waiting = [.. Enumerable.Range(0, 20).Select(_ => a.ConnectAsync(b.LocalPeer, null, Token).AsTask())];
        await silent.Dialed;
        await b.ConnectAsync(a.LocalPeer, a.ListenAddresses, Token);
        PeerConnection[] connections = await Task.WhenAll(waiting);
        Assert.Single(connections.Distinct());
        Assert.True(connections[0].IsInbound);
        await connections[0].PingAsync(Token);
    }

    [Fact]
    public async Task A_stream_is_opened_on_another_connection_when_the_first_is_dead()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        b.Handle(Questions.Echo, Questions.EchoAsync);
        for (int round = 0; round < 20; round++)
        {
            PeerConnection first = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
            first.Abort(new TransportException(TransportError.ConnectionReset, "pulled the plug"));
            Assert.Equal(9, await Questions.AskAsync(a, b.LocalPeer, 9, Token));
        }
    }

    [Fact]
    public async Task A_lane_is_another_connection_and_carries_streams()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        b.Handle(Questions.Echo, Questions.EchoAsync);
        PeerConnection main = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        PeerConnection[] lanes = await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => a.ConnectLaneAsync(b.LocalPeer, Token).AsTask()));
        Assert.Equal(4, lanes.Append(main).Distinct().Count());
        foreach (PeerConnection lane in lanes) Assert.Equal(4, await Questions.AskAsync(await lane.OpenStreamAsync(Questions.Echo, Token), 4, Token));
        Assert.Same(main, await a.ConnectAsync(b.LocalPeer, null, Token));
        Assert.Equal(1, a.DialCount(b.LocalPeer));
        Assert.Equal(4, a.Connections.Count);
    }

    [Fact]
    public async Task Dials_and_connections_can_be_watched()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        await using IAsyncEnumerator<SwarmEvent> events = a.WatchAsync(Token).GetAsyncEnumerator(Token);
        PeerConnection connection = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        Assert.Equal(b.ListenAddresses, Assert.IsType<SwarmEvent.Dialing>(await NextAsync()).Addresses);
        var connected = Assert.IsType<SwarmEvent.Connected>(await NextAsync());
        Assert.Equal((b.LocalPeer, connection, 1), (connected.Peer, connected.Connection, connected.ConnectionsToPeer));
        Assert.IsType<SwarmEvent.Identified>(await NextAsync());
        await connection.CloseAsync(Token);
        var disconnected = Assert.IsType<SwarmEvent.Disconnected>(await NextAsync());
        Assert.Equal((connection, null, 0), (disconnected.Connection, disconnected.Reason, disconnected.ConnectionsToPeer));
        await b.DisposeAsync();
        await Assert.ThrowsAsync<TransportException>(async () => await a.ConnectAsync(b.LocalPeer, null, Token));
        Assert.IsType<SwarmEvent.Dialing>(await NextAsync());
        Assert.Equal(TransportError.DialFailure, Assert.IsType<SwarmEvent.DialFailed>(await NextAsync()).Error.Error);

        async Task<SwarmEvent> NextAsync()
        {
            Assert.True(await events.MoveNextAsync());
            return events.Current;
        }
    }

    [Fact]
    public async Task A_reader_that_does_not_read_loses_the_oldest_events_and_blocks_nobody()
    {
        var events = new EventFeed<SwarmEvent>(Swarm.MaxUnreadEvents);
        PeerId peer = PeerId.Parse("12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA");
        IAsyncEnumerable<SwarmEvent> watching = events.WatchAsync(Token);
        for (int i = 0; i < 3000; i++)
            events.Publish(new SwarmEvent.DialFailed(peer, new TransportException(TransportError.Unknown, $"{i}")));

        events.Complete();
        var seen = new List<string>();
        await foreach (SwarmEvent change in watching) seen.Add(((SwarmEvent.DialFailed)change).Error.Message);
        Assert.Equal(Enumerable.Range(3000 - 1024, 1024).Select(i => $"{i}"), seen);
    }

    // Keeps the port, so that nobody else on the machine listens there: whoever dials it is refused.
    private static Socket BindWithoutListening(out Multiaddr address)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        address = Multiaddr.FromTcp((IPEndPoint)socket.LocalEndPoint!);
        return socket;
    }

    /// <summary>Listens as its inner transport does; dials are never answered.</summary>
    private sealed class SilentTransport(ITransport inner) : ITransport
    {
        private readonly TaskCompletionSource _dialed = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Dialed => _dialed.Task;

        public bool Supports(Multiaddr address) => inner.Supports(address);

        public async ValueTask<IDuplexConnection> DialAsync(Multiaddr address, CancellationToken cancellationToken)
        {
            _dialed.TrySetResult();
            await Task.Delay(Timeout.Infinite, cancellationToken);
            throw new InvalidOperationException();
        }

        public ValueTask<IListener> ListenAsync(Multiaddr address, CancellationToken cancellationToken) =>
            inner.ListenAsync(address, cancellationToken);
    }
}
