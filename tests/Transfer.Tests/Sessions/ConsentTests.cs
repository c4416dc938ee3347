using FastShare.Testing.Transfer;

namespace FastShare.Transfer.Tests.Sessions;

public class ConsentTests
{
    [Fact]
    public async Task A_refused_offer_fails_on_both_sides_and_writes_nothing()
    {
        await using var pair = new TransferPair((_, _) => ValueTask.FromResult(OfferAnswer.Refuse("no, \e[31mthanks")));
        pair.AddFile("a", 10);
        Transfer sent = pair.Send();
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        TransferException failure = await Assert.ThrowsAsync<TransferException>(() => sent.Completion);
        Assert.Equal(TransferError.Refused, failure.Error);
        Assert.Contains(@"no, \u{1B}[31mthanks", failure.Message, StringComparison.Ordinal);
        Assert.Equal(TransferError.Refused, (await Assert.ThrowsAsync<TransferException>(() => received.Completion)).Error);
        Assert.False(Directory.Exists(pair.TargetFolder));
        Assert.Equal(TransferState.Failed, sent.Progress.State);
    }

    [Fact]
    public async Task The_policy_sees_what_is_offered()
    {
        TransferOffer? seen = null;
        await using var pair = new TransferPair();
        pair.Consent = (offer, _) =>
        {
            seen = offer;
            return ValueTask.FromResult(OfferAnswer.Accept(pair.TargetFolder));
        };
        pair.AddFile("photos/1.jpg", 1000);
        pair.AddFile("photos/.hidden", 10);
        Transfer sent = pair.Send();
        await sent.Completion;
        Assert.NotNull(seen);
        Assert.Equal(
            (pair.SenderNode.LocalPeer, "sender", 2, 1010, true), (seen.Peer, seen.PeerName, seen.Files, seen.Bytes, seen.IsComplete));
        Assert.Equal(["photos"], seen.RootNames);
        Assert.Equal(["photos/.hidden"], seen.HiddenNames);
    }

    [Fact]
    public async Task A_policy_that_fails_refuses()
    {
        await using var pair = new TransferPair((_, _) => throw new InvalidOperationException("secret"));
        pair.AddFile("a", 10);
        TransferException failure = await Assert.ThrowsAsync<TransferException>(() => pair.Send().Completion);
        Assert.Equal(TransferError.Refused, failure.Error);
        Assert.DoesNotContain("secret", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_quota_ends_the_transfer_before_anything_is_written()
    {
        await using var pair = new TransferPair();
        pair.Consent = (_, _) => ValueTask.FromResult(OfferAnswer.Accept(pair.TargetFolder, quota: 999));
        pair.AddFile("a", 1000);
        TransferException failure = await Assert.ThrowsAsync<TransferException>(() => pair.Send().Completion);
        Assert.Equal(TransferError.StorageFull, failure.Error);
        Assert.False(Directory.Exists(pair.TargetFolder));
    }

    [Fact]
    public async Task A_sender_that_leaves_withdraws_the_question()
    {
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var withdrawn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var pair = new TransferPair(async (_, cancellationToken) =>
        {
            asked.SetResult();
            await using CancellationTokenRegistration registration = cancellationToken.Register(withdrawn.SetResult);
            await withdrawn.Task;
            return OfferAnswer.Refuse("");
        });
        pair.AddFile("a", 10);
        Transfer sent = pair.Send();
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        await asked.Task;
        Assert.Equal(TransferState.Offered, sent.Progress.State);
        await sent.CancelAsync();
        await withdrawn.Task;
        Assert.Equal(TransferError.Cancelled, (await Assert.ThrowsAsync<TransferException>(() => sent.Completion)).Error);
        Assert.Equal(TransferError.CancelledByPeer, (await Assert.ThrowsAsync<TransferException>(() => received.Completion)).Error);
    }

    [Fact]
    public async Task Limits_on_concurrent_transfers_refuse_with_their_name()
    {
        var answer = new TaskCompletionSource<OfferAnswer>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var pair =
            new TransferPair((_, _) => new ValueTask<OfferAnswer>(answer.Task), new IncomingLimits { TransfersPerPeer = 2 });
        string[] files = [pair.AddFile("a", 10), pair.AddFile("b", 10), pair.AddFile("c", 10)];
        Transfer[] sent = [.. files.Select(file => pair.Send(null, file))];
        Task<TransferResult> refused = await Task.WhenAny(sent.Select(transfer => transfer.Completion));
        TransferException failure = await Assert.ThrowsAsync<TransferException>(() => refused);
        Assert.Equal(TransferError.Refused, failure.Error);
        Assert.Contains("2 transfers from you", failure.Message, StringComparison.Ordinal);
        answer.SetResult(OfferAnswer.Accept(pair.TargetFolder));
        await Task.WhenAll(sent.Select(transfer => transfer.Completion).Where(completion => completion != refused));
    }

    [Fact]
    public async Task The_same_files_twice_at_once_are_told_apart()
    {
        var answer = new TaskCompletionSource<OfferAnswer>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var pair = new TransferPair((_, _) => new ValueTask<OfferAnswer>(answer.Task));
        pair.AddFile("a", 10);
        Transfer one = pair.Send(), two = pair.Send();
        Task<TransferResult> refused = await Task.WhenAny(one.Completion, two.Completion);
        Assert.Equal(TransferError.AlreadyReceiving, (await Assert.ThrowsAsync<TransferException>(() => refused)).Error);
        answer.SetResult(OfferAnswer.Accept(pair.TargetFolder));
        await (refused == one.Completion ? two : one).Completion;
    }
}
