using FastShare.Testing;
using FastShare.Testing.Sockets;
using FastShare.Transport.Dialing;
using FastShare.Transport.Identity;
using FastShare.Transport.Protocols;
using FastShare.Transport.Sockets;

namespace FastShare.Transport.Tests.Connections;

/// <summary>Both sides dial at the same instant: nothing fails, nothing is lost, and one connection remains.</summary>
public sealed class SimultaneousDialTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    // Nothing but the rule may close a connection here.
    private static SwarmOptions Patient(PeerIdentity identity, ITransport transport) =>
        new() { Identity = identity, Transports = [transport], IdleTimeout = Timeout.InfiniteTimeSpan };

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    public async Task A_thousand_simultaneous_dials_fail_no_request_and_leave_one_connection(int part)
    {
        for (int round = 0; round < 125; round++)
        {
            await using var nodes = new TestNodes();
            Func<PeerIdentity, ITransport, SwarmOptions> colliding = Colliding();
            Swarm a = await nodes.StartAsync($"a{part}-{round}", colliding), b = await nodes.StartAsync($"b{part}-{round}", colliding);
            await MeetAsync(a, b, requests: 4);
            Assert.Equal(1, a.DialCount(b.LocalPeer));
            Assert.Equal(1, b.DialCount(a.LocalPeer));
        }
    }

    [Fact]
    public async Task Simultaneous_dials_over_tcp_fail_no_request_and_leave_one_connection()
    {
        for (int round = 0; round < 40; round++)
        {
            await using var nodes = new TestNodes();
            Swarm a = await nodes.StartTcpAsync(Patient), b = await nodes.StartTcpAsync(Patient);
            await MeetAsync(a, b, requests: 8);
        }
    }

    [Fact]
    public async Task The_connection_dialed_by_the_smaller_peer_id_is_kept()
    {
        for (int round = 0; round < 10; round++)
        {
            await using var nodes = new TestNodes();
            (Swarm small, Swarm large) = await StartOrderedAsync(nodes, round, Colliding());
            await CollideAsync(small, large);
            await BecomeOneAsync(small, large);
            Assert.False(Assert.Single(small.Connections).IsInbound);
            Assert.True(Assert.Single(large.Connections).IsInbound);
        }
    }

    [Fact]
    public async Task Streams_on_the_surplus_connection_run_to_their_end()
    {
        await using var nodes = new TestNodes();
        (Swarm small, Swarm large) = await StartOrderedAsync(nodes, 0);
        small.Handle(Questions.Echo, Questions.EchoAsync);
        large.Handle(Questions.Echo, Questions.EchoAsync);

        // The larger one dials first, and both sides have streams under way on that connection when the other comes up.
        PeerConnection surplus = await large.ConnectAsync(small.LocalPeer, small.ListenAddresses, Token);
        await Eventually.BecomesTrueAsync(() => small.Connections.Count == 1, "the connection is listed");
        PeerConnection farEnd = small.Connections[0];
        var open = new List<PeerStream>();
        foreach (PeerConnection end in new[] { surplus, farEnd })
        {
            PeerStream stream = await end.OpenStreamAsync(Questions.Echo, Token);
            await stream.Output.WriteAsync(new byte[] { 1, 0 }, Token);
            open.Add(stream);
        }

        PeerConnection kept = await small.ConnectAsync(
            large.LocalPeer, new DialOptions { Condition = DialCondition.Always, Addresses = large.ListenAddresses }, Token);
        await Eventually.BecomesTrueAsync(() => !surplus.IsLive && !farEnd.IsLive, "both sides agreed that it is surplus");
        Assert.False(surplus.Closed.IsCompleted);

        // New streams go to the kept connection, whoever still holds the other.
        Assert.Equal(5, await Questions.AskAsync(await surplus.OpenStreamAsync(Questions.Echo, Token), 5, Token));
        await using (PeerStream elsewhere = await farEnd.OpenStreamAsync(Questions.Echo, Token)) Assert.Same(kept, elsewhere.Connection);

        foreach (PeerStream stream in open)
        {
            Assert.False(surplus.Closed.IsCompleted);
            await stream.Output.WriteAsync(new byte[] { 0, 7 }, Token);
            await stream.Output.CompleteAsync();
            using var all = new MemoryStream();
            await stream.Input.CopyToAsync(all, Token);
            Assert.Equal([1, 0, 0, 7], all.ToArray());
            await stream.DisposeAsync();
        }

        Assert.Null(await surplus.Closed.WaitAsync(Token));
        Assert.Null(await farEnd.Closed.WaitAsync(Token));
        Assert.Equal(DisconnectCause.Surplus, surplus.Cause);
        Assert.Equal(DisconnectCause.Surplus, farEnd.Cause);
        Assert.False(kept.Closed.IsCompleted);
    }

    [Fact]
    public async Task A_lease_follows_to_the_kept_connection()
    {
        await using var nodes = new TestNodes();
        (Swarm small, Swarm large) = await StartOrderedAsync(nodes, 0);
        PeerConnection surplus = await large.ConnectAsync(small.LocalPeer, small.ListenAddresses, Token);
        IDisposable lease = surplus.KeepAlive();
        await small.ConnectAsync(
            large.LocalPeer, new DialOptions { Condition = DialCondition.Always, Addresses = large.ListenAddresses }, Token);
        await surplus.Closed.WaitAsync(Token); // though there is a lease on it
        Assert.NotNull(surplus.Successor);
        lease.Dispose();
        await surplus.Successor.PingAsync(Token);
    }

    [Fact]
    public async Task Connections_that_were_asked_for_are_never_surplus()
    {
        await using var nodes = new TestNodes();
        (Swarm small, Swarm large) = await StartOrderedAsync(nodes, 0);
        await small.ConnectAsync(large.LocalPeer, large.ListenAddresses, Token);
        await Eventually.BecomesTrueAsync(() => large.Connections.Count == 1, "the connection is listed");
        large.AddAddresses(small.LocalPeer, small.ListenAddresses);
        small.AddAddresses(large.LocalPeer, large.ListenAddresses);
        PeerConnection[] extra =
        [
            await large.ConnectAsync(small.LocalPeer, new DialOptions { Condition = DialCondition.Always }, Token),
            await large.ConnectAsync(small.LocalPeer, new DialOptions { Condition = DialCondition.NotDialing }, Token),
            await small.ConnectAsync(large.LocalPeer, new DialOptions { Condition = DialCondition.Always }, Token),
            await large.ConnectLaneAsync(small.LocalPeer, Token),
            await small.ConnectLaneAsync(large.LocalPeer, Token),
        ];
        foreach (PeerConnection connection in extra)
        {
            await connection.IdentifyAsync(Token);
            await connection.PingAsync(Token); // by now a question about it would have been asked
            Assert.True(connection.IsLive);
            Assert.Null(connection.Successor);
        }

        Assert.Equal(6, small.Connections.Count);
    }

    [Fact]
    public async Task A_peer_that_does_not_know_the_rule_keeps_both_connections()
    {
        await using var nodes = new TestNodes();
        (Swarm small, Swarm large) = await StartOrderedAsync(nodes, 0, Colliding());
        small.Handle(ProtocolIds.Retire, Questions.EchoAsync);
        small.RemoveHandler(ProtocolIds.Retire, Questions.EchoAsync);
        await CollideAsync(small, large);
        await Eventually.BecomesTrueAsync(() => small.Connections.Count == 2 && large.Connections.Count == 2, "both are listed");
        foreach (PeerConnection connection in large.Connections)
        {
            await connection.IdentifyAsync(Token);
            await connection.PingAsync(Token);
            Assert.True(connection.IsLive);
        }

        Assert.Equal(2, large.Connections.Count);
        Assert.Equal(2, small.Connections.Count);
    }

    [Fact]
    public async Task A_side_that_could_not_answer_is_asked_again()
    {
        await using var nodes = new TestNodes();
        var time = new Microsoft.Extensions.Time.Testing.FakeTimeProvider();
        (Swarm small, Swarm large) = await StartOrderedAsync(nodes, 0, (identity, transport) => new SwarmOptions
        {
            Identity = identity,
            Transports = [transport],
            TimeProvider = time,
            UpgradeTimeout = TimeSpan.FromMilliseconds(100), // the first pause is as long
            IdleTimeout = Timeout.InfiniteTimeSpan,
        });
        int asked = 0;
        small.Handle(ProtocolIds.Retire, (stream, token) => Interlocked.Increment(ref asked) switch
        {
            1 => throw new InvalidOperationException("no luck"),
            2 => stream.Output.WriteAsync(new byte[1], token).AsTask(), // no
            _ => small.ServeRetireAsync(stream, token),
        });
        PeerConnection surplus = await large.ConnectAsync(small.LocalPeer, small.ListenAddresses, Token);
        await small.ConnectAsync(
            large.LocalPeer, new DialOptions { Condition = DialCondition.Always, Addresses = large.ListenAddresses }, Token);
        await Eventually.BecomesTrueAsync(() => Volatile.Read(ref asked) == 1, "it was asked");
        await Eventually.BecomesTrueAsync(
            () =>
            {
                if (!surplus.Closed.IsCompleted) time.Advance(TimeSpan.FromMilliseconds(1));
                return surplus.Closed.IsCompleted;
            },
            "it was asked until it agreed");
        Assert.Equal((3, DisconnectCause.Surplus), (asked, surplus.Cause));
        await BecomeOneAsync(small, large);
    }

    [Fact]
    public async Task Nobody_yields_to_a_connection_that_only_the_other_side_can_use()
    {
        await using var nodes = new TestNodes();
        var time = new Microsoft.Extensions.Time.Testing.FakeTimeProvider();
        (Swarm small, Swarm large) = await StartOrderedAsync(nodes, 0, (identity, transport) => new SwarmOptions
        {
            Identity = identity,
            Transports = [transport],
            TimeProvider = time,
            UpgradeTimeout = TimeSpan.FromMilliseconds(100),
            IdleTimeout = Timeout.InfiniteTimeSpan,
        });
        TaskCompletionSource asked = new(TaskCreationOptions.RunContinuationsAsynchronously), answered = new();
        small.Handle(ProtocolIds.Retire, async (stream, token) =>
        {
            Task answering = small.ServeRetireAsync(stream, token);
            asked.SetResult();
            await answering;
            answered.SetResult();
        });
        PeerConnection shared = await large.ConnectAsync(small.LocalPeer, small.ListenAddresses, Token);
        await Eventually.BecomesTrueAsync(() => small.Connections.Count == 1, "the connection is listed");
        small.AddAddresses(large.LocalPeer, large.ListenAddresses);
        await small.ConnectLaneAsync(large.LocalPeer, Token); // to the larger one it looks like any connection
        await asked.Task.WaitAsync(Token);
        Assert.False(answered.Task.IsCompleted);
        time.Advance(TimeSpan.FromMilliseconds(100));
        await answered.Task.WaitAsync(Token);
        Assert.True(shared.IsLive);
        Assert.True(small.Connections[0].IsLive);
    }

    private static async Task MeetAsync(Swarm a, Swarm b, int requests)
    {
        a.Handle(Questions.Echo, Questions.EchoAsync);
        b.Handle(Questions.Echo, Questions.EchoAsync);
        a.AddAddresses(b.LocalPeer, b.ListenAddresses);
        b.AddAddresses(a.LocalPeer, a.ListenAddresses);
        var start = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Task<int[]> one = SideAsync(a, b.LocalPeer), other = SideAsync(b, a.LocalPeer);
        start.SetResult();
        int[][] answers = await Task.WhenAll(one, other);
        Assert.All(answers, side => Assert.Equal(Enumerable.Range(0, 3 * requests), side));
        await BecomeOneAsync(a, b);
        Assert.Equal(77, await Questions.AskAsync(a, b.LocalPeer, 77, Token));
        Assert.Equal(78, await Questions.AskAsync(b, a.LocalPeer, 78, Token));
        Assert.InRange(a.DialCount(b.LocalPeer) + b.DialCount(a.LocalPeer), 1, 2);

        // Three waves: when nothing is there, on whichever connection came first, and while the surplus one goes.
        async Task<int[]> SideAsync(Swarm from, PeerId to)
        {
            await start.Task;
            var all = new List<int>();
            for (int wave = 0; wave < 3; wave++)
            {
                all.AddRange(await Task.WhenAll(
                    Enumerable.Range(wave * requests, requests).Select(i => Questions.AskAsync(from, to, i, Token))));
            }

            return [.. all];
        }
    }

    private static async Task BecomeOneAsync(Swarm a, Swarm b)
    {
        // A connection that is still being made would come later.
        try
        {
            await Eventually.BecomesTrueAsync(
                () => a.IsSettled && b.IsSettled && a.Connections.Count == 1 && b.Connections.Count == 1, "one connection is left");
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"{e.Message}; one side: {Describe(a)}; the other: {Describe(b)}", e);
        }

        Assert.True(a.Connections[0].IsLive);
        Assert.True(b.Connections[0].IsLive);
        Assert.NotEqual(a.Connections[0].IsInbound, b.Connections[0].IsInbound);
    }

    private static string Describe(Swarm swarm) =>
        $"settled {swarm.IsSettled}, " + string.Join(", ", swarm.Connections.Select(c =>
            $"{(c.IsInbound ? "inbound" : "dialed")}: live {c.IsLive}, surplus {c.Successor is not null}, used {c.UseCount}, "
            + $"described {c.Description is not null}"));

    // For swarms that share the result: both handshakes are under way before either can end.
    private static Func<PeerIdentity, ITransport, SwarmOptions> Colliding()
    {
        CollidingTransport? shared = null;
        return (identity, transport) => Patient(identity, shared ??= new CollidingTransport(transport, parties: 2));
    }

    private static Task CollideAsync(Swarm a, Swarm b) => Task.WhenAll(
        a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token).AsTask(), b.ConnectAsync(a.LocalPeer, a.ListenAddresses, Token).AsTask());

    private static async Task<(Swarm Small, Swarm Large)> StartOrderedAsync(
        TestNodes nodes, int round, Func<PeerIdentity, ITransport, SwarmOptions>? configure = null)
    {
        Swarm a = await nodes.StartAsync($"a{round}", configure ?? Patient), b = await nodes.StartAsync($"b{round}", configure ?? Patient);
        return a.LocalPeer.Bytes.SequenceCompareTo(b.LocalPeer.Bytes) < 0 ? (a, b) : (b, a);
    }
}
