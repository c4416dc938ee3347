using System.Buffers.Binary;
using FastShare.Testing.Sockets;
using FastShare.Transport.Protocols;
using FastShare.Transport.Protocols.Internal;
using FastShare.Transport.Tests.Multiplexing;

namespace FastShare.Transport.Tests.Protocols;

public sealed class PingPerfTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static async Task<(Swarm Server, PeerConnection Connection)> ConnectAsync(TestNodes nodes, bool tcp = false)
    {
        Swarm a = tcp ? await nodes.StartTcpAsync() : await nodes.StartAsync("a");
        Swarm b = tcp ? await nodes.StartTcpAsync() : await nodes.StartAsync("b");
        return (b, await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Pings_share_one_stream(bool tcp)
    {
        await using var nodes = new TestNodes();
        (Swarm b, PeerConnection connection) = await ConnectAsync(nodes, tcp);
        int streams = 0;
        b.Handle(ProtocolIds.Ping, (stream, token) =>
        {
            Interlocked.Increment(ref streams);
            return Ping.ServeAsync(stream, TimeProvider.System, token);
        });
        await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => connection.PingAsync(Token).AsTask()));
        Assert.True(await connection.PingAsync(Token) > TimeSpan.Zero);
        Assert.Equal(1, streams);
    }

    [Fact]
    public async Task The_server_echoes_32_bytes_at_a_time()
    {
        await using var nodes = new TestNodes();
        (_, PeerConnection connection) = await ConnectAsync(nodes);
        await using PeerStream stream = await connection.OpenStreamAsync(ProtocolIds.Ping, Token);
        for (int round = 0; round < 3; round++)
        {
            byte[] ping = [.. Enumerable.Range(round, 32).Select(i => (byte)i)], echo = new byte[32];
            await stream.Output.WriteAsync(ping.AsMemory(0, 10), Token);
            await stream.Output.WriteAsync(ping.AsMemory(10), Token);
            Assert.True(await StreamEnd.ReadExactlyAsync(stream.Input, echo, "an echo", Token));
            Assert.Equal(ping, echo);
        }

        await stream.Output.CompleteAsync();
        Assert.Empty(await stream.Input.ReadToEndAsync(Token)); // ends in good order
    }

    [Fact]
    public async Task A_third_inbound_ping_stream_is_reset()
    {
        await using var nodes = new TestNodes();
        (_, PeerConnection connection) = await ConnectAsync(nodes);
        await using PeerStream first = await connection.OpenStreamAsync(ProtocolIds.Ping, Token);
        await using PeerStream second = await connection.OpenStreamAsync(ProtocolIds.Ping, Token);
        await Ping.ExchangeAsync(first, TimeProvider.System, Token);
        await Ping.ExchangeAsync(second, TimeProvider.System, Token);
        await using PeerStream third = await connection.OpenStreamAsync(ProtocolIds.Ping, Token);
        Assert.Equal(
            TransportError.StreamReset,
            (await Assert.ThrowsAsync<TransportException>(() => Ping.ExchangeAsync(third, TimeProvider.System, Token))).Error);
        await first.Output.CompleteAsync();
        await first.Input.ReadToEndAsync(Token);
        await connection.PingAsync(Token);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_ping_stream_that_the_peer_ended_while_idle_is_replaced(bool reset)
    {
        await using var nodes = new TestNodes();
        (Swarm b, PeerConnection connection) = await ConnectAsync(nodes);
        int streams = 0;
        b.Handle(ProtocolIds.Ping, async (stream, token) =>
        {
            Interlocked.Increment(ref streams);
            byte[] ping = new byte[32];
            await StreamEnd.ReadExactlyAsync(stream.Input, ping, "a ping", token);
            await stream.Output.WriteAsync(ping, token);
            if (reset) stream.Reset();
        });
        for (int i = 1; i <= 5; i++) await connection.PingAsync(Token);
        Assert.Equal(5, streams);
    }

    [Fact]
    public async Task A_wrong_echo_is_a_violation()
    {
        await using var nodes = new TestNodes();
        (Swarm b, PeerConnection connection) = await ConnectAsync(nodes);
        b.Handle(ProtocolIds.Ping, async (stream, token) =>
        {
            byte[] ping = new byte[32];
            await StreamEnd.ReadExactlyAsync(stream.Input, ping, "a ping", token);
            ping[31] ^= 1;
            await stream.Output.WriteAsync(ping, token);
        });
        var error = await Assert.ThrowsAsync<TransportException>(async () => await connection.PingAsync(Token));
        Assert.Equal(TransportError.ProtocolViolation, error.Error);
    }

    [Fact]
    public async Task Perf_is_off_until_it_is_enabled()
    {
        await using var nodes = new TestNodes();
        (Swarm b, PeerConnection connection) = await ConnectAsync(nodes);
        var error = await Assert.ThrowsAsync<TransportException>(() => PerfClient.RunAsync(connection, 1, 1, cancellationToken: Token));
        Assert.Equal(TransportError.UnsupportedProtocol, error.Error);
        b.EnablePerf();
        await PerfClient.RunAsync(connection, 1, 1, cancellationToken: Token);
    }

    [Theory]
    [InlineData(0, 0, false)]
    [InlineData(1, 0, false)]
    [InlineData(0, 1, false)]
    [InlineData(65_515, 65_516, false)]
    [InlineData(65_516, 65_517, false)]
    [InlineData(5_000_000, 3_000_000, false)]
    [InlineData(50_000_000, 50_000_000, true)]
    public async Task Perf_moves_exactly_what_was_asked_for(ulong upload, ulong download, bool tcp)
    {
        await using var nodes = new TestNodes();
        (Swarm b, PeerConnection connection) = await ConnectAsync(nodes, tcp);
        b.EnablePerf();
        var last = new Latest();
        PerfResult result = await PerfClient.RunAsync(connection, upload, download, last, cancellationToken: Token);
        Assert.Equal((upload, download), (result.UploadBytes, result.DownloadBytes));
        Assert.Equal(new PerfProgress(upload, download), last.Value);
        Assert.True(result.Upload > TimeSpan.Zero);
    }

    [Fact]
    public async Task The_header_comes_with_the_first_bytes_and_is_big_endian()
    {
        await using var nodes = new TestNodes();
        (Swarm b, PeerConnection connection) = await ConnectAsync(nodes);
        var first = new TaskCompletionSource<byte[]>(TaskCreationOptions.RunContinuationsAsynchronously);
        long total = 0;
        b.Handle(ProtocolIds.Perf, async (stream, token) =>
        {
            var result = await stream.Input.ReadAsync(token);
            first.TrySetResult(result.Buffer.FirstSpan.ToArray());
            do
            {
                total += result.Buffer.Length;
                stream.Input.AdvanceTo(result.Buffer.End);
                result = await stream.Input.ReadAsync(token);
            }
            while (!result.IsCompleted || !result.Buffer.IsEmpty);

            await stream.Output.WriteAsync(new byte[5], token);
            await stream.Output.CompleteAsync();
        });
        await PerfClient.RunAsync(connection, 1000, 5, cancellationToken: Token);
        byte[] chunk = await first.Task;
        Assert.True(chunk.Length >= 8);
        Assert.Equal(5ul, BinaryPrimitives.ReadUInt64BigEndian(chunk));
        Assert.Equal(1008, total);
    }

    [Theory]
    [InlineData(4)]
    [InlineData(6)]
    public async Task A_server_that_sends_another_number_of_bytes_is_a_violation(int sent)
    {
        await using var nodes = new TestNodes();
        (Swarm b, PeerConnection connection) = await ConnectAsync(nodes);
        b.Handle(ProtocolIds.Perf, async (stream, token) =>
        {
            await StreamEnd.DrainAsync(stream.Input, long.MaxValue, token);
            await stream.Output.WriteAsync(new byte[sent], token);
            await stream.Output.CompleteAsync();
        });
        var error = await Assert.ThrowsAsync<TransportException>(() => PerfClient.RunAsync(connection, 1000, 5, cancellationToken: Token));
        Assert.Equal(TransportError.ProtocolViolation, error.Error);
    }

    [Fact]
    public async Task A_perf_request_without_a_whole_header_is_reset()
    {
        await using var nodes = new TestNodes();
        (Swarm b, PeerConnection connection) = await ConnectAsync(nodes);
        b.EnablePerf();
        await using PeerStream stream = await connection.OpenStreamAsync(ProtocolIds.Perf, Token);
        await stream.Output.WriteAsync(new byte[7], Token);
        await stream.Output.CompleteAsync();
        await Assert.ThrowsAsync<TransportException>(() => stream.Input.ReadToEndAsync(Token));
        await connection.PingAsync(Token);
    }

    [Fact]
    public async Task A_giant_download_can_be_cancelled()
    {
        await using var nodes = new TestNodes();
        (Swarm b, PeerConnection connection) = await ConnectAsync(nodes);
        b.EnablePerf();
        using var cancellation = new CancellationTokenSource();
        var started = new Latest { Reported = () => cancellation.Cancel() };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => PerfClient.RunAsync(connection, 0, ulong.MaxValue, started, cancellationToken: cancellation.Token));
        await connection.PingAsync(Token);
    }

    private sealed class Latest : IProgress<PerfProgress>
    {
        public PerfProgress Value { get; private set; }

        public Action? Reported { get; init; }

        public void Report(PerfProgress value)
        {
            Value = value;
            Reported?.Invoke();
        }
    }
}
