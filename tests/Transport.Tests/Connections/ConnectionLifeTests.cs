using FastShare.Testing;
using FastShare.Testing.Sockets;
using FastShare.Transport.Dialing;
using FastShare.Transport.Identity;
using FastShare.Transport.Multiplexing;
using FastShare.Transport.Protocols;
using FastShare.Transport.Protocols.Internal;
using FastShare.Transport.Sockets;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transport.Tests.Connections;

/// <summary>Several connections to one peer, their ends, the news of them, and the negotiation of their streams.</summary>
public sealed class ConnectionLifeTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task One_of_several_connections_to_a_peer_is_closed_alone()
    {
        await using var nodes = new TestNodes();
        (Swarm a, Swarm b, PeerConnection[] connections) = await ConnectAsync(nodes, 3);
        await connections[1].CloseAsync(Token);
        Assert.Null(await connections[1].Closed);
        await Eventually.BecomesTrueAsync(() => a.Connections.Count == 2 && b.Connections.Count == 2, "two are left");
        Assert.Equal([connections[0], connections[2]], a.ConnectionsTo(b.LocalPeer));
        foreach (PeerConnection left in a.Connections) await left.PingAsync(Token);
        Assert.Same(connections[0], await a.ConnectAsync(b.LocalPeer, null, Token));
    }

    [Fact]
    public async Task Disconnecting_a_peer_closes_all_its_connections_and_no_other_peers()
    {
        await using var nodes = new TestNodes();
        (Swarm a, Swarm b, PeerConnection[] connections) = await ConnectAsync(nodes, 3);
        Swarm c = await nodes.StartAsync("c");
        PeerConnection other = await a.ConnectAsync(c.LocalPeer, c.ListenAddresses, Token);
        PeerConnection lane = await a.ConnectLaneAsync(b.LocalPeer, Token);
        IAsyncEnumerable<SwarmEvent> events = a.WatchAsync(Token);
        await a.DisconnectAsync(b.LocalPeer, Token);
        Assert.All([.. connections, lane], connection => Assert.True(connection.Closed.IsCompleted));
        Assert.All([.. connections, lane], connection => Assert.Equal(DisconnectCause.ClosedHere, connection.Cause));
        Assert.Same(other, Assert.Single(a.Connections));
        await a.DisconnectAsync(b.LocalPeer, Token); // nothing left: no error

        // When the call returns, everybody has been told.
        await a.DisposeAsync();
        var ended = new List<PeerConnection>();
        await foreach (SwarmEvent change in events)
        {
            if (change is SwarmEvent.Disconnected end) ended.Add(end.Connection);
        }

        Assert.Equal(5, ended.Count);
        Assert.Equal(ended.Take(4).ToHashSet(), [.. connections, lane]);
        await Eventually.BecomesTrueAsync(() => b.Connections.Count == 0, "the peer noticed");
    }

    [Fact]
    public async Task A_handler_may_disconnect_its_own_peer()
    {
        await using var nodes = new TestNodes();
        (Swarm a, Swarm b, PeerConnection[] connections) = await ConnectAsync(nodes, 1);
        var returned = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        b.Handle("/test/leave/1", async (stream, _) =>
        {
            await b.DisconnectAsync(stream.Connection.Peer, CancellationToken.None);
            returned.SetResult();
        });
        await Assert.ThrowsAnyAsync<TransportException>(async () =>
        {
            PeerStream stream = await connections[0].OpenStreamAsync("/test/leave/1", Token);
            await stream.Input.ReadAtLeastAsync(1, Token);
        });
        await returned.Task.WaitAsync(Token);
        Assert.Null(await connections[0].Closed.WaitAsync(Token));
        Assert.Equal(DisconnectCause.ClosedByPeer, connections[0].Cause);
    }

    [Fact]
    public async Task Readers_get_every_last_event_when_the_swarm_is_disposed_however_slow_they_are()
    {
        await using var nodes = new TestNodes();
        (Swarm a, _, _) = await ConnectAsync(nodes, 20);
        IAsyncEnumerable<SwarmEvent> events = a.WatchAsync(Token);
        await a.DisposeAsync(); // nothing was read until now
        int disconnected = 0;
        await foreach (SwarmEvent change in events) disconnected += change is SwarmEvent.Disconnected ? 1 : 0;
        Assert.Equal(20, disconnected);
    }

    [Fact]
    public async Task The_last_events_do_not_push_each_other_out()
    {
        using PeerIdentity identity = PeerIdentity.Generate();
        var events = new EventFeed<SwarmEvent>(Swarm.MaxUnreadEvents);
        IAsyncEnumerable<SwarmEvent> reader = events.WatchAsync(Token);
        for (int i = 0; i < Swarm.MaxUnreadEvents + 10; i++) events.Publish(new SwarmEvent.Dialing(identity.PeerId, []));
        events.BeginClosing();
        for (int i = 0; i < 500; i++)
            events.Publish(new SwarmEvent.DialFailed(identity.PeerId, new TransportException(TransportError.Aborted, $"{i}")));
        events.Complete();
        int dialing = 0, failed = 0;
        await foreach (SwarmEvent change in reader)
        {
            if (change is SwarmEvent.Dialing) dialing++;
            else Assert.Equal($"{failed++}", ((SwarmEvent.DialFailed)change).Error.Message);
        }

        Assert.Equal((Swarm.MaxUnreadEvents, 500), (dialing, failed));
    }

    [Fact]
    public async Task The_negotiation_timer_counts_from_the_request_also_while_it_waits_for_a_place()
    {
        var time = new FakeTimeProvider();
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a", (identity, transport) => new SwarmOptions
        {
            Identity = identity,
            Transports = [transport],
            TimeProvider = time,
            StreamNegotiationTimeout = TimeSpan.FromSeconds(3),
        });
        Swarm b = await nodes.StartAsync("b");
        PeerConnection connection = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        await connection.IdentifyAsync(Token);

        // All of the peer's handler places are taken; who comes then is not answered.
        var release = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        b.Handle(Questions.Echo, (_, token) => release.Task.WaitAsync(token));
        for (int i = 0; i < StreamDispatcher.MaxRunning; i++) await connection.OpenStreamAsync(Questions.Echo, Token);
        Task<PeerStream>[] beyond = [.. Enumerable.Range(0, 600).Select(_ => connection.OpenStreamAsync(Questions.Echo, Token).AsTask())];
        await Eventually.BecomesTrueAsync(() => connection.UseCount >= StreamDispatcher.MaxRunning + 100, "as many as may have proposed");
        time.Advance(TimeSpan.FromSeconds(3));
        int unsent = 0;
        foreach (Task<PeerStream> one in beyond)
        {
            var error = await Assert.ThrowsAsync<TransportException>(() => one);
            Assert.Equal(TransportError.Timeout, error.Error);
            if (error.NotTaken) unsent++;
        }

        // Those that had not even a place to propose, which may safely be tried again; a few got one from those whose time was over first.
        Assert.InRange(unsent, 1, 500);
        release.SetResult();
        await (await connection.OpenStreamAsync(ProtocolIds.Ping, Token)).DisposeAsync();
    }

    [Fact]
    public async Task At_most_128_inbound_streams_negotiate_at_a_time_and_further_ones_wait()
    {
        await using var nodes = new TestNodes();
        (Swarm a, Swarm b, PeerConnection[] connections) = await ConnectAsync(nodes, 1);
        b.Handle(Questions.Echo, Questions.EchoAsync);
        var silent = new List<IMuxedStream>();
        for (int i = 0; i < StreamDispatcher.MaxNegotiating; i++) silent.Add(await connections[0].OpenRawAsync(Token));
        await Eventually.BecomesTrueAsync(() => b.Connections[0].UseCount == silent.Count, "all have arrived");
        Task<int> late = Questions.AskAsync(await OpenLazilyAsync(connections[0]), 9, Token);
        await Eventually.BecomesTrueAsync(() => b.Connections[0].UseCount == silent.Count + 1, "the late one has arrived");
        for (int i = 0; i < 20; i++) await connections[0].BeatAsync(Token);
        Assert.False(late.IsCompleted);
        silent[0].Reset(); // one place is enough
        Assert.Equal(9, await late);
        foreach (IMuxedStream stream in silent) stream.Reset();
    }

    [Fact]
    public async Task An_unsupported_protocol_costs_no_handlers_place()
    {
        await using var nodes = new TestNodes();
        (Swarm a, Swarm b, PeerConnection[] connections) = await ConnectAsync(nodes, 1);
        b.Handle("/test/hold/1", (_, token) => Task.Delay(Timeout.Infinite, token)); // not in identify: opened means that the handler runs
        for (int i = 0; i < StreamDispatcher.MaxRunning; i++) await connections[0].OpenStreamAsync("/test/hold/1", Token);
        for (int i = 0; i < 10; i++)
        {
            var error = await Assert.ThrowsAsync<TransportException>(
                async () => await connections[0].OpenStreamAsync("/nobody/has/this/1", Token));
            Assert.Equal(TransportError.UnsupportedProtocol, error.Error);
        }
    }

    [Fact]
    public async Task A_stream_that_the_peer_had_not_taken_when_it_closed_in_good_order_says_so()
    {
        await using var nodes = new TestNodes();
        (Swarm a, Swarm b, PeerConnection[] connections) = await ConnectAsync(nodes, 1);
        PeerStream taken = await connections[0].OpenStreamAsync(Questions.Echo, Token);
        await taken.Output.WriteAsync(new byte[] { 1 }, Token);
        System.IO.Pipelines.ReadResult echo = await taken.Input.ReadAsync(Token);
        taken.Input.AdvanceTo(echo.Buffer.End);
        PeerStream untaken = await connections[0].OpenStreamAsync(Questions.Echo, Token); // negotiated lazily: nothing went out
        await b.Connections[0].CloseAsync(Token);
        await connections[0].Closed.WaitAsync(Token);
        var error = await Assert.ThrowsAsync<TransportException>(async () => await untaken.Input.ReadAsync(Token));
        Assert.Equal((TransportError.ConnectionClosed, true), (error.Error, error.NotTaken));
        error = await Assert.ThrowsAsync<TransportException>(async () => await untaken.Output.WriteAsync(new byte[] { 1 }, Token));
        Assert.True(error.NotTaken);
        error = await Assert.ThrowsAsync<TransportException>(async () => await taken.Input.ReadAsync(Token));
        Assert.Equal((TransportError.ConnectionClosed, false), (error.Error, error.NotTaken));
        error = await Assert.ThrowsAsync<TransportException>(async () => await connections[0].OpenStreamAsync(Questions.Echo, Token));
        Assert.True(error.NotTaken);
    }

    [Fact]
    public async Task A_lost_connection_never_claims_that_nothing_was_taken()
    {
        await using var nodes = new TestNodes();
        (_, Swarm b, PeerConnection[] connections) = await ConnectAsync(nodes, 1);
        PeerStream stream = await connections[0].OpenStreamAsync(Questions.Echo, Token);
        await stream.Output.WriteAsync(new byte[] { 1 }, Token);
        b.Connections[0].Abort(new TransportException(TransportError.ConnectionReset, "pulled the plug"));
        await connections[0].Closed.WaitAsync(Token);
        var error = await Assert.ThrowsAsync<TransportException>(async () => await stream.Output.WriteAsync(new byte[] { 1 }, Token));
        Assert.False(error.NotTaken);
        Assert.Equal(DisconnectCause.Lost, connections[0].Cause);
    }

    private static async ValueTask<PeerStream> OpenLazilyAsync(PeerConnection connection)
    {
        IMuxedStream raw = await connection.OpenRawAsync(Token);
        return new PeerStream(connection, Questions.Echo, raw, LazyNegotiation.Begin(raw, Questions.Echo));
    }

    private static async Task<(Swarm A, Swarm B, PeerConnection[] Connections)> ConnectAsync(TestNodes nodes, int count)
    {
        Swarm a = await nodes.StartAsync("a", Configure), b = await nodes.StartAsync("b", Configure);
        b.Handle(Questions.Echo, Questions.EchoAsync);
        a.AddAddresses(b.LocalPeer, b.ListenAddresses);
        var connections = new List<PeerConnection>();
        for (int i = 0; i < count; i++)
            connections.Add(await a.ConnectAsync(b.LocalPeer, new DialOptions { Condition = DialCondition.Always }, Token));
        await Eventually.BecomesTrueAsync(() => b.Connections.Count == count, "all are listed");
        foreach (PeerConnection connection in connections.Concat(b.Connections)) await connection.IdentifyAsync(Token);
        await Eventually.BecomesTrueAsync(() => connections.Concat(b.Connections).All(c => c.UseCount == 0), "nothing uses them");
        return (a, b, [.. connections]);

        static SwarmOptions Configure(PeerIdentity identity, ITransport transport) =>
            new() { Identity = identity, Transports = [transport], MaxConnectionsPerPeer = 32 };
    }
}
