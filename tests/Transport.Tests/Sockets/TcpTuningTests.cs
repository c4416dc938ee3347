using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;
using FastShare.Transport.Sockets.Internal;

namespace FastShare.Transport.Tests.Sockets;

public class TcpTuningTests
{
    [Fact]
    public async Task The_kernel_takes_options_and_tells_what_it_measures()
    {
        if (!OperatingSystem.IsLinux()) Assert.Skip("raw TCP options are Linux's");
        var transport = new TcpTransport();
        await using IListener listener = await transport.ListenAsync(Multiaddr.Parse("/ip4/127.0.0.1/tcp/0"), CancellationToken.None);
        Task<IDuplexConnection> accepting = listener.AcceptAsync(CancellationToken.None).AsTask();
        await using var near = (TcpConnection)await transport.DialAsync(listener.Address, CancellationToken.None);
        await using IDuplexConnection far = await accepting;
        ISocketTuning tuning = near.Tuning;

        string control = Assert.IsType<string>(tuning.CongestionControl);
        Assert.False(tuning.TrySetCongestionControl("no-such-control"));
        Assert.False(tuning.TrySetCongestionControl(new string('x', 100)));
        Assert.Equal(control, tuning.CongestionControl);
        Assert.True(tuning.TrySetCongestionControl(control));
        Assert.True(tuning.TrySetNotSentLimit(128 << 10));

        await near.SendAsync(new byte[1000], CancellationToken.None);
        byte[] buffer = new byte[1000];
        int received = 0;
        while (received < 1000) received += await far.ReceiveAsync(buffer, CancellationToken.None);
        SocketPath measured = Assert.NotNull(tuning.Measure());
        Assert.InRange(measured.SegmentsSent, 1, 100);
        Assert.InRange(measured.RoundTrip, TimeSpan.FromMicroseconds(1), TimeSpan.FromSeconds(5));
        Assert.InRange(Assert.NotNull(measured.ShortestRoundTrip), TimeSpan.FromMicroseconds(1), TimeSpan.FromSeconds(5));
        Assert.InRange(measured.SendBufferLimited, TimeSpan.Zero, TimeSpan.FromSeconds(5));

        near.Abort();
        Assert.Null(tuning.Measure());
        Assert.Null(tuning.CongestionControl);
        Assert.False(tuning.TrySetNotSentLimit(1));
    }

    [Fact]
    public async Task A_near_connection_is_not_paced_even_where_the_system_paces_all()
    {
        if (!OperatingSystem.IsLinux()) Assert.Skip("raw TCP options are Linux's");
        var transport = new TcpTransport();
        await using IListener listener = await transport.ListenAsync(Multiaddr.Parse("/ip4/127.0.0.1/tcp/0"), CancellationToken.None);
        Task<IDuplexConnection> accepting = listener.AcceptAsync(CancellationToken.None).AsTask();
        await using var dialed = (TcpConnection)await transport.DialAsync(listener.Address, CancellationToken.None);
        await using var accepted = (TcpConnection)await accepting;
        foreach (TcpConnection connection in new[] { dialed, accepted })
        {
            var tuning = (LinuxTcpTuning)connection.Tuning;
            if (!tuning.TrySetCongestionControl("bbr")) Assert.Skip("this kernel does not offer BBR");
            // Nothing is under way, so the measured time stays; on a busy machine even the loopback interface may be slow.
            TimeSpan roundTrip = Assert.NotNull(tuning.Measure()).RoundTrip;

            tuning.LeavePacingIfNear();

            Assert.True(roundTrip > TimeSpan.Zero);
            Assert.Equal(roundTrip >= TimeSpan.FromMilliseconds(1), tuning.CongestionControl == "bbr");
        }
    }

    [Fact]
    public async Task Another_congestion_control_than_the_paced_one_is_left_alone()
    {
        if (!OperatingSystem.IsLinux()) Assert.Skip("raw TCP options are Linux's");
        var transport = new TcpTransport();
        await using IListener listener = await transport.ListenAsync(Multiaddr.Parse("/ip4/127.0.0.1/tcp/0"), CancellationToken.None);
        await using var dialed = (TcpConnection)await transport.DialAsync(listener.Address, CancellationToken.None);
        var tuning = (LinuxTcpTuning)dialed.Tuning;
        Assert.True(tuning.TrySetCongestionControl("reno"));

        tuning.LeavePacingIfNear();

        Assert.Equal("reno", tuning.CongestionControl);
    }
}
