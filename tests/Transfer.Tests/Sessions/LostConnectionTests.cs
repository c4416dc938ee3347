using System.IO.Pipelines;
using FastShare.Testing;
using FastShare.Testing.Storage;
using FastShare.Testing.Transfer;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Storage;
using FastShare.Transport;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transfer.Tests.Sessions;

public class LostConnectionTests
{
    private const int MiB = 1 << 20;

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task Breaks_at_random_bytes_never_cost_a_byte(int seed)
    {
        var random = new Random(seed);
        await using var pair = new TransferPair();
        AddTree(pair);
        int breaks = 4;
        pair.Network.LinkMade = link =>
        {
            if (breaks-- > 0) link.BreakAfter = (long)(6 * MiB * Math.Pow(random.NextDouble(), 3));
        };

        Transfer sent = pair.Send(new SendOptions { Mode = seed % 2 == 0 ? TransferMode.Sequential : TransferMode.Parallel });
        TransferResult result = await sent.Completion;

        Assert.Equal("", pair.Differences());
        Assert.Empty(result.Failures);
        Assert.Equal(25, result.Files);
        Assert.Equal(sent.Progress.TotalBytes, result.Bytes);
    }

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 8)];

    [Fact]
    public async Task What_arrived_before_the_break_is_not_sent_again()
    {
        await using var pair = new TransferPair();
        pair.AddFile("large", 8 * MiB);
        bool first = true;
        pair.Network.LinkMade = link =>
        {
            if (first) link.BreakAfter = 5 * MiB;
            first = false;
        };

        Transfer sent = pair.Send(new SendOptions { Mode = TransferMode.Sequential });
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        TransferResult result = await sent.Completion;
        await received.Completion;

        Assert.Equal("", pair.Differences());
        // One chunk was cut; what was read ahead for it never moved.
        Assert.InRange(sent.Meter.Moved, 8 * MiB, 9 * MiB);
        Assert.Equal(8 * MiB, received.Meter.Moved);
        Assert.InRange(result.BytesResent, 1, 6 * MiB);
        List<TransferEvent> events = await sent.EventsAsync().ToListAsync();
        Assert.Equal(1, events.OfType<TransferEvent.Retrying>().Single().Attempt);
        Assert.InRange(events.OfType<TransferEvent.Resumed>().Single().BytesAlready, 3 * MiB, 5 * MiB);
        Assert.Single(events.OfType<TransferEvent.Accepted>());
    }

    [Fact]
    public async Task A_connection_that_never_holds_ends_with_its_cause()
    {
        await using var pair = new TransferPair();
        pair.AddFile("large", 4 * MiB);
        pair.Network.LinkMade = link => link.BreakAfter = 100;
        TransferException failure =
            await Assert.ThrowsAsync<TransferException>(() => pair.Send(new SendOptions { MaxRetries = 2 }).Completion);
        Assert.Equal(TransferError.ConnectionLost, failure.Error);
        Assert.Contains("2 tries", failure.Message, StringComparison.Ordinal);
        Assert.IsType<TransportException>(failure.InnerException);
    }

    [Fact]
    public async Task A_restarted_receiver_resumes_from_its_journal()
    {
        await using var pair = new TransferPair();
        AddTree(pair);
        pair.AddFile("very large", 8 * MiB);
        Task stalled = pair.Network.StallFirstLinkAfter(7 * MiB);
        Transfer first = pair.Send(new SendOptions { Mode = TransferMode.Sequential });
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        await stalled;
        await Eventually.BecomesTrueAsync(() => received.Meter.Moved >= 4 * MiB, "what came through is stored");
        Task restarted = pair.RestartReceiverAsync();
        pair.Network.UnstallControl();
        await restarted;
        pair.Network.UnstallLinks();
        TransferException failure = await Assert.ThrowsAsync<TransferException>(() => first.Completion);
        Assert.Equal(TransferError.CancelledByPeer, failure.Error);

        Transfer second = pair.Send(new SendOptions { Mode = TransferMode.Sequential });
        await second.Completion;
        Assert.Equal("", pair.Differences());
        Assert.InRange(second.Meter.Moved, 1, second.Progress.TotalBytes - 3 * MiB);
        Assert.Empty(Directory.GetFileSystemEntries(pair.TargetFolder, ".fastshare*"));
    }

    [Fact]
    public async Task A_restarted_sender_resumes_while_the_receiver_waits()
    {
        await using var pair = new TransferPair();
        pair.AddFile("large", 8 * MiB);
        var moved = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        pair.Network.LinkMade = made => made.Carried = bytes =>
        {
            if (bytes <= 5 * MiB) return;
            made.Break();
            moved.TrySetResult();
        };
        Transfer first = pair.Send(new SendOptions { Mode = TransferMode.Sequential });
        await moved.Task;
        pair.Network.LinkMade = null;
        await pair.RestartSenderAsync();
        await Assert.ThrowsAsync<TransferException>(() => first.Completion);

        Transfer second = pair.Send(new SendOptions { Mode = TransferMode.Sequential });
        await second.Completion;
        Assert.Equal("", pair.Differences());
        Assert.InRange(second.Meter.Moved, 1, 5 * MiB);
        Assert.InRange((await second.EventsAsync().OfType<TransferEvent.Resumed>().SingleAsync()).BytesAlready, 3 * MiB, 6 * MiB);
    }

    [Fact]
    public async Task An_offer_that_waits_for_an_earlier_runs_storage_to_close_is_not_given_up()
    {
        using var held = new ManualResetEventSlim(initialState: true);
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var disk = new FaultyStorage(ReceiveStoreOptions.MachineStorage)
        {
            Fail = (name, _) =>
            {
                if (name != "SyncData" || held.IsSet) return null;
                reached.TrySetResult();
                held.Wait();
                return null;
            },
        };
        var time = new FakeTimeProvider();
        await using var pair = new TransferPair(limits: new IncomingLimits { Storage = disk }, time: time);
        await using (var first = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer))
        {
            UInt128 session = await first.OfferFilesAsync(2 * MiB);
            Transfer received = await pair.IncomingAsync(CancellationToken.None);
            await ScriptedSender.SendChunkAsync(await first.AttachAsync(session), 0, 0, new byte[MiB]);
            await ScriptedSender.WaitForMovedAsync(received, MiB);
        }

        pair.Network.BreakLinks();
        held.Reset();
        await using var second = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        try
        {
            // The same files by another run: the first one's data is being synced.
            await second.OfferAsync(instance: 8);
            await second.SendManifestAsync(new ManifestEntry(0, EntryKind.File, "file0", 2 * MiB, 0x1A4, 1_000_000_000, null));
            while (!reached.Task.IsCompleted)
            {
                time.Advance(TimeSpan.FromMilliseconds(100));
                await Task.WhenAny(reached.Task, Task.Delay(2));
            }

            // Six are 18 s, more than the silence that ends a connection.
            for (int heard = 0; heard < 6; heard++)
                Assert.Equal(MessageType.KeepAlive, (await second.AdvanceUntilAsync(time, second.NextAsync())).Type);
        }
        finally
        {
            held.Set();
        }

        await second.ExpectAsync(MessageType.Accept);
        PlanMessage plan = PlanMessage.Parse((await second.ExpectAsync(MessageType.Plan)).Body);
        Assert.Equal([new ChunkRange(1, 1)], Assert.Single(plan.Exceptions).Ranges);
    }

    [Fact]
    public async Task A_new_run_takes_over_from_one_that_died_although_its_last_words_still_come()
    {
        var time = new FakeTimeProvider();
        MemoryLink? old = null;
        await using var pair = new TransferPair(time: time);
        pair.Network.LinkMade = link => old ??= link;
        await using var first = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        UInt128 session = await first.OfferFilesAsync(2 * MiB);
        PipeWriter lane = await first.AttachAsync(session);
        Transfer died = await pair.IncomingAsync(CancellationToken.None);

        // What was on its way when the process died comes bit by bit. Then the connection ends.
        old!.IsUnanswered = true;
        pair.Network.ForgetLinks();
        await using var second = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        await second.OfferAsync(instance: 8);
        await second.SendManifestAsync(new ManifestEntry(0, EntryKind.File, "file0", 2 * MiB, 0x1A4, 1_000_000_000, null));
        for (int i = 0; i < 20; i++)
        {
            if (i == 10) await ScriptedSender.SendChunkAsync(lane, 0, 0, new byte[MiB]);
            else await first.SendRawAsync(MessageType.KeepAlive, []);
            while (!first.IsHeard) await Task.Delay(1, TestContext.Current.CancellationToken);
            time.Advance(TimeSpan.FromMilliseconds(100));
        }

        old.Break();
        await second.ExpectAsync(MessageType.Accept);
        await second.ExpectAsync(MessageType.Plan);
        Assert.Equal(TransferError.ConnectionLost, (await Assert.ThrowsAsync<TransferException>(() => died.Completion)).Error);
    }

    private static void AddTree(TransferPair pair)
    {
        for (int i = 0; i < 20; i++) pair.AddFile($"small/{i}", i * 1000);
        for (int i = 0; i < 5; i++) pair.AddFile($"large/{i}", i * MiB / 2 + 77);
    }
}
