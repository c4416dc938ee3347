using System.IO.Pipelines;
using FastShare.Testing.Transfer;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Storage.Internal;
using FastShare.Transfer.Verification;

namespace FastShare.Transfer.Tests.Sessions;

public class SparseFileTests
{
    private const int MiB = 1 << 20;

    [Theory]
    [InlineData(TransferMode.Sequential)]
    [InlineData(TransferMode.Parallel)]
    public async Task Holes_are_neither_sent_nor_written(TransferMode mode)
    {
        Assert.SkipUnless(LinuxCalls.IsSupported, "holes are found on Linux");
        await using var pair = new TransferPair();
        string sparse = Path.Combine(pair.SourceFolder, "sparse"), empty = Path.Combine(pair.SourceFolder, "hole");
        using (FileStream file = File.Create(sparse))
        {
            file.SetLength(64 * MiB + 5);
            file.Position = 20 * MiB + 7;
            file.Write("something"u8);
            file.Position = 40 * MiB;
            file.Write(new byte[] { 1 });
        }

        using (FileStream file = File.Create(empty)) file.SetLength(300_000); // one chunk, and that a hole
        Assert.SkipWhen(Allocated(sparse) > MiB, "this file system has no holes");
        Transfer sent = pair.Send(new SendOptions { Mode = mode });
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        TransferResult result = await sent.Completion;
        Assert.Equal("", pair.Differences());
        Assert.Equal(2 * MiB, sent.Meter.Moved);
        Assert.Equal(64 * MiB + 5 + 300_000, result.Bytes);
        await received.Completion;
        Assert.Equal(2 * MiB, received.Meter.Moved);
        Assert.Equal(result.Bytes, received.Progress.Bytes);
        Assert.InRange(Allocated(Path.Combine(pair.TargetFolder, "sparse")), 1, 2 * MiB);
        Assert.Equal(0, Allocated(Path.Combine(pair.TargetFolder, "hole")));
    }

    [Fact]
    public async Task Holes_that_are_told_again_after_a_break_do_not_count_as_bytes_sent_again()
    {
        Assert.SkipUnless(LinuxCalls.IsSupported, "holes are found on Linux");
        await using var pair = new TransferPair();
        string sparse = Path.Combine(pair.SourceFolder, "sparse");
        using (FileStream file = File.Create(sparse)) file.SetLength(120L * MiB);
        Assert.SkipWhen(Allocated(sparse) > MiB, "this file system has no holes");
        bool first = true;
        pair.Network.LinkMade = link =>
        {
            if (first) link.BreakAfter = 2_500; // in the midst of the headers
            first = false;
        };
        Transfer sent = pair.Send(new SendOptions { Mode = TransferMode.Sequential });
        TransferResult result = await sent.Completion;
        Assert.Equal(0, result.BytesResent);
        Assert.Single((await sent.EventsAsync().ToListAsync()).OfType<TransferEvent.Retrying>());
        Assert.Equal("", pair.Differences());
    }

    [Fact]
    public async Task A_hole_over_what_was_written_before_reads_as_zeros()
    {
        await using var pair = new TransferPair();
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        UInt128 session = await sender.OfferFilesAsync(3 * MiB);
        PipeWriter lane = await sender.AttachAsync(session);
        byte[] ones = new byte[MiB];
        ones.AsSpan().Fill(1);
        UInt128 zero = new Digester().OfZeros(MiB), one = Digester.Of(ones);
        Assert.Equal(Digester.Of(new byte[MiB]), zero);
        await SendHoleAsync(lane, MiB, zero);
        await ScriptedSender.SendChunkAsync(lane, 0, 0, ones);
        await SendHoleAsync(lane, 2 * MiB, zero);
        await sender.SendAsync(MessageType.FileEnd, new FileEnd(0, 3, new Digester().RootOf([one, zero, zero])).Write);
        while ((await sender.NextAsync()).Type != MessageType.FileDone)
        {
        }

        byte[] content = await File.ReadAllBytesAsync(Path.Combine(pair.TargetFolder, "file0"), CancellationToken.None);
        byte[] expected = [.. ones, .. new byte[2 * MiB]];
        Assert.Equal(expected, content);
    }

    [Fact]
    public async Task A_hole_with_another_digest_than_that_of_zeros_is_refused()
    {
        await using var pair = new TransferPair();
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        UInt128 session = await sender.OfferFilesAsync(3 * MiB);
        await SendHoleAsync(await sender.AttachAsync(session), 0, 4711);
        ChunkRejected rejected = ChunkRejected.Parse((await sender.ExpectAsync(MessageType.ChunkRejected)).Body);
        Assert.Equal(WireCode.VerificationFailed, rejected.Code);
    }

    private static async Task SendHoleAsync(PipeWriter lane, long offset, UInt128 digest)
    {
        new ChunkHeader(0, ChunkFlags.Hole, offset, MiB, digest).Write(lane.GetSpan(ChunkHeader.Size));
        lane.Advance(ChunkHeader.Size);
        await lane.FlushAsync();
    }

    private static long Allocated(string path) =>
        LinuxPaths.StatAt(LinuxCalls.CurrentFolder, path, out StorageStat stat) == 0 ? stat.AllocatedBytes : -1;
}
