using System.Net;
using System.Net.Sockets;

namespace FastShare.SideBySide.Tests;

public sealed class TrafficTests
{
    [Fact]
    public async Task Bytes_over_the_loopback_interface_count_once()
    {
        if (!OperatingSystem.IsLinux()) Assert.Skip("reads /proc");
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var client = new TcpClient();
        await client.ConnectAsync((IPEndPoint)listener.LocalEndpoint, TestContext.Current.CancellationToken);
        using TcpClient server = await listener.AcceptTcpClientAsync(TestContext.Current.CancellationToken);
        var traffic = new Traffic();
        byte[] bytes = new byte[1 << 20];
        ValueTask sending = client.GetStream().WriteAsync(bytes, TestContext.Current.CancellationToken);
        await server.GetStream().ReadExactlyAsync(bytes, TestContext.Current.CancellationToken);
        await sending;
        // other tests may use the interface, too
        Assert.True(traffic.Since([Environment.ProcessId]) >= bytes.Length);
    }

    [Fact]
    public void A_client_that_has_ended_leaves_the_loopback_interface() => Assert.True(new Traffic().Since([int.MaxValue]) >= 0);
}
