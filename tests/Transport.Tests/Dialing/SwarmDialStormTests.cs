using System.Collections.Concurrent;
using FastShare.Testing.Sockets;
using FastShare.Transport.Dialing;
using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;

namespace FastShare.Transport.Tests.Dialing;

/// <summary>Many threads, real sockets: callers of every kind, aborts and disposal at once.</summary>
public sealed class SwarmDialStormTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Callers_of_every_condition_at_once_all_get_a_connection_that_works()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartTcpAsync(), b = await nodes.StartTcpAsync();
        DialCondition[] conditions = Enum.GetValues<DialCondition>();
        PeerConnection[] connections = await Task.WhenAll(Enumerable.Range(0, 60).Select(i => Task.Run(async () =>
        {
            var options = new DialOptions { Condition = conditions[i % conditions.Length], Addresses = b.ListenAddresses };
            return await a.ConnectAsync(b.LocalPeer, options, Token);
        })));

        // Those that asked for always got one each; nobody else needed more than a few.
        Assert.Equal(15, connections.Where((_, i) => conditions[i % conditions.Length] == DialCondition.Always).Distinct().Count());
        Assert.All(connections, connection => Assert.Equal(b.LocalPeer, connection.Peer));
        await (await a.ConnectAsync(b.LocalPeer, null, Token)).PingAsync(Token);
    }

    [Fact]
    public async Task Callers_leaving_and_dials_aborted_at_once_fail_nobody_without_cause()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartTcpAsync();
        for (int round = 0; round < 10; round++)
        {
            Swarm b = await nodes.StartTcpAsync();
            var surprises = new ConcurrentQueue<Exception>();
            bool aborts = round % 2 == 0;
            await Task.WhenAll(Enumerable.Range(0, 24).Select(i => Task.Run(async () =>
            {
                using var patience = CancellationTokenSource.CreateLinkedTokenSource(Token);
                if (i % 3 == 0) patience.CancelAfter(i % 5);
                try
                {
                    if (aborts && i % 8 == 7) a.AbortDials(b.LocalPeer);
                    else await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, patience.Token);
                }
                catch (OperationCanceledException) when (i % 3 == 0)
                {
                }
                catch (TransportException e) when (aborts && e.Error == TransportError.Aborted)
                {
                }
                catch (Exception e)
                {
                    surprises.Enqueue(e);
                }
            })));
            Assert.Empty(surprises);
            await (await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token)).PingAsync(Token);
        }
    }

    [Fact]
    public async Task Disposal_in_the_middle_of_dials_ends_all_of_them_and_leaves_nothing()
    {
        await using var nodes = new TestNodes();
        Swarm b = await nodes.StartTcpAsync();
        for (int round = 0; round < 10; round++)
        {
            Swarm a = await nodes.StartTcpAsync();
            Task<PeerConnection>[] calls = [.. Enumerable.Range(0, 20).Select(i => CallAsync(a, b, (DialCondition)(i % 4)))];
            for (int i = 0; i < round; i++) await Task.Yield(); // each round a little later
            await a.DisposeAsync();
            foreach (Task<PeerConnection> call in calls)
            {
                try
                {
                    Assert.Equal(b.LocalPeer, (await call).Peer);
                }
                catch (TransportException e)
                {
                    Assert.Equal(TransportError.Aborted, e.Error);
                }
            }

            Assert.Empty(a.Connections);
        }

        static Task<PeerConnection> CallAsync(Swarm from, Swarm to, DialCondition condition) => Task.Run(async () => await from.ConnectAsync(
            to.LocalPeer, new DialOptions { Condition = condition, Addresses = to.ListenAddresses }, Token));
    }

    [Fact]
    public async Task A_listener_that_fails_unexpectedly_is_listened_to_again()
    {
        await using var nodes = new TestNodes();
        var transport = new StumblingTransport(nodes.Memory);
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync(transport, Multiaddr.Parse("/memory/b"));
        PeerConnection connection = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        await connection.PingAsync(Token);
        Assert.True(transport.Stumbles > 0);
        Assert.Single(b.ListenAddresses);
    }

    /// <summary>Its listeners throw what they must not throw, the first few times.</summary>
    private sealed class StumblingTransport(ITransport inner) : ITransport
    {
        public int Stumbles { get; set; }

        public bool Supports(Multiaddr address) => inner.Supports(address);

        public ValueTask<IDuplexConnection> DialAsync(Multiaddr address, CancellationToken cancellationToken) =>
            inner.DialAsync(address, cancellationToken);

        public async ValueTask<IListener> ListenAsync(Multiaddr address, CancellationToken cancellationToken) =>
            new Listener(this, await inner.ListenAsync(address, cancellationToken));

        private sealed class Listener(StumblingTransport owner, IListener inner) : IListener
        {
            public Multiaddr Address => inner.Address;

            public ValueTask<IDuplexConnection> AcceptAsync(CancellationToken cancellationToken) =>
                owner.Stumbles++ < 2 ? throw new InvalidOperationException("a defect") : inner.AcceptAsync(cancellationToken);

            public ValueTask DisposeAsync() => inner.DisposeAsync();
        }
    }
}
