using System.IO.Pipelines;
using FastShare.Testing.Transfer;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Verification;

namespace FastShare.Transfer.Tests.Sessions;

/// <summary>Files that are whole before the manifest is: a large tree is still being listed.</summary>
public class EarlyEndsTests
{
    private const int Files = 600; // more than a receiver keeps open

    private static readonly UInt128 RootOfNothing = Digester.Of([]);

    private static async Task<UInt128> OfferAsync(ScriptedSender sender, int files, long size = 0)
    {
        await sender.OfferAsync();
        ManifestEntry[] entries =
            [.. Enumerable.Range(0, files).Select(id => new ManifestEntry((uint)id, EntryKind.File, $"file{id}", size, 0x1A4, 1_000_000_000, null))];
        await sender.SendAsync(MessageType.ManifestPage, writer => ManifestPage.Encode(entries, writer));
        UInt128 session = Accept.Parse((await sender.ExpectAsync(MessageType.Accept)).Body).Session;
        await sender.ExpectAsync(MessageType.Plan);
        return session;
    }

    private static Task EndAsync(ScriptedSender sender, int files, long bytes = 0) =>
        sender.SendAsync(MessageType.ManifestEnd, new ManifestEnd((uint)files, files, bytes).Write);

    [Fact]
    public async Task Any_number_of_empty_files_may_end_before_the_manifest_does()
    {
        await using var pair = new TransferPair();
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        await OfferAsync(sender, Files);
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        for (uint id = 0; id < Files; id++)
        {
            // a second time, too: that changes nothing
            for (int time = 0; time < 2; time++) await sender.SendAsync(MessageType.FileEnd, new FileEnd(id, 0, RootOfNothing).Write);
        }

        await EndAsync(sender, Files);
        for (int done = 0; done < Files; done++) await sender.ExpectAsync(MessageType.FileDone);
        await sender.ExpectAsync(MessageType.Complete);
        await sender.CloseAsync();
        Assert.Empty((await received.Completion).Failures);
        Assert.Equal(Files, Directory.GetFiles(pair.TargetFolder).Length);
    }

    [Fact]
    public async Task Small_files_that_are_whole_before_the_manifest_is_are_stored_but_get_no_name_yet()
    {
        await using var pair = new TransferPair();
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        UInt128 session = await OfferAsync(sender, Files, size: 1);
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        PipeWriter lane = await sender.AttachAsync(session);
        for (uint id = 0; id < Files; id++) await ScriptedSender.SendChunkAsync(lane, id, 0, [42], ChunkFlags.WholeFile);
        await ScriptedSender.WaitForMovedAsync(received, Files); // the manifest's end is not waited for
        Assert.Empty(Directory.GetFiles(pair.TargetFolder));
        await EndAsync(sender, Files, bytes: Files);
        for (int done = 0; done < Files; done++) await sender.ExpectAsync(MessageType.FileDone);
        await sender.ExpectAsync(MessageType.Complete);
        await sender.CloseAsync();
        Assert.Empty((await received.Completion).Failures);
        Assert.Equal(Files, Directory.GetFiles(pair.TargetFolder).Length);
    }

    [Fact]
    public async Task An_empty_file_with_the_digest_of_something_fails_however_early_it_ends()
    {
        await using var pair = new TransferPair();
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        await OfferAsync(sender, 1);
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        await sender.SendAsync(MessageType.FileEnd, new FileEnd(0, 0, 1).Write);
        Assert.Equal(
            WireCode.VerificationFailed,
            FileFailure.Parse(MessageType.FileRejected, (await sender.ExpectAsync(MessageType.FileRejected)).Body).Code);
        await EndAsync(sender, 1);
        await sender.ExpectAsync(MessageType.Complete);
        await sender.CloseAsync();
        Assert.Single((await received.Completion).Failures);
        Assert.Empty(Directory.GetFileSystemEntries(pair.TargetFolder));
    }
}
