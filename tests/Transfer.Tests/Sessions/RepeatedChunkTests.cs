using System.IO.Pipelines;
using FastShare.Testing.Transfer;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Verification;

namespace FastShare.Transfer.Tests.Sessions;

/// <summary>Chunks that a plan asked for although they may be there: data streams and the control stream keep no common order.</summary>
public class RepeatedChunkTests
{
    private const int MiB = 1 << 20;

    [Fact]
    public async Task A_repeated_chunk_that_comes_after_its_file_is_settled_is_passed_over()
    {
        await using var pair = new TransferPair();
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        UInt128 session = await sender.OfferFilesAsync(2 * MiB, 10);
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        await SendWholeAsync(await sender.AttachAsync(session), 2);
        await ScriptedSender.WaitForMovedAsync(received, 2 * MiB);

        // Lost with the file's end; all chunks are there, so the last one is asked for again.
        await sender.OfferAsync(resume: true);
        await sender.ExpectAsync(MessageType.Known);
        session = Accept.Parse((await sender.ExpectAsync(MessageType.Accept)).Body).Session;
        PlannedFile planned = Assert.Single(PlanMessage.Parse((await sender.ExpectAsync(MessageType.Plan)).Body).Exceptions);
        Assert.Equal([new ChunkRange(1, 1)], planned.Ranges);
        await sender.SendAsync(MessageType.FileEnd, EndOf(2).Write);
        Assert.Equal(0u, Number.Parse(MessageType.FileDone, (await sender.ExpectAsync(MessageType.FileDone)).Body).Value);

        PipeWriter lane = await sender.AttachAsync(session);
        await ScriptedSender.SendChunkAsync(lane, 0, MiB, Chunk(1));
        await ScriptedSender.SendChunkAsync(lane, 1, 0, new byte[10], ChunkFlags.WholeFile);
        await sender.ExpectAsync(MessageType.FileDone);
        await sender.ExpectAsync(MessageType.Complete);
        await sender.CloseAsync();
        await received.Completion;
    }

    [Fact]
    public async Task A_file_that_is_whole_does_not_fail_any_more_at_the_sender()
    {
        await using var pair = new TransferPair();
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        await sender.OfferAsync();
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        // The manifest's end is missing, so the file waits to be published.
        await sender.SendAsync(MessageType.ManifestPage, writer =>
            ManifestPage.Encode(
                [new ManifestEntry(0, EntryKind.File, "a", 10, -1, 0, null), new ManifestEntry(1, EntryKind.File, "b", 5, -1, 0, null)],
                writer));
        UInt128 session = Accept.Parse((await sender.ExpectAsync(MessageType.Accept)).Body).Session;
        await sender.ExpectAsync(MessageType.Plan);
        PipeWriter lane = await sender.AttachAsync(session);
        await ScriptedSender.SendChunkAsync(lane, 0, 0, new byte[10], ChunkFlags.WholeFile);
        // The second one follows on the same stream: when it is written, the receiver is done with the first.
        await ScriptedSender.SendChunkAsync(lane, 1, 0, new byte[5], ChunkFlags.WholeFile);
        await ScriptedSender.WaitForMovedAsync(received, 15);
        await sender.SendAsync(MessageType.FileFailed, new FileFailure(0, WireCode.SourceChanged, "").Write);
        await sender.SendAsync(MessageType.ManifestEnd, new ManifestEnd(2, 2, 15).Write);
        await sender.ExpectAsync(MessageType.FileDone);
        await sender.ExpectAsync(MessageType.FileDone);
        await sender.ExpectAsync(MessageType.Complete);
        await sender.CloseAsync();
        Assert.Empty((await received.Completion).Failures);
    }

    private static byte[] Chunk(int index)
    {
        byte[] bytes = new byte[MiB];
        bytes.AsSpan().Fill((byte)(index + 1));
        return bytes;
    }

    private static FileEnd EndOf(int chunks) =>
        new(0, chunks, new Digester().RootOf([.. Enumerable.Range(0, chunks).Select(index => Digester.Of(Chunk(index)))]));

    private static async Task SendWholeAsync(PipeWriter lane, int chunks)
    {
        for (int i = 0; i < chunks; i++) await ScriptedSender.SendChunkAsync(lane, 0, (long)i * MiB, Chunk(i));
    }
}
