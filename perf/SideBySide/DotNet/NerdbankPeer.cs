using System.Net;
using System.Net.Sockets;
using Nerdbank.Streams;

namespace FastShare.SideBySide.DotNet;

/// <summary>One channel of a <see cref="MultiplexingStream"/> over plain TCP.</summary>
internal static class NerdbankPeer
{
    private const string Channel = "upload";

    public static async Task ListenAsync(CancellationToken stop)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        Peers.Ready(((IPEndPoint)listener.LocalEndpoint).Port);
        while (true)
        {
            using TcpClient client = await listener.AcceptTcpClientAsync(stop);
            client.NoDelay = true;
            await using MultiplexingStream multiplexer = await MultiplexingStream.CreateAsync(client.GetStream(), stop);
            MultiplexingStream.Channel channel = await multiplexer.AcceptChannelAsync(Channel, stop);
            await using Stream stream = channel.AsStream();
            await Upload.TakeAsync(stream, stop);
            await channel.Completion.WaitAsync(stop);
            Peers.Served();
        }
    }

    public static async Task<TimeSpan> SendAsync(int port, long bytes, CancellationToken stop)
    {
        using var client = new TcpClient { NoDelay = true };
        await client.ConnectAsync(IPAddress.Loopback, port, stop);
        await using MultiplexingStream multiplexer = await MultiplexingStream.CreateAsync(client.GetStream(), stop);
        MultiplexingStream.Channel channel = await multiplexer.OfferChannelAsync(Channel, stop);
        await using Stream stream = channel.AsStream();
        return await Upload.SendAsync(stream, bytes, stop);
    }
}
