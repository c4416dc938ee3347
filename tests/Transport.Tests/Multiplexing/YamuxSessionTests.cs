using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.InteropServices;
using FastShare.Testing.Multiplexing;
using FastShare.Transport.Multiplexing;
using FastShare.Transport.Multiplexing.Internal;
using FastShare.Transport.Security;
using FastShare.Transport.Telemetry;
using Microsoft.Extensions.Logging.Abstractions;

namespace FastShare.Transport.Tests.Multiplexing;

/// <summary>What goes over the wire when both sides behave, byte by byte.</summary>
public sealed class YamuxSessionTests
{
    [Fact]
    public async Task The_first_frame_is_a_ping()
    {
        await using ScriptedNode node = ScriptedNode.Start(ConnectionRole.Dialer);
        node.Peer.AnswersPings = false;
        await node.Peer.ExpectAsync(FrameType.Ping, FrameFlags.Syn, 0, 0);
    }

    [Fact]
    public async Task The_round_trip_time_is_that_of_the_path()
    {
        await using ScriptedNode node = ScriptedNode.Start();
        node.Peer.AnswersPings = false;
        foreach (int milliseconds in new[] { 100, 40, 80, 60 }) // slow while code is cold, then the path
        {
            (YamuxHeader ping, _) = (await node.Peer.ReadAsync())!.Value;
            node.Time.Advance(TimeSpan.FromMilliseconds(milliseconds));
            await node.Peer.SendAsync(FrameType.Ping, FrameFlags.Ack, 0, ping.Length);
        }

        await node.SettleAsync();
        Assert.Equal(TimeSpan.FromMilliseconds(60), node.Connection.RoundTripTime);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_peer_that_hangs_up_on_our_goodbye_before_we_hear_that_it_was_sent_closes_in_good_order(bool reset)
    {
        (MemoryByteChannel near, MemoryByteChannel far) = MemoryByteChannel.CreatePair(1 << 20);
        await using var slow = new LateFlushChannel(near);
        await using var connection = new YamuxConnection(
            slow, ConnectionRole.Dialer, YamuxOptions.Default, TimeProvider.System, NullLogger.Instance);
        connection.Start();
        await connection.OpenStreamAsync(default);
        Task closing = connection.CloseAsync(default).AsTask();
        await slow.Sent; // the go-away has left, the flush has not returned
        if (reset) slow.FailReads(new TransportException(TransportError.ConnectionReset, "reset"));
        else far.CloseWrite();
        Assert.Equal(0, await slow.ReadEnded);
        slow.Release();
        await closing;
        Assert.Null(await connection.Closed);
    }

    [Fact]
    public async Task A_stream_is_announced_at_once_before_anything_is_written()
    {
        await using ScriptedNode node = ScriptedNode.Start(ConnectionRole.Dialer);
        IMuxedStream stream = await node.Connection.OpenStreamAsync(default);
        await node.Peer.ExpectAsync(FrameType.WindowUpdate, FrameFlags.Syn, 1, 0);
        await stream.Output.WriteAsync("hi"u8.ToArray());
        Assert.Equal("hi"u8.ToArray(), await node.Peer.ExpectAsync(FrameType.Data, FrameFlags.None, 1));
    }

    [Fact]
    public async Task A_stream_is_acknowledged_exactly_once_when_it_is_accepted()
    {
        await using ScriptedNode node = ScriptedNode.Start();
        await node.Peer.SendAsync(FrameType.Data, FrameFlags.Syn, 1, payload: "hello"u8.ToArray());
        await node.SettleAsync(); // nothing but the pong so far
        IMuxedStream stream = (await node.Connection.AcceptStreamAsync(default))!;
        await node.Peer.ExpectAsync(FrameType.WindowUpdate, FrameFlags.Ack, 1, 0);
        Assert.Equal("hello"u8.ToArray(), await stream.Input.ReadAsync(5));
        await stream.Output.WriteAsync(new byte[3]);
        await node.Peer.ExpectAsync(FrameType.Data, FrameFlags.None, 1, 3);
        stream.Output.Complete();
        await node.Peer.ExpectAsync(FrameType.Data, FrameFlags.Fin, 1, 0);
    }

    [Fact]
    public async Task The_end_rides_on_the_last_gathered_bytes()
    {
        await using ScriptedNode node = ScriptedNode.Start();
        IMuxedStream stream = await node.OpenFromPeerAsync(1);
        stream.Output.Write("bye"u8);
        stream.Output.Complete();
        Assert.Equal("bye"u8.ToArray(), await node.Peer.ExpectAsync(FrameType.Data, FrameFlags.Fin, 1));
        await node.Peer.SendAsync(FrameType.WindowUpdate, FrameFlags.Fin, 1);
        Assert.Empty(await stream.Input.ReadToEndAsync());
        Assert.Equal(0, node.Connection.StreamCount);
    }

    [Fact]
    public async Task Opening_and_ending_may_come_in_one_frame()
    {
        await using ScriptedNode node = ScriptedNode.Start();
        await node.Peer.SendAsync(FrameType.Data, FrameFlags.Syn | FrameFlags.Fin, 1, payload: "all"u8.ToArray());
        IMuxedStream stream = (await node.Connection.AcceptStreamAsync(default))!;
        await node.Peer.ExpectAsync(FrameType.WindowUpdate, FrameFlags.Ack, 1);
        Assert.Equal("all"u8.ToArray(), await stream.Input.ReadToEndAsync());
    }

    [Fact]
    public async Task A_configured_initial_window_is_granted_with_the_first_frame()
    {
        var options = new YamuxOptions { InitialWindow = 1 << 20, Pool = ScriptedNode.Pool };
        await using ScriptedNode node = ScriptedNode.Start(options: options);
        await node.Connection.OpenStreamAsync(default);
        await node.Peer.ExpectAsync(FrameType.WindowUpdate, FrameFlags.Syn, 2, (1 << 20) - (256 << 10));
        await node.Peer.SendAsync(FrameType.WindowUpdate, FrameFlags.Syn, 1);
        await node.Connection.AcceptStreamAsync(default);
        await node.Peer.ExpectAsync(FrameType.WindowUpdate, FrameFlags.Ack, 1, (1 << 20) - (256 << 10));
    }

    [Fact]
    public async Task Credit_with_the_opening_frame_counts()
    {
        await using ScriptedNode node = ScriptedNode.Start();
        await node.Peer.SendAsync(FrameType.WindowUpdate, FrameFlags.Syn, 1, 1000);
        IMuxedStream stream = (await node.Connection.AcceptStreamAsync(default))!;
        await node.Peer.ExpectAsync(FrameType.WindowUpdate, FrameFlags.Ack, 1);
        ValueTask<FlushResult> writing = stream.Output.WriteAsync(new byte[1 << 20]);
        Assert.Equal((256 << 10) + 1000, await ReceiveAsync(node, 1, (256 << 10) + 1000));
        await node.SettleAsync();
        Assert.False(writing.IsCompleted);
    }

    [Fact]
    public async Task Credit_returns_as_bytes_are_consumed_not_as_they_are_examined()
    {
        await using ScriptedNode node = ScriptedNode.Start(options: new YamuxOptions { MaxStreamWindow = SendCredit.Initial });
        IMuxedStream stream = await node.OpenFromPeerAsync(1);
        await node.Peer.SendAsync(FrameType.Data, FrameFlags.None, 1, payload: new byte[200_000]);
        await node.SettleAsync();
        ReadResult result = await stream.Input.ReadAsync();
        while (result.Buffer.Length < 200_000)
        {
            stream.Input.AdvanceTo(result.Buffer.Start, result.Buffer.End);
            result = await stream.Input.ReadAsync();
        }

        stream.Input.AdvanceTo(result.Buffer.GetPosition(131_071), result.Buffer.End);
        await node.SettleAsync(); // no credit yet
        Assert.True(stream.Input.TryRead(out result) is false);
        await node.Peer.SendAsync(FrameType.Data, FrameFlags.None, 1, payload: new byte[1]);
        result = await stream.Input.ReadAsync();
        stream.Input.AdvanceTo(result.Buffer.GetPosition(1));
        await node.Peer.ExpectAsync(FrameType.WindowUpdate, FrameFlags.None, 1, 131_072);
    }

    [Theory]
    [InlineData(399, 393_216)] // what was consumed and as much as the window grew by
    [InlineData(400, 131_072)]
    public async Task A_window_used_up_within_four_round_trips_grows(int milliseconds, uint credit)
    {
        await using ScriptedNode node = ScriptedNode.Start();
        node.Peer.AnswersPings = false;
        for (int i = 0; i < 3; i++)
        {
            (YamuxHeader ping, _) = (await node.Peer.ReadAsync())!.Value;
            node.Time.Advance(TimeSpan.FromMilliseconds(100));
            await node.Peer.SendAsync(FrameType.Ping, FrameFlags.Ack, 0, ping.Length);
        }

        IMuxedStream stream = await node.OpenFromPeerAsync(1);
        await node.Peer.SendAsync(FrameType.Data, FrameFlags.None, 1, payload: new byte[131_072]);
        node.Time.Advance(TimeSpan.FromMilliseconds(milliseconds));
        await stream.Input.ReadAsync(131_072);
        await node.Peer.ExpectAsync(FrameType.WindowUpdate, FrameFlags.None, 1, credit);
    }

    [Fact]
    public async Task Large_writes_hand_the_callers_memory_to_the_channel()
    {
        await using ScriptedNode node = ScriptedNode.Start();
        IMuxedStream stream = await node.OpenFromPeerAsync(1);
        byte[] message = StreamReading.Pattern(250_000, 1);
        int direct = 0;
        node.Near.OnWrite = memory =>
        {
            if (MemoryMarshal.TryGetArray(memory, out ArraySegment<byte> segment) && segment.Array == message)
                Interlocked.Add(ref direct, memory.Length);
        };
        await stream.Output.WriteAsync(message);
        Assert.Equal(message.Length, direct);
        Assert.Equal(message.Length, await ReceiveAsync(node, 1, message.Length));
    }

    [Fact]
    public async Task Streams_with_data_take_turns()
    {
        await using ScriptedNode node = ScriptedNode.Start(capacity: 1000); // the channel is busy until the script reads
        IMuxedStream[] streams = [await node.OpenFromPeerAsync(1), await node.OpenFromPeerAsync(3), await node.OpenFromPeerAsync(5)];
        Task plug = (await node.OpenFromPeerAsync(7)).Output.WriteAsync(new byte[10_000]).AsTask();
        while (node.Near.Pending < 10_000 || node.Connection.Writer.FlushStarted is null) await Task.Delay(1);
        Task[] writing = [plug, .. streams.Select(stream => stream.Output.WriteAsync(new byte[250_000]).AsTask())];
        var order = new List<uint>();
        for (int left = 760_000; left > 0;)
        {
            (YamuxHeader header, _) = (await node.Peer.ReadAsync())!.Value;
            order.Add(header.StreamId);
            Assert.True(header.StreamId == 7 || header.Length <= 65_503 + (65_503 / 32) || order[^2] == header.StreamId);
            left -= (int)header.Length;
        }

        await Task.WhenAll(writing);
        Assert.Equal([7u, 1, 3, 5, 1, 3, 5, 1, 3, 5], order[..10]);
    }

    [Fact]
    public async Task A_cancelled_write_returns_only_when_its_memory_is_free()
    {
        await using ScriptedNode node = ScriptedNode.Start(capacity: 1000);
        IMuxedStream stream = await node.OpenFromPeerAsync(1);
        using var cancel = new CancellationTokenSource();
        Task writing = stream.Output.WriteAsync(new byte[500_000], cancel.Token).AsTask();
        while (node.Near.Pending == 0) await Task.Delay(1); // the channel refers to the memory, and is stuck
        await cancel.CancelAsync();
        Assert.False(writing.IsCompleted);
        await ReceiveAsync(node, 1, 2 * 65_503); // at least one frame was in the batch
        if (!writing.IsCompleted) await ReceiveAsync(node, 1, 1);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => writing);
    }

    [Fact]
    public async Task Opening_waits_while_too_many_streams_are_unanswered()
    {
        var options = new YamuxOptions { MaxUnacknowledgedAtFirst = 256, Pool = ScriptedNode.Pool };
        await using ScriptedNode node = ScriptedNode.Start(ConnectionRole.Dialer, options);
        for (int i = 0; i < 256; i++) await node.Connection.OpenStreamAsync(default);
        Task<IMuxedStream>[] waiting = [.. Enumerable.Range(0, 5).Select(_ => node.Connection.OpenStreamAsync(default).AsTask())];
        for (uint i = 0; i < 256; i++) await node.Peer.ExpectAsync(FrameType.WindowUpdate, FrameFlags.Syn, 1 + 2 * i);
        await node.SettleAsync();
        Assert.All(waiting, task => Assert.False(task.IsCompleted));

        await node.Peer.SendAsync(FrameType.WindowUpdate, FrameFlags.Ack, 5);
        await node.Peer.SendAsync(FrameType.WindowUpdate, FrameFlags.Ack, 5); // a second one counts for nothing
        Assert.Equal(513, (await waiting[0]).Id);
        await node.Peer.SendAsync(FrameType.Data, FrameFlags.Rst, 7); // refused
        Assert.Equal(515, (await waiting[1]).Id);
        await node.Peer.SendAsync(FrameType.Data, FrameFlags.None, 9, payload: [1]); // evidently taken
        Assert.Equal(517, (await waiting[2]).Id);
        await node.SettleAfterSynsAsync(513, 515, 517);
        Assert.False(waiting[3].IsCompleted);
        node.Connection.Abort(new TransportException(TransportError.Aborted, "test"));
        foreach (Task task in waiting[3..])
            Assert.Equal(TransportError.ConnectionClosed, (await Assert.ThrowsAsync<TransportException>(() => task)).Error);
    }

    [Fact]
    public async Task Closing_sends_what_is_ready_then_says_goodbye()
    {
        await using ScriptedNode node = ScriptedNode.Start();
        IMuxedStream stream = await node.OpenFromPeerAsync(1);
        stream.Output.Write(new byte[100]);
        stream.Output.Complete();
        Task closing = node.Connection.CloseAsync(default).AsTask();
        await node.Peer.ExpectAsync(FrameType.Data, FrameFlags.Fin, 1, 100);
        await node.Peer.ExpectAsync(FrameType.GoAway, FrameFlags.None, 0, 0);
        Assert.Null(await node.Peer.ReadAsync());
        node.Peer.Finish();
        await closing;
        Assert.Null(await node.Connection.Closed);
    }

    [Fact]
    public async Task A_responder_lingers_for_the_remote_end_then_resets()
    {
        await using ScriptedNode node = ScriptedNode.Start();
        IMuxedStream stream = await node.OpenFromPeerAsync(1);
        stream.Output.Complete();
        await node.Peer.ExpectAsync(FrameType.Data, FrameFlags.Fin, 1, 0);
        await stream.DisposeAsync();
        await node.SettleAsync(); // no reset yet: the peer may still read
        Assert.Equal(1, node.Connection.StreamCount);
        Task reset = node.Peer.ExpectAsync(FrameType.WindowUpdate, FrameFlags.Rst, 1, 0);
        TimeSpan waited = await node.AdvanceUntilAsync(reset);
        await reset;
        Assert.InRange(waited.TotalSeconds, 5, 11);
        Assert.Equal(0, node.Connection.StreamCount);
    }

    private static async Task<int> ReceiveAsync(ScriptedNode node, uint stream, int count)
    {
        int total = 0;
        while (total < count)
        {
            (YamuxHeader header, byte[] payload) = (await node.Peer.ReadAsync())!.Value;
            Assert.Equal(stream, header.StreamId);
            total += payload.Length;
        }

        return total;
    }

    /// <summary>A channel whose flush of a go-away hands its bytes on and then does not return for a while.</summary>
    private sealed class LateFlushChannel(IByteChannel inner) : IByteChannel
    {
        private readonly TaskCompletionSource _sent = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _release = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource<int> _readEnded = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource<int> _fault = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private bool _hold; // the writer's

        public Task Sent => _sent.Task;

        /// <summary>Completes when the multiplexer got the end, or a failure, from a read.</summary>
        public Task<int> ReadEnded => _readEnded.Task;

        public int Pending => inner.Pending;

        public int BatchSize => inner.BatchSize;

        public ConnectionCounters Counters => inner.Counters;

        public void Release() => _release.TrySetResult();

        public void FailReads(TransportException error) => _fault.TrySetException(error);

        public async ValueTask<int> ReadAsync(Memory<byte> destination, CancellationToken cancellationToken)
        {
            int count = 0;
            try
            {
                count = await await Task.WhenAny(inner.ReadAsync(destination, cancellationToken).AsTask(), _fault.Task);
                return count;
            }
            finally
            {
                if (count == 0) _readEnded.TrySetResult(0);
            }
        }

        public void Write(ReadOnlyMemory<byte> data)
        {
            _hold |= data.Span[1] == (byte)FrameType.GoAway;
            inner.Write(data);
        }

        public async ValueTask FlushAsync(CancellationToken cancellationToken)
        {
            await inner.FlushAsync(cancellationToken);
            if (!_hold) return;
            _sent.TrySetResult();
            await _release.Task;
        }

        public void CloseWrite() => inner.CloseWrite();

        public void Abort()
        {
            Release();
            inner.Abort();
        }

        public ValueTask DisposeAsync() => inner.DisposeAsync();
    }
}
