using System.IO.Pipelines;
using FastShare.Transport.Multiplexing;
using FastShare.Transport.Multiplexing.Internal;

namespace FastShare.Transport.Tests.Multiplexing;

/// <summary>Remote sides that break the protocol or abuse it: typed errors, bounded memory, and no harm to others.</summary>
public sealed class YamuxHostilePeerTests
{
    [Fact]
    public async Task Connections_that_fill_all_the_memory_they_get_leave_some_to_the_others()
    {
        var options = new YamuxOptions { Pool = ScriptedNode.Pool, ProcessBuffers = new ByteBudget(4 << 20) };
        var hoarders = new List<ScriptedNode>();
        for (int i = 0; i < 4; i++)
        {
            ScriptedNode hoarder = ScriptedNode.Start(options: options);
            hoarders.Add(hoarder);
            // eight full windows that nobody reads
            for (uint id = 1; id < 17; id += 2)
            {
                await hoarder.Peer.SendAsync(FrameType.WindowUpdate, FrameFlags.Syn, id);
                for (int part = 0; part < 4; part++) await hoarder.Peer.SendAsync(FrameType.Data, FrameFlags.None, id, payload: new byte[64 << 10]);
            }

            await hoarder.Peer.SendAsync(FrameType.Ping, FrameFlags.Syn, 0, 7);
            while ((await hoarder.Peer.ReadAsync())!.Value.Header is not { Type: FrameType.Ping, Length: 7 })
            {
                // streams that found no room are reset
            }
        }

        await using (ScriptedNode honest = ScriptedNode.Start(options: options))
        {
            IMuxedStream stream = await honest.OpenFromPeerAsync(1);
            for (int part = 0; part < 20; part++)
            {
                await honest.Peer.SendAsync(FrameType.Data, FrameFlags.None, 1, payload: new byte[10_000]);
                ReadResult result = await stream.Input.ReadAtLeastAsync(10_000);
                stream.Input.AdvanceTo(result.Buffer.End);
            }

            await stream.DisposeAsync();
        }

        foreach (ScriptedNode hoarder in hoarders) await hoarder.DisposeAsync();
        Assert.Equal(0, options.ProcessBuffers.Used);
    }

    // The script dials, so it opens odd streams. Stream 1 exists and is accepted.
    public static TheoryData<string, string> Violations => new()
    {
        { "unknown version", "01 00 0000 00000001 00000000" },
        { "unknown type", "00 04 0000 00000001 00000000" },
        { "unknown flag", "00 00 0010 00000001 00000000" },
        { "data on the session", "00 00 0000 00000000 00000001 00" },
        { "window update on the session", "00 01 0000 00000000 00000001" },
        { "ping on a stream", "00 02 0001 00000001 00000001" },
        { "ping that neither asks nor answers", "00 02 0000 00000000 00000001" },
        { "ping that does both", "00 02 0003 00000000 00000001" },
        { "go-away on a stream", "00 03 0000 00000001 00000000" },
        { "even stream opened by the dialer", "00 01 0001 00000002 00000000" },
        { "stream opened twice", "00 01 0001 00000001 00000000" },
        { "stream opened twice with data", "00 00 0001 00000001 00000001 00" },
        { "data beyond the window", "00 00 0000 00000001 00040001" },
        { "data with SYN beyond the first window", "00 00 0001 00000003 00040001" },
        { "data of 4 GiB", "00 00 0000 00000001 ffffffff" },
        { "data of 2 GiB on a stream nobody knows", "00 00 0000 00000063 80000000" },
        { "credit of 2^32-1 on top of the first", "00 01 0000 00000001 ffffffff" },
        { "credit overflow with SYN", "00 01 0001 00000003 fffc0000" },
        { "credit overflow with ACK", "00 01 0002 00000001 fffc0000" },
    };

    [Theory]
    [MemberData(nameof(Violations))]
    public async Task A_violation_ends_the_connection_with_go_away_1(string name, string frame)
    {
        await using ScriptedNode node = ScriptedNode.Start();
        IMuxedStream stream = await node.OpenFromPeerAsync(1);
        await node.Peer.SendAsync(frame);
        Assert.Equal(1u, await node.Peer.ReadGoAwayAsync());
        node.Far.Abort();
        TransportException? reason = await node.Connection.Closed;
        Assert.True(reason?.Error == TransportError.ProtocolViolation, name);
        Assert.Contains("yamux", reason!.Message, StringComparison.Ordinal);
        TransportException failure = await Assert.ThrowsAsync<TransportException>(async () => await stream.Input.ReadAsync());
        Assert.Equal(TransportError.ConnectionClosed, failure.Error);
        Assert.Equal(0, node.Connection.StreamCount);
    }

    [Fact]
    public async Task Credit_up_to_the_limit_is_fine_and_one_more_is_not()
    {
        await using ScriptedNode node = ScriptedNode.Start();
        await node.OpenFromPeerAsync(1);
        await node.Peer.SendAsync("00 01 0000 00000001 fffbffff"); // 2^32-1 in all
        await node.SettleAsync();
        await node.Peer.SendAsync("00 01 0000 00000001 00000001");
        Assert.Equal(1u, await node.Peer.ReadGoAwayAsync());
    }

    [Fact]
    public async Task Data_after_the_end_costs_the_stream_only()
    {
        await using ScriptedNode node = ScriptedNode.Start();
        IMuxedStream stream = await node.OpenFromPeerAsync(1);
        await node.Peer.SendAsync(FrameType.Data, FrameFlags.Fin, 1);
        await node.Peer.SendAsync(FrameType.Data, FrameFlags.None, 1, payload: [1, 2]);
        await node.Peer.ExpectAsync(FrameType.WindowUpdate, FrameFlags.Rst, 1, 0);
        await node.SettleAsync();
        TransportException failure = await Assert.ThrowsAsync<TransportException>(async () => await stream.Output.WriteAsync(new byte[1]));
        Assert.Equal(TransportError.StreamReset, failure.Error);
    }

    [Fact]
    public async Task The_code_of_a_reset_is_told_and_is_no_credit()
    {
        await using ScriptedNode node = ScriptedNode.Start();
        IMuxedStream stream = await node.OpenFromPeerAsync(1);
        await node.Peer.SendAsync(FrameType.WindowUpdate, FrameFlags.Rst, 1, 0xffffffff); // would overflow as credit
        await node.SettleAsync();
        TransportException failure = await Assert.ThrowsAsync<TransportException>(async () => await stream.Input.ReadAsync());
        Assert.Equal(TransportError.StreamReset, failure.Error);
        Assert.Contains("0xffffffff", failure.Message, StringComparison.Ordinal);

        stream = await node.OpenFromPeerAsync(3);
        await node.Peer.SendAsync(FrameType.WindowUpdate, FrameFlags.Rst, 3, 0x1002);
        failure = await Assert.ThrowsAsync<TransportException>(async () => await stream.Input.ReadAsync());
        Assert.Contains("resource limit", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Frames_for_streams_nobody_knows_are_drained()
    {
        await using ScriptedNode node = ScriptedNode.Start();
        await node.Peer.SendAsync(FrameType.Data, FrameFlags.None, 99, payload: new byte[1_000_000]);
        await node.Peer.SendAsync(FrameType.Data, FrameFlags.Fin, 98, payload: new byte[10]);
        await node.Peer.SendAsync(FrameType.WindowUpdate, FrameFlags.None, 99, uint.MaxValue);
        await node.Peer.SendAsync(FrameType.WindowUpdate, FrameFlags.Rst, 97);
        await node.SettleAsync();
        await node.OpenFromPeerAsync(1);
        Assert.Equal(1, node.Connection.StreamCount);
    }

    [Fact]
    public async Task Answers_nobody_asked_for_are_ignored_within_a_budget()
    {
        await using ScriptedNode node = ScriptedNode.Start();
        for (uint i = 0; i < 100; i++) await node.Peer.SendAsync(FrameType.Ping, FrameFlags.Ack, 0, 1000 + i);
        await node.SettleAsync();
        await FloodAsync(node, FrameType.Ping, FrameFlags.Ack, 0, 7);
    }

    [Theory]
    [InlineData("pings", 2, 1, 0)]
    [InlineData("empty data frames", 0, 0, 1)]
    [InlineData("window updates of nothing", 1, 0, 1)]
    [InlineData("acknowledgements over and over", 1, 2, 1)]
    [InlineData("empty frames for streams nobody knows", 0, 0, 99)]
    public async Task Floods_of_frames_that_carry_nothing_end_the_connection(string name, byte type, ushort flags, uint stream)
    {
        await using ScriptedNode node = ScriptedNode.Start();
        await node.OpenFromPeerAsync(1);
        Assert.NotNull(name);
        await FloodAsync(node, (FrameType)type, (FrameFlags)flags, stream, 0);
    }

    [Fact]
    public async Task Pings_at_an_honest_rate_go_on_for_ever()
    {
        await using ScriptedNode node = ScriptedNode.Start();
        for (int i = 0; i < 20; i++)
        {
            for (int k = 0; k < 500; k++) await node.Peer.SendAsync(FrameType.Ping, FrameFlags.Syn, 0, 1);
            await node.Peer.SendAsync(FrameType.Ping, FrameFlags.Syn, 0, 2);
            while ((await node.Peer.ReadAsync())!.Value.Header.Length != 2) continue;
            node.Time.Advance(TimeSpan.FromSeconds(0.3));
        }

        Assert.False(node.Connection.Closed.IsCompleted);
    }

    [Fact]
    public async Task Unread_pongs_do_not_pile_up()
    {
        await using ScriptedNode node = ScriptedNode.Start(capacity: 100);
        for (uint i = 0; i < 3000; i++) await node.Peer.SendAsync(FrameType.Ping, FrameFlags.Syn, 0, i);
        int answers = 0;
        while ((await node.Peer.ReadAsync())!.Value.Header is var header)
        {
            answers++;
            if (header.Length == 2999) break;
        }

        Assert.True(answers < 600, $"{answers} answers were queued"); // one batch of headers, and the last
    }

    [Fact]
    public async Task Streams_opened_and_reset_in_a_row_end_the_connection()
    {
        await using ScriptedNode node = ScriptedNode.Start();
        Task accepting = Task.Run(async () =>
        {
            while (await node.Connection.AcceptStreamAsync(default) is { } stream) await stream.DisposeAsync();
        });
        for (uint id = 1; !node.Connection.Closed.IsCompleted && id < 40_000; id += 2)
        {
            try
            {
                await node.Peer.SendAsync($"00010001{id:x8}00000000 00010008{id:x8}00000000");
            }
            catch (Exception e) when (e is IOException or InvalidOperationException)
            {
                break;
            }
        }

        node.Far.Abort();
        Assert.Equal(TransportError.ProtocolViolation, (await node.Connection.Closed)?.Error);
        await accepting;
    }

    [Fact]
    public async Task Streams_beyond_the_accept_backlog_are_refused_and_the_others_live()
    {
        await using ScriptedNode node = ScriptedNode.Start();
        for (uint i = 0; i < 514; i++) await node.Peer.SendAsync(FrameType.Data, FrameFlags.Syn, 1 + 2 * i, payload: [(byte)i]);
        await node.Peer.ExpectAsync(FrameType.WindowUpdate, FrameFlags.Rst, 1025, 0);
        await node.Peer.ExpectAsync(FrameType.WindowUpdate, FrameFlags.Rst, 1027, 0);
        Assert.Equal(512, node.Connection.StreamCount);
        for (int i = 0; i < 512; i++)
        {
            IMuxedStream stream = (await node.Connection.AcceptStreamAsync(default))!;
            Assert.Equal([(byte)i], await stream.Input.ReadAsync(1));
        }
    }

    [Fact]
    public async Task A_reset_stream_makes_room_only_when_its_handler_has_ended()
    {
        var options = new YamuxOptions { MaxInboundStreams = 2, Pool = ScriptedNode.Pool };
        await using ScriptedNode node = ScriptedNode.Start(options: options);
        IMuxedStream first = await node.OpenFromPeerAsync(1);
        await node.OpenFromPeerAsync(3);
        await node.Peer.SendAsync(FrameType.WindowUpdate, FrameFlags.Rst, 1);
        await node.Peer.SendAsync(FrameType.WindowUpdate, FrameFlags.Syn, 5);
        await node.Peer.ExpectAsync(FrameType.WindowUpdate, FrameFlags.Rst, 5, 0);
        await first.DisposeAsync();
        await node.OpenFromPeerAsync(7);
    }

    [Fact]
    public async Task A_stream_reset_before_anyone_took_it_is_never_seen()
    {
        await using ScriptedNode node = ScriptedNode.Start();
        await node.Peer.SendAsync(FrameType.Data, FrameFlags.Syn, 1, payload: new byte[1000]);
        await node.Peer.SendAsync(FrameType.Data, FrameFlags.Rst, 1);
        await node.Peer.SendAsync(FrameType.WindowUpdate, FrameFlags.Syn | FrameFlags.Rst, 3);
        await node.Peer.SendAsync(FrameType.WindowUpdate, FrameFlags.Syn, 5);
        await node.SettleAsync();
        Assert.Equal(5, (await node.Connection.AcceptStreamAsync(default))!.Id);
        await node.Peer.ExpectAsync(FrameType.WindowUpdate, FrameFlags.Ack, 5);
        Assert.Equal(1, node.Connection.StreamCount);
    }

    [Fact]
    public async Task Memory_for_unread_bytes_is_bounded_and_the_stream_that_needs_more_is_reset()
    {
        var options = new YamuxOptions { MaxBufferedBytes = 1 << 20, Pool = ScriptedNode.Pool };
        await using ScriptedNode node = ScriptedNode.Start(options: options);
        for (uint id = 1; id <= 9; id += 2)
        {
            await node.OpenFromPeerAsync(id);
            if (id < 9) await node.Peer.SendAsync(FrameType.Data, FrameFlags.None, id, payload: new byte[256 << 10]);
        }

        await node.SettleAsync();
        Assert.Equal(1 << 20, node.Connection.Buffers.Used);
        await node.Peer.SendAsync(FrameType.Data, FrameFlags.None, 9, payload: new byte[100]);
        await node.Peer.ExpectAsync(FrameType.WindowUpdate, FrameFlags.Rst, 9, 0);
        await node.SettleAsync();
        Assert.Equal(4, node.Connection.StreamCount);
    }

    [Fact]
    public async Task Tiny_frames_share_blocks()
    {
        await using ScriptedNode node = ScriptedNode.Start();
        await node.OpenFromPeerAsync(1);
        for (int i = 0; i < 4000; i++) await node.Peer.SendAsync(FrameType.Data, FrameFlags.None, 1, payload: [1]);
        await node.SettleAsync();
        Assert.Equal(4096, node.Connection.Buffers.Used);
    }

    [Fact]
    public async Task A_reader_that_waits_for_more_than_its_window_gets_a_larger_one_and_in_the_end_an_error()
    {
        var options = new YamuxOptions { MaxStreamWindow = 512 << 10, Pool = ScriptedNode.Pool };
        await using ScriptedNode node = ScriptedNode.Start(options: options);
        IMuxedStream stream = await node.OpenFromPeerAsync(1);
        await node.Peer.SendAsync(FrameType.Data, FrameFlags.None, 1, payload: new byte[256 << 10]);
        Task failing = Task.Run(async () =>
        {
            while (true)
            {
                System.IO.Pipelines.ReadResult result = await stream.Input.ReadAsync();
                stream.Input.AdvanceTo(result.Buffer.Start, result.Buffer.End);
            }
        });
        await node.Peer.ExpectAsync(FrameType.WindowUpdate, FrameFlags.None, 1, 256 << 10);
        await node.Peer.SendAsync(FrameType.Data, FrameFlags.None, 1, payload: new byte[256 << 10]);
        Assert.Equal(TransportError.LimitExceeded, (await Assert.ThrowsAsync<TransportException>(() => failing)).Error);
        await stream.DisposeAsync();
        Assert.Equal(0, node.Connection.Buffers.Used);
        Assert.Equal(0, node.Connection.WindowGrowth.Used);
    }

    private static async Task FloodAsync(ScriptedNode node, FrameType type, FrameFlags flags, uint stream, uint length)
    {
        Task<uint?> goodbye = Task.Run(node.Peer.ReadGoAwayAsync);
        for (int i = 0; i < 20_000 && !goodbye.IsCompleted; i++)
        {
            try
            {
                await node.Peer.SendAsync(type, flags, stream, length);
            }
            catch (Exception e) when (e is IOException or InvalidOperationException)
            {
                break;
            }
        }

        Assert.Equal(1u, await goodbye);
        node.Far.Abort();
        Assert.Equal(TransportError.ProtocolViolation, (await node.Connection.Closed)?.Error);
    }
}
