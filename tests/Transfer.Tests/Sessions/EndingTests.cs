using FastShare.Testing;
using FastShare.Testing.Transfer;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transfer.Tests.Sessions;

public class EndingTests
{
    private const int MiB = 1 << 20;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Either_side_can_cancel_and_the_same_files_resume_later(bool senderCancels)
    {
        await using var pair = new TransferPair();
        pair.AddFile("large", 8 * MiB);
        Task stalled = pair.Network.StallFirstLinkAfter(3 * MiB);
        Transfer sent = pair.Send();
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        await stalled;
        await Eventually.BecomesTrueAsync(() => received.Meter.Moved >= 1 * MiB, "what came through is stored");
        Task cancelled = (senderCancels ? sent : received).CancelAsync();
        pair.Network.UnstallControl();
        await cancelled;
        TransferException sentFailure = await Assert.ThrowsAsync<TransferException>(() => sent.Completion);
        TransferException receivedFailure = await Assert.ThrowsAsync<TransferException>(() => received.Completion);
        Assert.Equal(senderCancels ? TransferError.Cancelled : TransferError.CancelledByPeer, sentFailure.Error);
        Assert.Equal(senderCancels ? TransferError.CancelledByPeer : TransferError.Cancelled, receivedFailure.Error);
        Assert.False(File.Exists(Path.Combine(pair.TargetFolder, "large")));

        pair.Network.UnstallLinks();
        Transfer again = pair.Send();
        await again.Completion;
        Assert.Equal("", pair.Differences());
        Assert.InRange(again.Meter.Moved, 1, 8 * MiB - 1);
    }

    [Theory]
    [InlineData("grows")]
    [InlineData("shrinks")]
    [InlineData("changes in place")]
    public async Task A_source_that_changes_fails_alone(string how)
    {
        await using var pair = new TransferPair();
        string changing = pair.AddFile("a changing", 64 * MiB); // several times what the sender reads ahead
        pair.AddFile("b stable", 2 * MiB);
        bool changed = false;
        pair.Network.LinkMade = link => link.Carried = bytes =>
        {
            if (bytes < 2 * MiB || changed) return;
            changed = true;
            using FileStream file = File.OpenWrite(changing);
            if (how == "shrinks") file.SetLength(63 * MiB);
            if (how == "grows") file.Position = file.Length;
            file.Write("more"u8);
        };
        Transfer sent = pair.Send(new SendOptions { Mode = TransferMode.Sequential });
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        TransferResult result = await sent.Completion;
        TransferException failure = Assert.Single(result.Failures);
        Assert.Equal((TransferError.SourceChanged, "a changing"), (failure.Error, failure.Path));
        Assert.Equal((1, 2 * MiB), (result.Files, result.Bytes));
        Assert.Equal(TransferError.SourceChanged, Assert.Single((await received.Completion).Failures).Error);
        Assert.Equal(["b stable"], Directory.GetFileSystemEntries(pair.TargetFolder).Select(Path.GetFileName));
    }

    [Theory]
    [InlineData("vanishes")]
    [InlineData("is replaced by another")]
    public async Task A_source_whose_name_is_taken_away_while_it_is_read_arrives_as_it_was_listed(string how)
    {
        await using var pair = new TransferPair();
        string source = pair.AddFile("large", 40 * MiB);
        byte[] listed = await File.ReadAllBytesAsync(source);
        bool changed = false;
        pair.Network.LinkMade = link => link.Carried = bytes =>
        {
            if (bytes < 2 * MiB || changed) return;
            changed = true;
            File.Delete(source);
            if (how != "vanishes") File.WriteAllText(source, "another");
        };
        TransferResult result = await pair.Send(new SendOptions { Mode = TransferMode.Sequential }).Completion;
        Assert.Empty(result.Failures);
        byte[] arrived = await File.ReadAllBytesAsync(Path.Combine(pair.TargetFolder, "large"));
        Assert.True(listed.AsSpan().SequenceEqual(arrived));
    }

    [Fact]
    public async Task A_source_that_does_not_exist_fails_the_transfer()
    {
        await using var pair = new TransferPair();
        TransferException failure =
            await Assert.ThrowsAsync<TransferException>(() => pair.Send(null, Path.Combine(pair.SourceFolder, "nothing")).Completion);
        Assert.Equal(TransferError.SourceNotFound, failure.Error);
    }

    [Fact]
    public async Task A_receiver_that_stands_still_costs_a_bounded_amount_of_memory()
    {
        await using var pair = new TransferPair();
        for (int i = 0; i < 40; i++) pair.AddFile($"{i}", MiB);
        Task filled = pair.Network.StallFirstLinkAfter(MiB);
        Transfer sent = pair.Send(new SendOptions { Mode = TransferMode.Parallel, Streams = 4 });
        await filled;
        long most = 0, before;
        do
        {
            before = pair.Blocks.RentedBlocks;
            most = Math.Max(most, before);
            await Task.Delay(20);
        }
        while (pair.Blocks.RentedBlocks != before);

        // 16 MiB by default between disk and connection; 4 more where the receiver gathers.
        Assert.InRange(most, 1, 20);
        pair.Network.UnstallLinks();
        await sent.Completion;
        Assert.Equal("", pair.Differences());
    }

    [Fact]
    public async Task A_connection_that_is_up_in_name_only_is_given_up_within_15_seconds()
    {
        var time = new FakeTimeProvider();
        await using var pair = new TransferPair(time: time);
        pair.AddFile("large", 8 * MiB);
        Task dead = pair.Network.StallFirstLinkAfter(2 * MiB);
        Transfer sent = pair.Send();
        Task noticed = sent.EventsAsync().OfType<TransferEvent.Retrying>().FirstAsync().AsTask();
        await dead;
        await Eventually.BecomesTrueAsync(() => pair.Network.IsAllHeard, "the last words before the silence are heard");
        for (int halves = 1; halves <= 30; halves++)
        {
            time.Advance(TimeSpan.FromSeconds(0.5));
            await Task.Delay(5);
            if (halves <= 20) Assert.False(noticed.IsCompleted);
        }

        // And no more time passes until it is noticed, whatever this machine takes for that.
        await Eventually.BecomesTrueAsync(() => noticed.IsCompleted, "a silence of 15 s is noticed");
        await AdvanceUntilAsync(time, sent.Completion);
        await sent.Completion;
        Assert.Equal("", pair.Differences());
    }

    [Fact]
    public async Task A_peer_that_never_appears_fails_the_transfer_after_the_wait()
    {
        var time = new FakeTimeProvider();
        await using var pair = new TransferPair(time: time);
        pair.AddFile("a", 1);
        pair.Network.Remove(pair.ReceiverNode);
        Transfer sent = pair.Send();
        await AdvanceUntilAsync(time, sent.Completion);
        TransferException failure = await Assert.ThrowsAsync<TransferException>(() => sent.Completion);
        Assert.Equal(TransferError.PeerNotReachable, failure.Error);
        Assert.Contains(pair.ReceiverNode.LocalPeer.ToString(), failure.Message, StringComparison.Ordinal);
        Assert.Equal(0, pair.Network.LinksMade);
    }

    [Fact]
    public async Task A_receiver_whose_sender_does_not_come_back_ends_resumable()
    {
        var time = new FakeTimeProvider();
        await using var pair = new TransferPair(time: time);
        pair.AddFile("large", 4 * MiB);
        var broken = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        pair.Network.LinkMade = link => link.Carried = bytes =>
        {
            if (bytes < 2 * MiB) return;
            pair.Network.Remove(pair.ReceiverNode);
            broken.TrySetResult();
        };
        Transfer sent = pair.Send();
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        await broken.Task;
        await AdvanceUntilAsync(time, Task.WhenAll(sent.Completion, received.Completion));
        Assert.Equal(TransferError.ConnectionLost, (await Assert.ThrowsAsync<TransferException>(() => sent.Completion)).Error);
        Assert.Equal(TransferError.ConnectionLost, (await Assert.ThrowsAsync<TransferException>(() => received.Completion)).Error);
        Assert.Single(Directory.GetFileSystemEntries(pair.TargetFolder, ".fastshare*"));
    }

    private static async Task AdvanceUntilAsync(FakeTimeProvider time, Task done)
    {
        while (!done.IsCompleted)
        {
            time.Advance(TimeSpan.FromSeconds(0.2));
            await Task.WhenAny(done, Task.Delay(1));
        }
    }
}
