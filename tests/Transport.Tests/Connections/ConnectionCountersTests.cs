using System.IO.Pipelines;
using FastShare.Testing;
using FastShare.Testing.Multiplexing;
using FastShare.Testing.Sockets;
using FastShare.Transport.Multiplexing;
using FastShare.Transport.Multiplexing.Internal;
using FastShare.Transport.Protocols;
using FastShare.Transport.Security;
using FastShare.Transport.Telemetry;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transport.Tests.Connections;

public sealed class ConnectionCountersTests
{
    private readonly FakeTimeProvider _time = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public void Bulk_is_timed_and_little_pieces_count_their_bytes_only()
    {
        var counters = new ConnectionCounters(_time);
        long start = counters.Begin(ConnectionCounters.BulkBytes);
        _time.Advance(TimeSpan.FromMilliseconds(3));
        counters.Add(ConnectionStage.Seal, start, 100_000);
        start = counters.Begin(ConnectionCounters.BulkBytes - 1);
        _time.Advance(TimeSpan.FromMilliseconds(5));
        counters.Add(ConnectionStage.Seal, start, 7);
        Assert.Equal(TimeSpan.FromMilliseconds(3), counters.Time(ConnectionStage.Seal));
        Assert.Equal(100_007, counters.Bytes(ConnectionStage.Seal));
        Assert.Equal(0, counters.Bytes(ConnectionStage.Open));
    }

    [Fact]
    public void Waits_at_the_same_time_add_up_and_those_that_go_on_count()
    {
        var counters = new ConnectionCounters(_time);
        counters.BeginWait(ConnectionStage.WindowWait);
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(TimeSpan.FromSeconds(1), counters.Time(ConnectionStage.WindowWait));
        counters.BeginWait(ConnectionStage.WindowWait);
        _time.Advance(TimeSpan.FromSeconds(2));
        counters.EndWait(ConnectionStage.WindowWait);
        _time.Advance(TimeSpan.FromSeconds(4));
        counters.EndWait(ConnectionStage.WindowWait);
        _time.Advance(TimeSpan.FromSeconds(8));
        Assert.Equal(TimeSpan.FromSeconds(1 + 2 + 2 + 4), counters.Time(ConnectionStage.WindowWait));
        Assert.Equal(TimeSpan.Zero, counters.Time(ConnectionStage.SendWait));
    }

    [Fact]
    public async Task A_stream_without_credit_waits_for_its_window_until_the_reader_takes_something()
    {
        (MemoryByteChannel left, MemoryByteChannel right) = MemoryByteChannel.CreatePair(counters: new ConnectionCounters(_time));
        await using YamuxConnection near = Start(left, ConnectionRole.Dialer), far = Start(right, ConnectionRole.Listener);
        await using IMuxedStream sending = await near.OpenStreamAsync(Token);
        Task<FlushResult> write = sending.Output.WriteAsync(new byte[SendCredit.Initial + 1000], Token).AsTask();
        await using IMuxedStream receiving = (await far.AcceptStreamAsync(Token))!;
        ReadResult window = await receiving.Input.ReadAtLeastAsync((int)SendCredit.Initial, Token);
        // What has arrived has used up the credit, and nothing was returned yet.
        _time.Advance(TimeSpan.FromSeconds(3));
        Assert.Equal(TimeSpan.FromSeconds(3), near.Counters.Time(ConnectionStage.WindowWait));
        receiving.Input.AdvanceTo(window.Buffer.End);
        await write;
        _time.Advance(TimeSpan.FromSeconds(5));
        Assert.Equal(TimeSpan.FromSeconds(3), near.Counters.Time(ConnectionStage.WindowWait));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_stream_that_ends_or_is_given_up_waits_no_longer(bool cancelled)
    {
        (MemoryByteChannel left, MemoryByteChannel right) = MemoryByteChannel.CreatePair(counters: new ConnectionCounters(_time));
        await using YamuxConnection near = Start(left, ConnectionRole.Dialer), far = Start(right, ConnectionRole.Listener);
        await using IMuxedStream sending = await near.OpenStreamAsync(Token);
        using var giveUp = CancellationTokenSource.CreateLinkedTokenSource(Token);
        Task<FlushResult> write = sending.Output.WriteAsync(new byte[SendCredit.Initial + 1000], giveUp.Token).AsTask();
        await using IMuxedStream receiving = (await far.AcceptStreamAsync(Token))!;
        ReadResult window = await receiving.Input.ReadAtLeastAsync((int)SendCredit.Initial, Token);
        receiving.Input.AdvanceTo(window.Buffer.Start);
        _time.Advance(TimeSpan.FromSeconds(3));
        if (cancelled) await giveUp.CancelAsync();
        else sending.Reset();
        await Assert.ThrowsAnyAsync<Exception>(() => write);
        _time.Advance(TimeSpan.FromSeconds(5));
        Assert.Equal(TimeSpan.FromSeconds(3), near.Counters.Time(ConnectionStage.WindowWait));
    }

    [Fact]
    public async Task What_is_sealed_is_sent_received_and_opened()
    {
        const int Bytes = 3 << 20;
        using var meters = new Meters();
        await using var nodes = new TestNodes();
        Swarm a = await nodes.StartAsync("a", meters.Configure), b = await nodes.StartAsync("b");
        b.EnablePerf();
        PeerConnection connection = await a.ConnectAsync(b.LocalPeer, b.ListenAddresses, Token);
        await PerfClient.RunAsync(connection, Bytes, 0, cancellationToken: Token);
        ConnectionCounters sent = connection.Counters, received = b.Connections[0].Counters;
        Assert.InRange(sent.Bytes(ConnectionStage.Seal), Bytes, Bytes + (64 << 10));
        Assert.InRange(sent.Bytes(ConnectionStage.Send), sent.Bytes(ConnectionStage.Seal), Bytes + (128 << 10));
        Assert.InRange(received.Bytes(ConnectionStage.Open), Bytes, sent.Bytes(ConnectionStage.Seal));
        Assert.InRange(received.Bytes(ConnectionStage.Receive), received.Bytes(ConnectionStage.Open), Bytes + (128 << 10));
        Assert.True(sent.Time(ConnectionStage.Seal) > TimeSpan.Zero);
        Assert.True(sent.Time(ConnectionStage.Send) > TimeSpan.Zero);
        Assert.True(received.Time(ConnectionStage.Open) > TimeSpan.Zero);
        Assert.True(received.Time(ConnectionStage.ReceiveWait) > TimeSpan.Zero);

        Assert.InRange(meters.Observe("fastshare.connection.io", "network.io.direction=transmit"), Bytes, Bytes + (128 << 10));
        Assert.True(meters.Observe("fastshare.connection.stage.time", "fastshare.connection.stage=seal") > 0);
        await a.DisconnectAsync(b.LocalPeer, Token);
        // What is over stays in the sums.
        Assert.InRange(meters.Observe("fastshare.connection.io", "network.io.direction=transmit"), Bytes, Bytes + (128 << 10));
    }

    private static YamuxConnection Start(IByteChannel channel, ConnectionRole role)
    {
        var connection = new YamuxConnection(channel, role, new YamuxOptions(), TimeProvider.System, NullLogger.Instance);
        connection.Start();
        return connection;
    }
}
