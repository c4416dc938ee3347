using System.IO.Pipelines;
using FastShare.Testing;
using FastShare.Testing.Transfer;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Verification;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transfer.Tests.Sessions;

/// <summary>What an earlier run left in staging is read back while the transfer runs; what is damaged is asked for again.</summary>
public class StagedDamageTests
{
    private const int MiB = 1 << 20;

    [Fact]
    public async Task A_chunk_damaged_after_an_orderly_stop_is_asked_for_again()
    {
        await using var pair = new TransferPair();
        await StageAsync(pair, chunks: 3);
        await pair.RestartReceiverAsync();
        string data = Assert.Single(Directory.GetFiles(Assert.Single(Directory.GetDirectories(pair.TargetFolder, ".fastshare-*")), "0*.0*"));
        Damage(data, 0);

        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        await sender.OfferAsync(instance: 8);
        await sender.SendManifestAsync(Entry(3));
        UInt128 session = Accept.Parse((await sender.ExpectAsync(MessageType.Accept)).Body).Session;
        // All three are claimed, so only the last one is asked for, as before a file's end one has to be.
        PlannedFile planned = Assert.Single(PlanMessage.Parse((await sender.ExpectAsync(MessageType.Plan)).Body).Exceptions);
        Assert.Equal([new ChunkRange(2, 1)], planned.Ranges);
        PipeWriter lane = await sender.AttachAsync(session);
        await ScriptedSender.SendChunkAsync(lane, 0, 2 * MiB, Chunk(2));
        await sender.SendAsync(MessageType.FileEnd, EndOf(3).Write);

        ChunkRejected damaged = ChunkRejected.Parse((await sender.ExpectAsync(MessageType.ChunkRejected)).Body);
        Assert.Equal((0u, 0L, WireCode.VerificationFailed), (damaged.Id, damaged.Offset, damaged.Code));
        await ScriptedSender.SendChunkAsync(lane, 0, 0, Chunk(0));
        await sender.ExpectAsync(MessageType.FileDone);
        await sender.ExpectAsync(MessageType.Complete);
        await sender.CloseAsync();
        byte[] whole = [.. Chunk(0), .. Chunk(1), .. Chunk(2)];
        Assert.Equal(whole, await File.ReadAllBytesAsync(Path.Combine(pair.TargetFolder, "file0"), CancellationToken.None));
    }

    [Theory]
    [InlineData(0, 1)] // the first chunk of several that are claimed
    [InlineData(2, 0)] // one that nobody claims: the damage is not seen
    public async Task A_real_sender_repairs_what_was_damaged(int chunk, int extra)
    {
        await using var pair = new TransferPair();
        pair.AddFile("large", 8 * MiB);
        Task stalled = pair.Network.StallFirstLinkAfter(5 * MiB);
        Transfer first = pair.Send(new SendOptions { Mode = TransferMode.Sequential });
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        await stalled;
        await Eventually.BecomesTrueAsync(() => received.Meter.Moved >= 4 * MiB, "what came through is stored");
        Task restarted = pair.RestartReceiverAsync();
        pair.Network.UnstallControl();
        await restarted;
        pair.Network.UnstallLinks();
        await Assert.ThrowsAsync<TransferException>(() => first.Completion);
        string data = Assert.Single(Directory.GetFiles(Assert.Single(Directory.GetDirectories(pair.TargetFolder, ".fastshare-*")), "0*.0*"));
        long staged = new FileInfo(data).Length;
        Assert.InRange(staged, 4 * MiB, 5 * MiB);
        if (extra > 0) Damage(data, chunk * MiB);

        Transfer second = pair.Send(new SendOptions { Mode = TransferMode.Sequential });
        await second.Completion;
        Assert.Equal("", pair.Differences());
        Assert.Equal(8 * MiB - staged + extra * MiB, second.Meter.Moved);
    }

    [Fact]
    public async Task A_staged_file_of_one_chunk_does_not_stand_for_what_is_offered_now()
    {
        var time = new FakeTimeProvider();
        await using var pair = new TransferPair(time: time);
        await using (var first = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer))
        {
            await first.OfferAsync();
            Transfer received = await pair.IncomingAsync(CancellationToken.None);
            // Without the manifest's end nothing is published, so the chunk stays staged.
            await first.SendAsync(MessageType.ManifestPage, writer => ManifestPage.Encode([Entry(1)], writer));
            ControlMessage accepted = await first.AdvanceUntilAsync(time, first.ExpectAsync(MessageType.Accept));
            await first.ExpectAsync(MessageType.Plan);
            PipeWriter early = await first.AttachAsync(Accept.Parse(accepted.Body).Session);
            await ScriptedSender.SendChunkAsync(early, 0, 0, Chunk(0), ChunkFlags.WholeFile);
            await ScriptedSender.WaitForMovedAsync(received, MiB);
        }

        await pair.RestartReceiverAsync();
        Assert.Single(Directory.GetFiles(Assert.Single(Directory.GetDirectories(pair.TargetFolder, ".fastshare-*")), "0*.0*"));
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        await sender.OfferAsync(instance: 8);
        await sender.SendManifestAsync(Entry(1));
        UInt128 session = Accept.Parse((await sender.ExpectAsync(MessageType.Accept)).Body).Session;
        Assert.Empty(PlanMessage.Parse((await sender.ExpectAsync(MessageType.Plan)).Body).Exceptions);
        // The same name, size and time, and other bytes.
        PipeWriter lane = await sender.AttachAsync(session);
        await ScriptedSender.SendChunkAsync(lane, 0, 0, Chunk(1), ChunkFlags.WholeFile);
        await sender.AdvanceUntilAsync(time, sender.ExpectAsync(MessageType.FileDone));
        await sender.ExpectAsync(MessageType.Complete);
        await sender.CloseAsync();
        Assert.Equal(Chunk(1), await File.ReadAllBytesAsync(Path.Combine(pair.TargetFolder, "file0"), CancellationToken.None));
    }

    /// <summary>Stages whole chunks of a file and stops before its end.</summary>
    private static async Task StageAsync(TransferPair pair, int chunks)
    {
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        await sender.OfferAsync();
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        await sender.SendManifestAsync(Entry(chunks));
        UInt128 session = Accept.Parse((await sender.ExpectAsync(MessageType.Accept)).Body).Session;
        await sender.ExpectAsync(MessageType.Plan);
        PipeWriter lane = await sender.AttachAsync(session);
        for (int i = 0; i < chunks; i++) await ScriptedSender.SendChunkAsync(lane, 0, (long)i * MiB, Chunk(i));
        await ScriptedSender.WaitForMovedAsync(received, chunks * MiB);
    }

    private static void Damage(string file, long offset)
    {
        using FileStream stream = File.Open(file, FileMode.Open, FileAccess.ReadWrite);
        stream.Position = offset;
        int before = stream.ReadByte();
        stream.Position = offset;
        stream.WriteByte((byte)~before);
    }

    private static ManifestEntry Entry(int chunks) => new(0, EntryKind.File, "file0", chunks * MiB, 0x1A4, 1_000_000_000, null);

    private static byte[] Chunk(int index)
    {
        byte[] bytes = new byte[MiB];
        bytes.AsSpan().Fill((byte)(index + 1));
        return bytes;
    }

    private static FileEnd EndOf(int chunks) =>
        new(0, chunks, new Digester().RootOf([.. Enumerable.Range(0, chunks).Select(index => Digester.Of(Chunk(index)))]));
}
