using FastShare.Testing.Sockets;
using FastShare.Transport.Protocols;

namespace FastShare.Transport.Tests;

public sealed class SwarmTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Ping_round_trip_over_memory_and_tcp()
    {
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a"), b = await nodes.StartAsync("b");
        PeerConnection connection = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        Assert.True(await connection.PingAsync(Token) > TimeSpan.Zero);
        Swarm c = await nodes.StartTcpAsync(), d = await nodes.StartTcpAsync();
        connection = await c.ConnectAsync(d.LocalPeer, d.ListenAddresses, Token);
        Assert.True(await connection.PingAsync(Token) > TimeSpan.Zero);
        Assert.True(await connection.PingAsync(Token) > TimeSpan.Zero);
        PeerDescription description = await connection.IdentifyAsync(Token);
        Assert.Contains(ProtocolIds.Ping, description.Protocols);
    }
}
