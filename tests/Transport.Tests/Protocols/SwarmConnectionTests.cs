using FastShare.Testing;
using FastShare.Testing.Sockets;
using FastShare.Transport.Identity;
using FastShare.Transport.Protocols;
using FastShare.Transport.Sockets;
using FastShare.Transport.Tests.Connections;
using FastShare.Transport.Tests.Multiplexing;

namespace FastShare.Transport.Tests.Protocols;

/// <summary>Streams, handlers, hostile visitors and the end of everything, with the real stack.</summary>
public sealed class SwarmConnectionTests
{
    private const string Test = "/test/1";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_unsupported_protocol_is_named_with_its_peer()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        PeerConnection connection = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        var error = await Assert.ThrowsAsync<TransportException>(async () => await connection.OpenStreamAsync("/nobody/has/this/1", Token));
        Assert.Equal(TransportError.UnsupportedProtocol, error.Error);
        Assert.Equal(b.LocalPeer, error.Peer);
        Assert.Contains("/nobody/has/this/1", error.Message, StringComparison.Ordinal);
        Assert.Contains(b.LocalPeer.ToString(), error.Message, StringComparison.Ordinal);
        await connection.PingAsync(Token); // the connection did not suffer
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_stream_works_whether_or_not_the_peer_has_identified_itself(bool identified)
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        if (identified) b.Handle(Test, Questions.EchoAsync);
        PeerConnection connection = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        Assert.Equal(identified, (await connection.IdentifyAsync(Token)).Protocols.Contains(Test));
        b.Handle(Test, Questions.EchoAsync);
        await using PeerStream stream = await connection.OpenStreamAsync(Test, Token);
        Assert.Equal(Test, stream.Protocol);
        Assert.Same(connection, stream.Connection);
        await stream.Output.WriteAsync("hello"u8.ToArray(), Token);
        await stream.Output.CompleteAsync();
        Assert.Equal("hello"u8.ToArray(), await stream.Input.ReadToEndAsync(Token));
    }

    [Fact]
    public async Task A_failing_handler_resets_its_stream_and_hurts_no_other()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        b.Handle("/test/fail/1", async (stream, token) =>
        {
            await stream.Input.ReadAtLeastAsync(1, token);
            throw new InvalidOperationException("this handler is broken");
        });
        b.Handle(Test, Questions.EchoAsync);
        PeerConnection connection = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        await using PeerStream good = await connection.OpenStreamAsync(Test, Token);
        await good.Output.WriteAsync("one "u8.ToArray(), Token);
        for (int i = 0; i < 20; i++)
        {
            await using PeerStream bad = await connection.OpenStreamAsync("/test/fail/1", Token);
            var error = await Assert.ThrowsAsync<TransportException>(async () =>
            {
                await bad.Output.WriteAsync(new byte[] { 1 }, Token); // the reset may be here before this write has returned
                await bad.Input.ReadToEndAsync(Token);
            });
            Assert.Equal(TransportError.StreamReset, error.Error);
        }

        await good.Output.WriteAsync("two"u8.ToArray(), Token);
        await good.Output.CompleteAsync();
        Assert.Equal("one two"u8.ToArray(), await good.Input.ReadToEndAsync(Token));
        Assert.False(connection.Closed.IsCompleted);
    }

    [Fact]
    public async Task A_handlers_token_fires_and_its_stream_fails_when_the_connection_is_lost()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        var fired = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        b.Handle(Test, async (stream, token) =>
        {
            try
            {
                await stream.Output.WriteAsync(new byte[1], token);
                await Task.Delay(Timeout.Infinite, token);
            }
            finally
            {
                fired.TrySetResult();
            }
        });
        PeerConnection connection = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        await using PeerStream stream = await connection.OpenStreamAsync(Test, Token);
        var first = await stream.Input.ReadAsync(Token);
        stream.Input.AdvanceTo(first.Buffer.End);
        connection.Abort(new TransportException(TransportError.ConnectionReset, "pulled the plug"));
        await fired.Task.WaitAsync(Token);
        await Assert.ThrowsAsync<TransportException>(() => stream.Input.ReadToEndAsync(Token));
        Assert.NotNull(await connection.Closed);
    }

    [Fact]
    public async Task Streams_beyond_the_limit_of_running_handlers_wait_for_their_turn()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        int running = 0, most = 0;
        var release = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        b.Handle(Test, async (stream, token) =>
        {
            int now = Interlocked.Increment(ref running);
            InterlockedMax(ref most, now);
            await release.Task.WaitAsync(token);
            Interlocked.Decrement(ref running);
            await Questions.EchoAsync(stream, token);
        });
        PeerConnection connection = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        await connection.IdentifyAsync(Token);
        Task<byte[]>[] requests = [.. Enumerable.Range(0, 1500).Select(i => Task.Run(async () =>
        {
            await using PeerStream stream = await connection.OpenStreamAsync(Test, Token);
            await stream.Output.WriteAsync(BitConverter.GetBytes(i), Token);
            await stream.Output.CompleteAsync();
            return await stream.Input.ReadToEndAsync(Token);
        }))];
        await Eventually.BecomesTrueAsync(() => Volatile.Read(ref running) >= 1000, "a thousand handlers run");
        release.SetResult();
        Assert.Equal(Enumerable.Range(0, 1500), (await Task.WhenAll(requests)).Select(bytes => BitConverter.ToInt32(bytes)));
        Assert.InRange(most, 1000, 1024);

        static void InterlockedMax(ref int target, int value)
        {
            int seen;
            while ((seen = Volatile.Read(ref target)) < value) Interlocked.CompareExchange(ref target, value, seen);
        }
    }

    [Fact]
    public async Task Streams_that_are_reset_at_once_do_not_free_their_handlers_places()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        int running = 0;
        PeerConnection connection = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        await connection.IdentifyAsync(Token);
        b.Handle(Test, async (stream, token) =>
        {
            Interlocked.Increment(ref running);
            try
            {
                await stream.Output.WriteAsync(new byte[1], token);
            }
            catch (TransportException)
            {
                // The reset may come before the write has ended.
            }

            await Task.Delay(Timeout.Infinite, token);
        });
        for (int i = 0; i < 1024; i++)
        {
            PeerStream stream = await connection.OpenStreamAsync(Test, Token);
            await stream.Input.ReadAsync(Token);
            stream.Reset(); // gone; its handler is not
            await stream.DisposeAsync();
        }

        using var cancellation = new CancellationTokenSource();
        Task<PeerStream> beyond = connection.OpenStreamAsync(Test, cancellation.Token).AsTask();
        for (int i = 0; i < 100; i++) await Task.Yield();
        Assert.False(beyond.IsCompleted);
        Assert.Equal(1024, running);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => beyond);
    }

    [Fact]
    public async Task Garbage_and_silence_at_the_door_hold_up_nobody()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        var visitors = new List<IDuplexConnection>();
        var random = new Random(3);
        for (int i = 0; i < 100; i++) // silent, and below what makes room for newcomers
        {
            IDuplexConnection visitor = await nodes.Memory.DialAsync(b.ListenAddresses[0], Token);
            visitors.Add(visitor);
            if (i % 4 == 0) continue;
            byte[] garbage = new byte[random.Next(1, 3000)];
            random.NextBytes(garbage);
            await visitor.SendAsync(garbage, Token);
            if (i % 4 == 1) visitor.CloseWrite();
            if (i % 4 == 2) visitor.Abort();
        }

        PeerConnection connection = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        await connection.PingAsync(Token);
        Assert.Equal(connection.Peer, Assert.Single(a.Connections).Peer);
        Assert.Single(b.Connections);
        foreach (IDuplexConnection visitor in visitors) await visitor.DisposeAsync();
    }

    [Fact]
    public async Task More_held_open_connections_than_places_still_let_an_honest_peer_in()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a");
        Swarm b = await nodes.StartAsync(
            "b", (identity, transport) => new SwarmOptions { Identity = identity, Transports = [transport], MaxPendingInbound = 4 });
        var held = new List<IDuplexConnection>();
        for (int i = 0; i < 8; i++) held.Add(await nodes.Memory.DialAsync(b.ListenAddresses[0], Token));
        PeerConnection connection = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        await connection.PingAsync(Token);
        foreach (IDuplexConnection visitor in held) await visitor.DisposeAsync();
    }

    [Fact]
    public async Task A_visitor_that_says_nothing_is_shown_out()
    {
        await using var nodes = new TestNodes();
        var time = new Microsoft.Extensions.Time.Testing.FakeTimeProvider();
        Swarm b = await nodes.StartAsync(
            "b", (identity, transport) => new SwarmOptions { Identity = identity, Transports = [transport], TimeProvider = time });
        await using IDuplexConnection visitor = await nodes.Memory.DialAsync(b.ListenAddresses[0], Token);
        byte[] buffer = new byte[1000];
        Task<int> reading = visitor.ReceiveAsync(buffer, Token).AsTask();
        while (!reading.IsCompleted)
        {
            time.Advance(TimeSpan.FromSeconds(1));
            await Task.Yield();
        }

        // Either a multistream header that the listener said by itself and then the end, or the end.
        while (await reading > 0) reading = visitor.ReceiveAsync(buffer, Token).AsTask();
        Assert.Empty(b.Connections);
    }

    [Fact]
    public async Task Inbound_connections_beyond_the_limit_are_closed()
    {
        await using var nodes = new TestNodes();
        Swarm b = await nodes.StartAsync(
            "b", (identity, transport) => new SwarmOptions { Identity = identity, Transports = [transport], MaxInboundConnections = 3 });
        for (int i = 0; i < 3; i++)
        {
            Swarm peer = await nodes.StartAsync(null);
            await (await peer.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token)).PingAsync(Token);
        }

        Swarm late = await nodes.StartAsync(null);
        var error = await Assert.ThrowsAsync<TransportException>(
            async () => await late.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token));
        Assert.Equal(TransportError.DialFailure, error.Error);
        await using IAsyncEnumerator<SwarmEvent> events = b.WatchAsync(Token).GetAsyncEnumerator(Token);
        await b.Connections[0].CloseAsync(Token);
        do Assert.True(await events.MoveNextAsync());
        while (events.Current is not SwarmEvent.Disconnected);
        await (await late.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token)).PingAsync(Token);
    }

    [Fact]
    public async Task Disposing_ends_everything_in_the_middle_of_everything()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b"), c = await nodes.StartAsync("c");
        int running = 0;
        b.Handle(Test, async (stream, token) =>
        {
            Interlocked.Increment(ref running);
            try
            {
                while (true) await stream.Output.WriteAsync(new byte[100_000], token);
            }
            finally
            {
                Interlocked.Decrement(ref running);
            }
        });
        a.AddAddresses(b.LocalPeer, b.ListenAddresses);
        c.AddAddresses(b.LocalPeer, b.ListenAddresses);
        var work = new List<Task>();
        foreach (Swarm swarm in new[] { a, c })
        {
            for (int i = 0; i < 20; i++)
            {
                work.Add(Task.Run(async () =>
                {
                    await using PeerStream stream = await swarm.OpenStreamAsync(b.LocalPeer, Test, Token);
                    await stream.Input.ReadToEndAsync(Token);
                }));
                work.Add(Task.Run(async () => await (await swarm.ConnectLaneAsync(b.LocalPeer, Token)).PingAsync(Token)));
            }
        }

        await Eventually.BecomesTrueAsync(() => Volatile.Read(ref running) >= 5, "five handlers run");
        Task[] disposals = [b.DisposeAsync().AsTask(), b.DisposeAsync().AsTask()];
        await Task.WhenAll(disposals);
        Assert.Equal(0, running);
        Assert.Empty(b.Connections);
        Assert.Empty(b.ListenAddresses);
        await a.DisposeAsync();
        await c.DisposeAsync();
        foreach (Task task in work)
        {
            await task.ContinueWith(_ => { }, TaskScheduler.Default);
            if (task.IsFaulted) Assert.IsType<TransportException>(task.Exception.InnerException);
        }

        var error = await Assert.ThrowsAsync<TransportException>(async () => await b.ConnectAsync(a.LocalPeer, a.ListenAddresses, Token));
        Assert.Equal(TransportError.Aborted, error.Error);
        error = await Assert.ThrowsAsync<TransportException>(async () => await b.ListenAsync(Multiaddr.Parse("/memory/again"), Token));
        Assert.Equal(TransportError.Aborted, error.Error);
    }

    [Fact]
    public async Task A_handler_may_close_its_own_connection()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        b.Handle(Test, async (stream, token) => await stream.Connection.CloseAsync(token));
        PeerConnection connection = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        await using PeerStream stream = await connection.OpenStreamAsync(Test, Token);
        try
        {
            await stream.Output.FlushAsync(Token); // where identify was quicker the proposal goes out with the first bytes
        }
        catch (TransportException)
        {
            // Where it was not, the handler may be quicker than this.
        }

        await connection.Closed.WaitAsync(Token);
    }

    [Fact]
    public async Task Plaintext_needs_both_sides()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a", Plain), b = await nodes.StartAsync("b", Plain), c = await nodes.StartAsync("c");
        PeerConnection connection = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        Assert.Equal(ProtocolIds.Plaintext, connection.Security);
        await connection.PingAsync(Token);
        var error = await Assert.ThrowsAsync<TransportException>(async () => await a.ConnectAsync(c.LocalPeer, c.ListenAddresses, Token));
        Assert.Equal(TransportError.HandshakeFailed, Assert.Single(error.Attempts).Error);
        await Assert.ThrowsAsync<TransportException>(async () => await c.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token));

        static SwarmOptions Plain(PeerIdentity identity, ITransport transport) =>
            new() { Identity = identity, Transports = [transport], Security = SecurityMode.InsecurePlaintext };
    }

    [Fact]
    public async Task Wildcards_are_reachable_at_the_machines_addresses_loopback_last()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync(new TcpTransport(), Multiaddr.Parse("/ip4/0.0.0.0/tcp/0"));
        IReadOnlyList<Multiaddr> reachable = a.GetReachableAddresses();
        Assert.StartsWith("/ip4/127.0.0.1/tcp/", reachable[^1].ToString(), StringComparison.Ordinal);
        Assert.All(reachable, address => Assert.Equal(a.LocalPeer, address.PeerId));
        Swarm b = await nodes.StartTcpAsync();
        await (await b.ConnectAsync(a.LocalPeer, reachable, Token)).PingAsync(Token);
    }
}
