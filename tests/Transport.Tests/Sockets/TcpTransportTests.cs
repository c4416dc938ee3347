using System.Net;
using System.Net.Sockets;
using FastShare.Testing;
using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;
using FastShare.Transport.Sockets.Internal;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transport.Tests.Sockets;

public sealed class TcpTransportTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Both_wildcards_can_listen_on_one_port()
    {
        if (!Socket.OSSupportsIPv6) Assert.Skip("this machine has no IPv6");
        var transport = new TcpTransport();
        await using IListener six = await transport.ListenAsync(Multiaddr.Parse("/ip6/::/tcp/0"), Token);
        Assert.True(six.Address.TryGetTcpEndPoint(out IPEndPoint? bound));
        await using IListener four = await transport.ListenAsync(Multiaddr.Parse($"/ip4/0.0.0.0/tcp/{bound.Port}"), Token);
        Assert.Equal($"/ip4/0.0.0.0/tcp/{bound.Port}", four.Address.ToString());
    }

    [Fact]
    public async Task Names_are_resolved()
    {
        var transport = new TcpTransport();
        await using IListener listener = await transport.ListenAsync(Multiaddr.Parse("/ip4/127.0.0.1/tcp/0"), Token);
        listener.Address.TryGetTcpEndPoint(out IPEndPoint? bound);
        foreach (string kind in new[] { "dns", "dns4" })
        {
            await using IDuplexConnection connection = await transport.DialAsync(
                Multiaddr.Parse($"/{kind}/localhost/tcp/{bound!.Port}"), Token);
            Assert.Equal(listener.Address, connection.RemoteAddress);
        }
    }

    [Fact]
    public async Task A_name_that_does_not_exist_is_unreachable()
    {
        var error = await Assert.ThrowsAsync<TransportException>(
            async () => await new TcpTransport().DialAsync(Multiaddr.Parse("/dns4/no-such-host.invalid/tcp/1"), Token));
        Assert.Equal(TransportError.Unreachable, error.Error);
        Assert.Contains("no-such-host.invalid", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Listening_on_a_foreign_address_is_an_invalid_address()
    {
        // TEST-NET-3 (RFC 5737) is nobody's.
        var error = await Assert.ThrowsAsync<TransportException>(
            async () => await new TcpTransport().ListenAsync(Multiaddr.Parse("/ip4/203.0.113.7/tcp/0"), Token));
        Assert.Equal(TransportError.InvalidAddress, error.Error);
    }

    [Fact]
    public async Task Connections_are_configured_for_small_frames_and_dead_peers()
    {
        using var listening = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listening.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listening.Listen();
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(listening.LocalEndPoint!, Token);
        await using TcpConnection connection = TcpConnection.Take(socket);
        Assert.True(socket.NoDelay);
        Assert.NotEqual(0, (int)socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive)!);
    }

    [Fact]
    public async Task Receiving_and_sending_allocate_nothing_once_warm()
    {
        var transport = new TcpTransport();
        await using IListener listener = await transport.ListenAsync(Multiaddr.Parse("/ip4/127.0.0.1/tcp/0"), Token);
        await using IDuplexConnection dialer = await transport.DialAsync(listener.Address, Token);
        await using IDuplexConnection accepted = await listener.AcceptAsync(Token);
        byte[] block = new byte[1000], received = new byte[8000];
        List<ReadOnlyMemory<byte>> segments = [block, block, block];
        for (int i = 0; i < 100; i++) Exchange();
        Assert.Equal(0, Allocation.Least(Exchange));

        // On loopback what was sent is there at once, so every call completes synchronously on this thread.
        void Exchange()
        {
            ValueTask send = dialer.SendAsync(segments, default);
            Assert.True(send.IsCompletedSuccessfully);
            int left = 3000;
            while (left > 0)
            {
                ValueTask<int> receive = accepted.ReceiveAsync(received, default);
                Assert.True(receive.IsCompletedSuccessfully);
#pragma warning disable xUnit1031 // completed
                left -= receive.Result;
#pragma warning restore xUnit1031
            }
        }
    }

    [Fact]
    public async Task A_full_descriptor_table_pauses_accepting_and_then_goes_on()
    {
        var time = new FakeTimeProvider();
        int calls = 0;
        TcpConnectionListener? listener = null;
        using var accepted = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        var called = new SemaphoreSlim(0);
        listener = TcpConnectionListener.Bind(new IPEndPoint(IPAddress.Loopback, 0), time, async token =>
        {
            int call = Interlocked.Increment(ref calls);
            called.Release();
            if (call <= 3) throw new SocketException((int)SocketError.TooManyOpenSockets);
            listener!.Address.TryGetTcpEndPoint(out IPEndPoint? endpoint);
            await accepted.ConnectAsync(endpoint!, token); // any connected socket will do
            return accepted;
        });
        await using (listener)
        {
            Task<IDuplexConnection> accepting = listener.AcceptAsync(Token).AsTask();
            TimeSpan backoff = TcpConnectionListener.MinBackoff;
            for (int i = 1; i <= 3; i++)
            {
                await called.WaitAsync(Token);
                Assert.Equal(i, calls);
                Assert.False(accepting.IsCompleted);
                time.Advance(backoff - TimeSpan.FromTicks(1));
                Assert.Equal(i, calls);
                time.Advance(TimeSpan.FromTicks(1));
                backoff *= 2;
            }

            await using IDuplexConnection connection = await accepting;
            Assert.Equal(4, calls);
        }
    }

    [Fact]
    public async Task An_accept_fault_that_does_not_pass_ends_the_listener()
    {
        await using TcpConnectionListener listener = TcpConnectionListener.Bind(
            new IPEndPoint(IPAddress.Loopback, 0), TimeProvider.System, _ => throw new SocketException((int)SocketError.NotSocket));
        var error = await Assert.ThrowsAsync<TransportException>(async () => await listener.AcceptAsync(Token));
        Assert.Equal(TransportError.ConnectionClosed, error.Error);
    }

    [Theory]
    [InlineData(SocketError.ConnectionRefused, TransportError.ConnectionRefused)]
    [InlineData(SocketError.HostUnreachable, TransportError.Unreachable)]
    [InlineData(SocketError.NetworkUnreachable, TransportError.Unreachable)]
    [InlineData(SocketError.TimedOut, TransportError.Timeout)]
    [InlineData(SocketError.ConnectionReset, TransportError.ConnectionReset)]
    [InlineData(SocketError.OperationAborted, TransportError.ConnectionClosed)]
    [InlineData(SocketError.AddressAlreadyInUse, TransportError.AddressInUse)]
    [InlineData(SocketError.AddressNotAvailable, TransportError.InvalidAddress)]
    [InlineData(SocketError.AccessDenied, TransportError.AccessDenied)]
    [InlineData(SocketError.TooManyOpenSockets, TransportError.LimitExceeded)]
    [InlineData(SocketError.HostNotFound, TransportError.Unreachable)]
    [InlineData(SocketError.Fault, TransportError.Io)]
    public void Socket_errors_map_to_what_a_caller_can_act_on(SocketError from, TransportError to)
    {
        TransportException error = SocketErrors.ToException(from, "connect to /ip4/192.0.2.7/tcp/1");
        Assert.Equal(to, error.Error);
        Assert.Contains("connect to /ip4/192.0.2.7/tcp/1", error.Message, StringComparison.Ordinal);
    }
}
