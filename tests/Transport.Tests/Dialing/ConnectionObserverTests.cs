using System.Collections.Concurrent;
using System.Threading.Channels;
using FastShare.Testing.Sockets;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Dialing;

public sealed class ConnectionObserverTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_observer_hears_of_what_is_up_then_of_every_change_in_order()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b"), c = await nodes.StartAsync("c");
        PeerConnection first = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        var observer = new Observer();
        using IDisposable subscription = a.Observe(observer);
        Assert.Equal(("up", first), await observer.NextAsync());
        a.AddAddresses(c.LocalPeer, c.ListenAddresses);
        Assert.Equal(("found", c.LocalPeer), await observer.NextAsync());
        PeerConnection second = await a.ConnectAsync(c.LocalPeer, null, Token);
        Assert.Equal(("up", second), await observer.NextAsync());
        await a.ConnectLaneAsync(c.LocalPeer, Token); // a lane is nobody else's business
        await first.CloseAsync(Token);
        Assert.Equal(("down", first), await observer.NextAsync());
        subscription.Dispose();
        await second.CloseAsync(Token);
        await a.ConnectAsync(b.LocalPeer, null, Token);
        Assert.True(observer.IsQuiet);
    }

    [Fact]
    public async Task An_observer_that_fails_harms_nobody_and_may_call_the_swarm()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        var calling = new Observer { OnUp = connection => Assert.Contains(connection, a.ConnectionsTo(connection.Peer)) };
        var failing = new Observer { OnUp = _ => throw new InvalidOperationException("a defect") };
        using IDisposable one = a.Observe(failing), two = a.Observe(calling);
        for (int i = 0; i < 5; i++)
        {
            PeerConnection connection = await a.ConnectAsync(b.LocalPeer, i == 0 ? b.ListenAddresses : null, Token);
            if (i == 0) Assert.Equal(("found", b.LocalPeer), await calling.NextAsync());
            Assert.Equal(("up", connection), await calling.NextAsync());
            await connection.CloseAsync(Token);
            Assert.Equal(("down", connection), await calling.NextAsync());
        }

        Assert.Empty(calling.Surprises);
    }

    [Fact]
    public async Task Many_observers_that_come_and_go_see_each_connection_up_once_and_then_down_once()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        a.AddAddresses(b.LocalPeer, b.ListenAddresses);
        var lasting = new Observer();
        using IDisposable subscription = a.Observe(lasting);
        await Task.WhenAll(Enumerable.Range(0, 8).Select(i => Task.Run(async () =>
        {
            for (int round = 0; round < 10; round++)
            {
                if (i % 2 == 0)
                {
                    a.Observe(new Observer()).Dispose();
                    continue;
                }

                try
                {
                    await (await a.ConnectAsync(b.LocalPeer, null, Token)).CloseAsync(Token);
                }
                catch (TransportException)
                {
                    // Another one closed it first, or b had not seen the end of the last one.
                }
            }
        })));
        await a.DisposeAsync();
        var open = new HashSet<object>();
        foreach ((string what, object about) in lasting.All())
        {
            if (what == "up") Assert.True(open.Add(about));
            if (what == "down") Assert.True(open.Remove(about));
        }

        Assert.Empty(open);
    }

    private sealed class Observer : IConnectionObserver
    {
        private readonly Channel<(string What, object About)> _calls = Channel.CreateUnbounded<(string, object)>();

        public Action<PeerConnection>? OnUp { get; init; }

        public ConcurrentQueue<Exception> Surprises { get; } = new();

        public bool IsQuiet => !_calls.Reader.TryPeek(out _);

        public ValueTask<(string What, object About)> NextAsync() => _calls.Reader.ReadAsync(Token);

        public IEnumerable<(string What, object About)> All()
        {
            while (_calls.Reader.TryRead(out (string, object) call)) yield return call;
        }

        public void ConnectionUp(PeerConnection connection)
        {
            try
            {
                OnUp?.Invoke(connection);
            }
            catch (Exception e)
            {
                Surprises.Enqueue(e);
                throw;
            }

            _calls.Writer.TryWrite(("up", connection));
        }

        public void ConnectionDown(PeerConnection connection, TransportException? reason) => _calls.Writer.TryWrite(("down", connection));

        public void PeerFound(PeerId peer) => _calls.Writer.TryWrite(("found", peer));
    }
}
