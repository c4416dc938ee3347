using FastShare.Testing;
using FastShare.Testing.Transfer;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Sessions;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transfer.Tests.Sessions;

/// <summary>What a peer may make this side hold by a manifest alone.</summary>
public class ManifestMemoryTests
{
    private const int PageEntries = 250;

    private static readonly string Tail = string.Concat(Enumerable.Repeat("/" + new string('x', 200), 19)); // almost the longest path

    private static ManifestEntry[] Page(int page) =>
        [.. Enumerable.Range(page * PageEntries, PageEntries).Select(id =>
            new ManifestEntry((uint)id, EntryKind.File, $"{id:x8}{Tail}", 1, -1, 0, null))];

    private static async Task SendPagesAsync(ScriptedSender sender, int pages)
    {
        for (int page = 0; page < pages; page++)
            await sender.SendAsync(MessageType.ManifestPage, writer => ManifestPage.Encode(Page(page), writer));
        await sender.SendAsync(
            MessageType.ManifestEnd, new ManifestEnd((uint)(pages * PageEntries), pages * PageEntries, pages * PageEntries).Write);
    }

    [Fact]
    public async Task A_manifest_is_read_no_further_than_memory_allows_until_it_is_decided_about()
    {
        const int Pages = 12;
        var asked = new TaskCompletionSource<TransferOffer>(TaskCreationOptions.RunContinuationsAsynchronously);
        var answer = new TaskCompletionSource<OfferAnswer>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var pair = new TransferPair(
            (offer, _) =>
            {
                asked.SetResult(offer);
                return new ValueTask<OfferAnswer>(answer.Task);
            },
            time: new FakeTimeProvider());
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        await sender.OfferAsync();
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        Task sending = SendPagesAsync(sender, Pages);

        // It is asked at once, though neither 2 s have passed nor 10,000 entries come.
        TransferOffer offer = await asked.Task;
        Assert.False(offer.IsComplete);
        Assert.InRange(offer.Files * (long)Tail.Length, ReceiveAttempt.MemoryBeforeConsent / 2, ReceiveAttempt.MemoryBeforeConsent + (1 << 20));
        Assert.Equal(offer.Files, received.Progress.TotalFiles);
        answer.SetResult(OfferAnswer.Accept(pair.TargetFolder));
        await sending;
        await sender.ExpectAsync(MessageType.Accept);
        await Eventually.BecomesTrueAsync(() => received.Progress.TotalFiles == Pages * PageEntries, "the rest is read");
    }

    [Fact]
    public async Task A_manifest_of_few_entries_that_takes_too_much_memory_is_refused()
    {
        await using var pair = new TransferPair(limits: new IncomingLimits { Entries = 10_000 });
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        await sender.OfferAsync();
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        Task sending = SendPagesAsync(sender, 20);
        TransferException failure = await Assert.ThrowsAsync<TransferException>(() => received.Completion);
        Assert.Equal(TransferError.Refused, failure.Error);
        Assert.Contains("memory", failure.Message, StringComparison.Ordinal);
        await sending.ContinueWith(_ => { }, TaskScheduler.Default); // cut off, unless it was in time
    }

    [Fact]
    public async Task A_manifest_of_more_entries_than_are_taken_is_refused()
    {
        await using var pair = new TransferPair(limits: new IncomingLimits { Entries = 3 });
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        await sender.OfferAsync();
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        await sender.SendManifestAsync([.. Enumerable.Range(0, 4).Select(id =>
            new ManifestEntry((uint)id, EntryKind.Directory, $"{id}", 0, -1, 0, null))]);
        Assert.Equal(WireCode.NoConsent, await sender.ExpectEndingAsync(MessageType.Refuse));
        Assert.Equal(TransferError.Refused, (await Assert.ThrowsAsync<TransferException>(() => received.Completion)).Error);
        Assert.False(Directory.Exists(pair.TargetFolder));
    }
}
