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
        Assert.InRange(measured.SendBufferLimited, TimeSpan.Zero, TimeSpan.FromSeconds(5));

        near.Abort();
        Assert.Null(tuning.Measure());
        Assert.Null(tuning.CongestionControl);
        Assert.False(tuning.TrySetNotSentLimit(1));
    }
}
