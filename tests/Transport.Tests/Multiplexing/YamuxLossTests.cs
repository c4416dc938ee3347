using FastShare.Testing.Multiplexing;
using FastShare.Transport.Multiplexing;
using FastShare.Transport.Multiplexing.Internal;
using FastShare.Transport.Security;
using Microsoft.Extensions.Logging.Abstractions;

namespace FastShare.Transport.Tests.Multiplexing;

/// <summary>Connections that end without an orderly close: cut off, dead, stalled.</summary>
public sealed class YamuxLossTests
{
    [Theory]
    [InlineData(0u, null)]
    [InlineData(1u, "protocol error")]
    [InlineData(2u, "internal error")]
    [InlineData(0x1003u, "0x1003")]
    public async Task A_go_away_ends_everything_on_receipt(uint code, string? message)
    {
        await using ScriptedNode node = ScriptedNode.Start();
        IMuxedStream stream = await node.OpenFromPeerAsync(1);
        Task writing = stream.Output.WriteAsync(new byte[1_000_000]).AsTask();
        await node.Peer.SendAsync(FrameType.GoAway, FrameFlags.None, 0, code);
        TransportException? reason = await node.Connection.Closed;
        if (message is null) Assert.Null(reason);
        else Assert.Contains(message, reason!.Message, StringComparison.Ordinal);
        Assert.Equal(TransportError.ConnectionClosed, (await Assert.ThrowsAsync<TransportException>(() => writing)).Error);
        TransportException failure = await Assert.ThrowsAsync<TransportException>(async () => await stream.Input.ReadAsync());
        Assert.Equal(TransportError.ConnectionClosed, failure.Error);
        Assert.Null(await node.Connection.AcceptStreamAsync(default));
    }

    [Fact]
    public async Task An_end_between_frames_with_nothing_open_is_orderly()
    {
        await using ScriptedNode node = ScriptedNode.Start();
        node.Peer.Finish(); // as go leaves
        Assert.Null(await node.Connection.Closed);
    }

    [Theory]
    [InlineData("")] // with a stream open
    [InlineData("00 00 0000 00")] // inside a header
    [InlineData("00 00 0000 00000001 00000005 0102")] // inside a payload
    [InlineData("00 00 0000 00000063 00000005 0102")] // inside a payload that nobody wants
    public async Task An_end_at_any_other_place_is_a_loss(string last)
    {
        await using ScriptedNode node = ScriptedNode.Start();
        IMuxedStream stream = await node.OpenFromPeerAsync(1);
        await node.Peer.SendAsync(last);
        node.Peer.Finish();
        Assert.Equal(TransportError.ConnectionClosed, (await node.Connection.Closed)?.Error);
        if (last.Contains("0102", StringComparison.Ordinal) && last.Contains("00000001 0", StringComparison.Ordinal))
            Assert.Equal([1, 2], await stream.Input.ReadAsync(2)); // what came is not taken away
        TransportException failure = await Assert.ThrowsAsync<TransportException>(async () => await stream.Input.ReadAsync());
        Assert.Equal(TransportError.ConnectionClosed, failure.Error);
    }

    [Fact]
    public async Task A_reset_connection_keeps_its_cause()
    {
        await using ScriptedNode node = ScriptedNode.Start();
        IMuxedStream stream = await node.OpenFromPeerAsync(1);
        node.Far.Abort();
        Assert.Equal(TransportError.ConnectionReset, (await node.Connection.Closed)?.Error);
        TransportException failure = await Assert.ThrowsAsync<TransportException>(async () => await stream.Input.ReadAsync());
        Assert.Equal(TransportError.ConnectionReset, Assert.IsType<TransportException>(failure.InnerException).Error);
    }

    [Fact]
    public async Task A_peer_that_falls_silent_is_noticed_within_twenty_seconds()
    {
        await using ScriptedNode node = ScriptedNode.Start();
        await node.OpenFromPeerAsync(1);
        TimeSpan waited = await node.AdvanceUntilAsync(node.Connection.Closed);
        Assert.Equal(TransportError.Timeout, (await node.Connection.Closed)?.Error);
        Assert.InRange(waited.TotalSeconds, 10, 20);
    }

    [Fact]
    public async Task A_peer_that_answers_pings_is_kept()
    {
        await using ScriptedNode node = ScriptedNode.Start();
        Task<(YamuxHeader, byte[])?> answering = Task.Run(node.Peer.ReadAsync); // answers pings, nothing else comes
        for (int seconds = 0; seconds < 60; seconds++)
        {
            node.Time.Advance(TimeSpan.FromSeconds(1));
            await Task.Delay(2);
        }

        Assert.False(node.Connection.Closed.IsCompleted);
        node.Far.Abort();
        await answering;
    }

    [Fact]
    public async Task A_peer_that_never_reads_is_given_up()
    {
        var options = new YamuxOptions { PingInterval = TimeSpan.FromHours(1), Pool = ScriptedNode.Pool };
        await using ScriptedNode node = ScriptedNode.Start(options: options, capacity: 1000);
        IMuxedStream stream = await node.OpenFromPeerAsync(1);
        Task writing = stream.Output.WriteAsync(new byte[100_000]).AsTask();
        while (node.Near.Pending == 0) await Task.Delay(1);

        // It sends, so it lives; that buys a minute and no more.
        Task<TransportException?> closed = node.Connection.Closed;
        int seconds = 0;
        for (; !closed.IsCompleted && seconds < 200; seconds++)
        {
            try
            {
                await node.Peer.SendAsync(FrameType.Data, FrameFlags.None, 1, payload: [1]);
            }
            catch (IOException)
            {
                break; // given up
            }

            node.Time.Advance(TimeSpan.FromSeconds(1));
            for (int i = 0; i < 5 && !closed.IsCompleted; i++) await Task.Delay(1);
        }

        Assert.InRange(seconds, 58, 75);
        Assert.Equal(TransportError.Timeout, (await closed)?.Error);
        Assert.Equal(TransportError.ConnectionClosed, (await Assert.ThrowsAsync<TransportException>(() => writing)).Error);
    }

    [Fact]
    public async Task A_silent_peer_that_never_reads_is_given_up_after_fifteen_seconds()
    {
        var never = TimeSpan.FromHours(1);
        var options = new YamuxOptions { PingInterval = never, PingTimeout = never, Pool = ScriptedNode.Pool };
        await using ScriptedNode node = ScriptedNode.Start(options: options, capacity: 1000);
        IMuxedStream stream = await node.OpenFromPeerAsync(1);
        Task writing = stream.Output.WriteAsync(new byte[100_000]).AsTask();
        while (node.Near.Pending == 0) await Task.Delay(1);
        TimeSpan waited = await node.AdvanceUntilAsync(node.Connection.Closed);
        Assert.InRange(waited.TotalSeconds, 14, 16);
        Assert.Equal(TransportError.ConnectionClosed, (await Assert.ThrowsAsync<TransportException>(() => writing)).Error);
    }

    [Fact]
    public async Task Closing_towards_a_peer_that_never_reads_ends_in_time()
    {
        await using ScriptedNode node = ScriptedNode.Start(capacity: 1000);
        IMuxedStream stream = await node.OpenFromPeerAsync(1);
        Task writing = stream.Output.WriteAsync(new byte[100_000]).AsTask();
        Task closing = node.Connection.CloseAsync(default).AsTask();
        TimeSpan waited = await node.AdvanceUntilAsync(closing);
        Assert.InRange(waited.TotalSeconds, 4, 6);
        await closing;
        Assert.Equal(TransportError.Timeout, (await node.Connection.Closed)?.Error);
        await Assert.ThrowsAsync<TransportException>(() => writing);
    }

    [Fact]
    public async Task Cancelling_a_close_aborts()
    {
        await using ScriptedNode node = ScriptedNode.Start(capacity: 1000);
        IMuxedStream stream = await node.OpenFromPeerAsync(1);
        Task writing = stream.Output.WriteAsync(new byte[100_000]).AsTask();
        using var cancel = new CancellationTokenSource();
        Task closing = node.Connection.CloseAsync(cancel.Token).AsTask();
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => closing);
        Assert.Equal(TransportError.Aborted, (await node.Connection.Closed)?.Error);
        await Assert.ThrowsAsync<TransportException>(() => writing);
    }

    [Fact]
    public async Task A_violation_by_a_peer_that_never_reads_ends_all_the_same()
    {
        await using ScriptedNode node = ScriptedNode.Start(capacity: 1000);
        IMuxedStream stream = await node.OpenFromPeerAsync(1);
        Task writing = stream.Output.WriteAsync(new byte[100_000]).AsTask();
        while (node.Near.Pending == 0) await Task.Delay(1);
        await node.Peer.SendAsync("ff");
        await node.Peer.SendAsync(new byte[11]);
        TimeSpan waited = await node.AdvanceUntilAsync(node.Connection.Closed);
        Assert.InRange(waited.TotalSeconds, 0, 2);
        Assert.Equal(TransportError.ProtocolViolation, (await node.Connection.Closed)?.Error);
        await Assert.ThrowsAsync<TransportException>(() => writing);
    }

    [Fact]
    public async Task A_connection_that_never_started_can_be_disposed()
    {
        (MemoryByteChannel near, _) = MemoryByteChannel.CreatePair();
        var connection = new YamuxConnection(near, ConnectionRole.Dialer, YamuxOptions.Default, TimeProvider.System, NullLogger.Instance);
        await connection.DisposeAsync();
        Assert.Null(await connection.Closed);
        Assert.True(near.IsDisposed);
        Assert.Throws<InvalidOperationException>(connection.Start);
    }
}
