using System.IO.Pipelines;
using FastShare.Testing;
using FastShare.Testing.Sockets;
using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transport.Tests.Connections;

/// <summary>What nobody uses goes; what somebody uses stays; nothing is lost in between.</summary>
public sealed class IdleTests
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    private readonly FakeTimeProvider _time = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_unused_connection_is_closed_in_good_order_after_ten_seconds()
    {
        Assert.Equal(Timeout, new SwarmOptions { Identity = PeerIdentity.Generate() }.IdleTimeout);
        await using var nodes = new TestNodes();
        (Swarm a, _, PeerConnection connection, PeerConnection farEnd) = await ConnectAsync(nodes);
        await PassAsync(Timeout - TimeSpan.FromSeconds(1), connection);
        Assert.False(connection.Closed.IsCompleted);
        await PassUntilClosedAsync(connection);
        Assert.Null(await connection.Closed);
        Assert.Null(await farEnd.Closed.WaitAsync(Token));
        Assert.Contains(DisconnectCause.Idle, new[] { connection.Cause, farEnd.Cause });
        Assert.Empty(a.Connections);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_open_stream_keeps_the_connection_on_both_sides(bool openedHere)
    {
        await using var nodes = new TestNodes();
        (_, _, PeerConnection connection, PeerConnection farEnd) = await ConnectAsync(nodes);
        PeerConnection opener = openedHere ? connection : farEnd;
        PeerStream stream = await opener.OpenStreamAsync(Questions.Echo, Token);
        await stream.Output.WriteAsync(new byte[] { 1 }, Token);
        ReadResult echo = await stream.Input.ReadAsync(Token);
        stream.Input.AdvanceTo(echo.Buffer.End);
        await PassAsync(5 * Timeout, connection, farEnd);
        Assert.False(connection.Closed.IsCompleted);
        await stream.Output.CompleteAsync();
        Assert.True((await stream.Input.ReadAsync(Token)).IsCompleted);
        await stream.DisposeAsync();
        await PassUntilClosedAsync(connection);
        Assert.Null(await connection.Closed);
    }

    [Fact]
    public async Task The_idle_time_begins_with_the_end_of_the_last_stream()
    {
        await using var nodes = new TestNodes();
        (_, _, PeerConnection connection, PeerConnection farEnd) = await ConnectAsync(nodes);
        for (int i = 0; i < 5; i++)
        {
            await PassAsync(Timeout - TimeSpan.FromSeconds(1), connection, farEnd);
            Assert.Equal(i, await Questions.AskAsync(await connection.OpenStreamAsync(Questions.Echo, Token), i, Token));
            await Eventually.BecomesTrueAsync(() => farEnd.UseCount == 0 && connection.UseCount == 0, "the stream is gone");
        }

        await PassAsync(Timeout - TimeSpan.FromSeconds(1), connection, farEnd);
        Assert.False(connection.Closed.IsCompleted);
        await PassUntilClosedAsync(connection);
    }

    [Fact]
    public async Task A_running_handler_keeps_the_connection_though_its_stream_has_ended()
    {
        await using var nodes = new TestNodes();
        (_, Swarm b, PeerConnection connection, PeerConnection farEnd) = await ConnectAsync(nodes);
        var release = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        b.Handle("/test/slow/1", async (stream, token) =>
        {
            await Questions.EchoAsync(stream, token);
            await release.Task.WaitAsync(token);
        });
        using (connection.KeepAlive()) // what is tested is the other side
        {
            Assert.Equal(3, await Questions.AskAsync(await connection.OpenStreamAsync("/test/slow/1", Token), 3, Token));
            await PassAsync(3 * Timeout, connection, farEnd);
            Assert.False(connection.Closed.IsCompleted);
            release.SetResult();
            await PassUntilClosedAsync(connection);
        }

        Assert.Equal(DisconnectCause.Idle, farEnd.Cause);
        Assert.Equal(DisconnectCause.ClosedByPeer, connection.Cause);
    }

    [Fact]
    public async Task A_lease_keeps_the_connection_until_it_is_disposed()
    {
        await using var nodes = new TestNodes();
        (_, _, PeerConnection connection, PeerConnection farEnd) = await ConnectAsync(nodes);
        IDisposable one = connection.KeepAlive(), two = connection.KeepAlive();
        using (farEnd.KeepAlive())
        {
            await PassAsync(2 * Timeout, connection, farEnd);
            one.Dispose();
            one.Dispose(); // counts once
            await PassAsync(2 * Timeout, connection, farEnd);
            Assert.False(connection.Closed.IsCompleted);
            two.Dispose();
            await PassUntilClosedAsync(connection);
        }

        Assert.Equal(DisconnectCause.Idle, connection.Cause);
        connection.KeepAlive().Dispose(); // there is nothing left to keep: harmless
    }

    [Fact]
    public async Task Pings_and_identify_do_not_keep_a_connection()
    {
        await using var nodes = new TestNodes();
        (_, _, PeerConnection connection, PeerConnection farEnd) = await ConnectAsync(nodes);
        for (int i = 0; i < 9; i++)
        {
            await connection.PingAsync(Token); // leaves its stream open
            await farEnd.PingAsync(Token);
            await PassAsync(TimeSpan.FromSeconds(1), connection, farEnd);
        }

        Assert.False(connection.Closed.IsCompleted);
        await PassUntilClosedAsync(connection);
        Assert.Null(await connection.Closed);
    }

    [Fact]
    public async Task An_infinite_idle_time_out_keeps_everything()
    {
        await using var nodes = new TestNodes();
        (_, _, PeerConnection connection, PeerConnection farEnd) = await ConnectAsync(nodes, System.Threading.Timeout.InfiniteTimeSpan);
        await PassAsync(100 * Timeout, connection, farEnd);
        Assert.False(connection.Closed.IsCompleted);
    }

    [Fact]
    public async Task A_connection_that_is_handed_out_has_its_whole_idle_time_before_it()
    {
        await using var nodes = new TestNodes();
        (Swarm a, Swarm b, PeerConnection connection, PeerConnection farEnd) = await ConnectAsync(nodes);
        using IDisposable lease = farEnd.KeepAlive();
        for (int i = 0; i < 3; i++)
        {
            await PassAsync(Timeout - TimeSpan.FromSeconds(1), connection, farEnd);
            Assert.Same(connection, await a.ConnectAsync(b.LocalPeer, null, Token));
        }

        Assert.False(connection.Closed.IsCompleted);
    }

    [Fact]
    public async Task Requests_at_the_moment_of_an_idle_close_are_never_lost()
    {
        await using var nodes = new TestNodes();
        Swarm b = await nodes.StartAsync("b", (identity, transport) => Unhurried(identity, transport, TimeSpan.FromMilliseconds(1)));
        b.Handle(Questions.Echo, Questions.EchoAsync);
        Swarm a = await nodes.StartAsync("a", (identity, transport) => Unhurried(identity, transport, Timeout));
        a.AddAddresses(b.LocalPeer, b.ListenAddresses);
        for (int i = 0; i < 100 || a.DialCount(b.LocalPeer) == 1; i++)
        {
            if (i % 3 == 0) await Task.Delay(1, Token); // as long as the far end waits: the next one meets its close
            while (true)
            {
                try
                {
                    Assert.Equal(i, await Questions.AskAsync(a, b.LocalPeer, i, Token));
                    break;
                }
                catch (TransportException e)
                {
                    // The only failure there is says that nobody saw the request, so that it may be sent again.
                    Assert.True(e.NotTaken, e.ToString());
                }
            }
        }

        // b closes whenever it can. Nothing else ends anything, however long this machine takes for a handshake.
        static SwarmOptions Unhurried(PeerIdentity identity, ITransport transport, TimeSpan idle) => new()
        {
            Identity = identity,
            Transports = [transport],
            IdleTimeout = idle,
            ConnectTimeout = TimeSpan.FromMinutes(5),
            UpgradeTimeout = TimeSpan.FromMinutes(5),
            DialTimeout = TimeSpan.FromMinutes(5),
            StreamNegotiationTimeout = TimeSpan.FromMinutes(5),
        };
    }

    private async Task<(Swarm A, Swarm B, PeerConnection Near, PeerConnection Far)> ConnectAsync(TestNodes nodes, TimeSpan? idle = null)
    {
        SwarmOptions Configure(PeerIdentity identity, ITransport transport) => new()
        {
            Identity = identity,
            Transports = [transport],
            TimeProvider = _time,
            IdleTimeout = idle ?? Timeout,
        };
        Swarm a = await nodes.StartAsync("a", Configure), b = await nodes.StartAsync("b", Configure);
        a.Handle(Questions.Echo, Questions.EchoAsync);
        b.Handle(Questions.Echo, Questions.EchoAsync);
        PeerConnection near = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        await Eventually.BecomesTrueAsync(() => b.Connections.Count == 1, "the connection is listed");
        PeerConnection far = b.Connections[0];
        await near.IdentifyAsync(Token);
        await far.IdentifyAsync(Token);
        await Eventually.BecomesTrueAsync(() => near.UseCount == 0 && far.UseCount == 0, "nothing uses the connection");
        return (a, b, near, far);
    }

    // In steps, each answered by the other side's heartbeat: a jump would look like a peer that has died.
    private async Task PassAsync(TimeSpan time, params PeerConnection[] alive)
    {
        for (TimeSpan passed = TimeSpan.Zero; passed < time; passed += TimeSpan.FromSeconds(1))
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            foreach (PeerConnection connection in alive)
            {
                if (!connection.Closed.IsCompleted) await connection.BeatAsync(Token);
            }
        }
    }

    private async Task PassUntilClosedAsync(PeerConnection connection)
    {
        while (!connection.Closed.IsCompleted)
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            await Task.Delay(1, Token);
        }
    }
}
