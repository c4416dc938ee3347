using System.IO.Pipelines;
using FastShare.Testing.Transfer;
using FastShare.Transfer.Framing;
using FastShare.Transport;

namespace FastShare.Transfer.Tests.Sessions;

public class LaneTests
{
    private const int MiB = 1 << 20;

    [Fact]
    public async Task One_file_goes_over_several_connections()
    {
        await using var pair = new TransferPair();
        pair.AddFile("large", 12 * MiB + 5);
        Transfer sent = pair.Send(new SendOptions { Mode = TransferMode.Parallel, Connections = 3, Streams = 3 });
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        TransferResult result = await sent.Completion;
        await received.Completion;
        Assert.Equal("", pair.Differences());
        Assert.Equal(2, pair.Network.PrivateLinksMade);
        Assert.Equal(12 * MiB + 5, received.Meter.Moved);
        Assert.Equal(0, result.BytesResent);
        Assert.Equal((3, 3), (sent.Statistics.Connections, sent.Statistics.Streams));
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task Connections_lost_at_random_bytes_cost_what_was_on_its_way_and_nothing_else(int seed)
    {
        var random = new Random(seed);
        await using var pair = new TransferPair();
        for (int i = 0; i < 6; i++) pair.AddFile($"large/{i}", 3 * MiB + i);
        for (int i = 0; i < 40; i++) pair.AddFile($"small/{i}", i * 100);
        int breaks = 3;
        pair.Network.PrivateLinkMade = link =>
        {
            if (breaks-- > 0) link.BreakAfter = (long)(4 * MiB * Math.Pow(random.NextDouble(), 2));
        };

        Transfer sent = pair.Send(new SendOptions { Mode = TransferMode.Parallel, Connections = 4, Streams = 1 + random.Next(12) });
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        TransferResult result = await sent.Completion;
        TransferResult arrived = await received.Completion;

        Assert.Equal("", pair.Differences());
        Assert.Equal(46, result.Files);
        Assert.Empty(result.Failures);
        // Every byte once, whatever was lost on the way.
        Assert.Equal(sent.Progress.TotalBytes, received.Meter.Moved);
        Assert.Equal(0, arrived.BytesResent);
        Assert.Equal(sent.Progress.TotalBytes, sent.Progress.Bytes);
        Assert.Empty(await sent.EventsAsync().OfType<TransferEvent.Retrying>().ToListAsync());
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task Small_files_that_travel_together_are_lost_and_sent_again_one_by_one(int seed)
    {
        var random = new Random(seed);
        await using var pair = new TransferPair();
        for (int i = 0; i < 400; i++) pair.AddFile($"small/{i}", random.Next(4000));
        pair.AddFile("small/just", 16 << 10);
        pair.AddFile("small/not", (16 << 10) + 1);
        int breaks = 3;
        pair.Network.PrivateLinkMade = link =>
        {
            if (breaks-- > 0) link.BreakAfter = (long)(400_000 * Math.Pow(random.NextDouble(), 2));
        };

        Transfer sent = pair.Send(new SendOptions { Mode = TransferMode.Parallel, Connections = 3, Streams = 1 + random.Next(6) });
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        TransferResult result = await sent.Completion;
        TransferResult arrived = await received.Completion;

        Assert.Equal("", pair.Differences());
        Assert.Equal(402, result.Files);
        Assert.Equal(sent.Progress.TotalBytes, received.Meter.Moved);
        Assert.Equal(0, arrived.BytesResent);
        Assert.Equal(sent.Progress.TotalBytes, sent.Progress.Bytes);
    }

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 6)];

    [Fact]
    public async Task Losing_the_first_connection_goes_on_where_it_was()
    {
        await using var pair = new TransferPair();
        pair.AddFile("large", 12 * MiB);
        int links = 0;
        pair.Network.LinkMade = link =>
        {
            if (Interlocked.Increment(ref links) == 1) link.BreakAfter = 2 * MiB;
        };
        pair.Network.PrivateLinkMade = link =>
        {
            // The first connection is to be lost while the others still have something on their way.
            if (Volatile.Read(ref links) == 1) link.StallAfter = MiB / 2;
        };
        Transfer sent = pair.Send(new SendOptions { Mode = TransferMode.Parallel, Connections = 3, Streams = 3 });
        await sent.Completion;
        Assert.Equal("", pair.Differences());
        Assert.Single(await sent.EventsAsync().OfType<TransferEvent.Retrying>().ToListAsync());
    }

    [Fact]
    public async Task A_peer_that_takes_no_further_connection_is_sent_to_over_the_first()
    {
        await using var pair = new TransferPair();
        pair.AddFile("large", 8 * MiB);
        pair.Network.PrivateLinkMade = _ => throw new TransportException(TransportError.LimitExceeded, "too many connections");
        Transfer sent = pair.Send(new SendOptions { Mode = TransferMode.Parallel, Connections = 4, Streams = 4 });
        await sent.Completion;
        Assert.Equal("", pair.Differences());
        Assert.Equal(0, pair.Network.PrivateLinksMade);
    }

    [Fact]
    public async Task A_paused_transfer_moves_nothing_and_then_everything()
    {
        await using var pair = new TransferPair();
        pair.AddFile("large", 8 * MiB);
        var paused = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        pair.Consent = async (_, _) =>
        {
            await paused.Task;
            return OfferAnswer.Accept(pair.TargetFolder);
        };
        Transfer sent = pair.Send(new SendOptions { Mode = TransferMode.Sequential });
        await sent.PauseAsync();
        paused.SetResult();
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        await foreach (TransferEvent happened in received.EventsAsync())
        {
            if (happened is TransferEvent.Accepted) break;
        }

        while (sent.Progress.State != TransferState.Paused) await Task.Delay(5);
        Assert.Equal(0, sent.Meter.Moved);
        await sent.ResumeAsync();
        await sent.Completion;
        Assert.Equal("", pair.Differences());
        List<TransferEvent> events = await sent.EventsAsync().ToListAsync();
        Assert.Single(events.OfType<TransferEvent.Paused>());
        Assert.Single(events.OfType<TransferEvent.Continued>());
    }

    [Fact]
    public async Task A_paused_receiver_stores_nothing_until_it_goes_on()
    {
        await using var pair = new TransferPair();
        pair.AddFile("large", 8 * MiB);
        var asked = new TaskCompletionSource();
        var answer = new TaskCompletionSource();
        pair.Consent = async (_, _) =>
        {
            asked.SetResult();
            await answer.Task;
            return OfferAnswer.Accept(pair.TargetFolder);
        };
        Transfer sent = pair.Send(new SendOptions { Mode = TransferMode.Sequential });
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        await asked.Task;
        await received.PauseAsync();
        answer.SetResult();
        while (sent.Meter.Moved == 0) await Task.Delay(5);
        Assert.Equal(0, received.Meter.Moved);
        await received.ResumeAsync();
        await sent.Completion;
        Assert.Equal("", pair.Differences());
    }

    [Fact]
    public async Task A_rate_limit_can_be_lifted_and_a_paused_transfer_cancelled()
    {
        await using var pair = new TransferPair();
        string first = pair.AddFile("first", 4 * MiB), second = pair.AddFile("second", 4 * MiB);
        Transfer sent = pair.Send(new SendOptions { RateLimit = 1 }, first);
        Assert.Equal(1, sent.RateLimit);
        while (sent.Statistics.HeldBack == TimeSpan.Zero) await Task.Delay(5);
        Assert.InRange(sent.Meter.Moved, 0, 64 << 10);
        sent.RateLimit = null;
        await sent.Completion;

        Transfer cancelled = pair.Send(new SendOptions { RateLimit = 1 }, second); // not done before it is paused
        await cancelled.PauseAsync();
        while (cancelled.Progress.State != TransferState.Paused) await Task.Delay(5);
        await cancelled.CancelAsync();
        Assert.Equal(TransferError.Cancelled, (await Assert.ThrowsAsync<TransferException>(() => cancelled.Completion)).Error);
    }

    [Fact]
    public async Task The_receiver_says_how_far_a_lost_stream_came_and_takes_nothing_of_it_afterwards()
    {
        await using var pair = new TransferPair();
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        UInt128 session = await sender.OfferFilesAsync(3 * MiB);
        PipeWriter lane = await sender.AttachAsync(session, lane: 5);
        await ScriptedSender.SendChunkAsync(lane, 0, 0, new byte[MiB]);
        // A header whose payload never comes.
        new ChunkHeader(0, ChunkFlags.None, MiB, MiB, 0).Write(lane.GetSpan(ChunkHeader.Size));
        lane.Advance(ChunkHeader.Size);
        await lane.FlushAsync();
        await ScriptedSender.WaitForMovedAsync(await pair.IncomingAsync(CancellationToken.None), MiB);
        await sender.SendAsync(MessageType.LaneLost, new LaneNumber(5).Write);
        Assert.Equal(new LaneCount(5, 1), LaneCount.Parse(MessageType.LaneEnded, (await sender.ExpectAsync(MessageType.LaneEnded)).Body));

        // One that never arrived, and does afterwards.
        await sender.SendAsync(MessageType.LaneLost, new LaneNumber(6).Write);
        Assert.Equal(new LaneCount(6, 0), LaneCount.Parse(MessageType.LaneEnded, (await sender.ExpectAsync(MessageType.LaneEnded)).Body));
        await sender.AttachAsync(session, lane: 6);
        await Assert.ThrowsAsync<TransportException>(async () => await sender.LastStream.Input.ReadAsync());

        PipeWriter next = await sender.AttachAsync(session, lane: 7);
        await ScriptedSender.SendChunkAsync(next, 0, MiB, new byte[MiB]);
        await ScriptedSender.SendChunkAsync(next, 0, 2 * MiB, new byte[MiB]);
        await next.CompleteAsync();
        Assert.Equal(new LaneCount(7, 2), LaneCount.Parse(MessageType.LaneEnded, (await sender.ExpectAsync(MessageType.LaneEnded)).Body));
    }
}
