using System.IO.Pipelines;
using FastShare.Testing.Transfer;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Verification;
using FastShare.Transport;

namespace FastShare.Transfer.Tests.Sessions;

public class HostileSenderTests
{
    private const int MiB = 1 << 20;

    private static ManifestEntry File(uint id, string path, long size = 1) => new(id, EntryKind.File, path, size, -1, 0, null);

    [Theory]
    [InlineData("../outside")]
    [InlineData("/etc/passwd")]
    [InlineData("a/../../b")]
    [InlineData("CON")]
    [InlineData("a\\b")]
    [InlineData("ok/.\u0007/bell")]
    public async Task An_unsafe_name_refuses_the_whole_manifest_before_anybody_is_asked(string name)
    {
        bool asked = false;
        await using var pair = new TransferPair((_, _) =>
        {
            asked = true;
            return ValueTask.FromResult(OfferAnswer.Refuse(""));
        });
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        await sender.OfferAsync();
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        await sender.SendManifestAsync(File(0, "harmless"), File(1, name));
        Assert.Equal(WireCode.UnsafeName, await sender.ExpectEndingAsync(MessageType.Refuse));
        Assert.Equal(TransferError.UnsafeName, (await Assert.ThrowsAsync<TransferException>(() => received.Completion)).Error);
        Assert.False(asked);
        Assert.False(Directory.Exists(pair.TargetFolder));
    }

    [Fact]
    public async Task Nothing_is_published_before_the_whole_manifest_is_known_to_be_safe()
    {
        await using var pair = new TransferPair();
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        await sender.OfferAsync();
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        // The rest of the manifest takes so long that consent is asked without it.
        await sender.SendAsync(MessageType.ManifestPage, writer => ManifestPage.Encode([File(0, "first")], writer));
        UInt128 session = Accept.Parse((await sender.ExpectAsync(MessageType.Accept)).Body).Session;
        Assert.False(received.Offer!.IsComplete);
        await sender.ExpectAsync(MessageType.Plan);
        PipeWriter lane = await sender.AttachAsync(session);
        await ScriptedSender.SendChunkAsync(lane, 0, 0, [42], ChunkFlags.WholeFile);
        await ScriptedSender.WaitForMovedAsync(received, 1);
        await sender.SendAsync(MessageType.ManifestPage, writer => ManifestPage.Encode([File(1, "../evil")], writer));
        Assert.Equal(WireCode.UnsafeName, await sender.ExpectEndingAsync(MessageType.Cancel));
        await Assert.ThrowsAsync<TransferException>(() => received.Completion);
        Assert.Empty(Directory.GetFileSystemEntries(pair.TargetFolder)); // neither a name nor staging
    }

    [Fact]
    public async Task A_wrong_digest_is_told_once_repaired_and_the_second_time_ends_the_session()
    {
        await using var pair = new TransferPair();
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        UInt128 session = await sender.OfferFilesAsync(10, 20);
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        PipeWriter lane = await sender.AttachAsync(session);
        await ScriptedSender.SendChunkAsync(lane, 0, 0, new byte[10], ChunkFlags.WholeFile, digest: 1);
        ChunkRejected rejected = ChunkRejected.Parse((await sender.ExpectAsync(MessageType.ChunkRejected)).Body);
        Assert.Equal((0u, 0L, WireCode.VerificationFailed), (rejected.Id, rejected.Offset, rejected.Code));
        await ScriptedSender.SendChunkAsync(lane, 0, 0, new byte[10], ChunkFlags.WholeFile);
        await ScriptedSender.WaitForMovedAsync(received, 10);
        await ScriptedSender.SendChunkAsync(lane, 1, 0, new byte[20], ChunkFlags.WholeFile, digest: 1);
        Assert.Equal(WireCode.VerificationFailed, await sender.ExpectEndingAsync(MessageType.Cancel));
        Assert.Equal(TransferError.VerificationFailed, (await Assert.ThrowsAsync<TransferException>(() => received.Completion)).Error);
        Assert.Equal(["file0"], Directory.GetFiles(pair.TargetFolder).Select(Path.GetFileName));
    }

    [Theory]
    [InlineData(0, 1, 20, 1)] // not on a chunk's border
    [InlineData(0, 0, 19, 1)] // too short
    [InlineData(0, 0, 21, 1)] // too long
    [InlineData(0, 65536, 20, 1)] // behind the end
    [InlineData(0, 0, 20, 0)] // the flag is missing
    [InlineData(1, 0, MiB, 1)] // the flag is wrong
    [InlineData(1, 2 * MiB, MiB, 0)] // the last chunk is shorter
    [InlineData(2, 0, 1, 1)] // no such file
    [InlineData(uint.MaxValue, 0, 1, 1)]
    public async Task A_chunk_that_cannot_be_is_told_and_not_written(uint file, long offset, int length, int flagBits)
    {
        var flags = (ChunkFlags)flagBits;
        await using var pair = new TransferPair();
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        UInt128 session = await sender.OfferFilesAsync(20, 2 * MiB + 5);
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        PipeWriter lane = await sender.AttachAsync(session);
        await ScriptedSender.SendChunkAsync(lane, file, offset, new byte[length], flags);
        ChunkRejected rejected = ChunkRejected.Parse((await sender.ExpectAsync(MessageType.ChunkRejected)).Body);
        Assert.Equal((file, offset, WireCode.ProtocolViolation), (rejected.Id, rejected.Offset, rejected.Code));
        Assert.Equal(0, received.Meter.Moved);
        // The stream is still in step: a right chunk is taken, a second wrong one ends the session.
        await ScriptedSender.SendChunkAsync(lane, 0, 0, new byte[20], ChunkFlags.WholeFile);
        await ScriptedSender.WaitForMovedAsync(received, 20);
        await ScriptedSender.SendChunkAsync(lane, file, offset, new byte[length], flags);
        Assert.Equal(WireCode.ProtocolViolation, await sender.ExpectEndingAsync(MessageType.Cancel));
        Assert.Equal(TransferError.ProtocolViolation, (await Assert.ThrowsAsync<TransferException>(() => received.Completion)).Error);
    }

    [Fact]
    public async Task A_chunk_sent_twice_is_told_and_not_written()
    {
        await using var pair = new TransferPair();
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        PipeWriter lane = await sender.AttachAsync(await sender.OfferFilesAsync(2 * MiB));
        byte[] other = new byte[MiB];
        other[5] = 1;
        await ScriptedSender.SendChunkAsync(lane, 0, 0, new byte[MiB]);
        await ScriptedSender.SendChunkAsync(lane, 0, 0, other);
        Assert.Equal(0, ChunkRejected.Parse((await sender.ExpectAsync(MessageType.ChunkRejected)).Body).Offset);
        await ScriptedSender.SendChunkAsync(lane, 0, MiB, new byte[MiB]);
        UInt128 zeros = Digester.Of(new byte[MiB]);
        await sender.SendAsync(MessageType.FileEnd, new FileEnd(0, 2, new Digester().RootOf([zeros, zeros])).Write);
        await sender.ExpectAsync(MessageType.FileDone);
        Assert.All(await System.IO.File.ReadAllBytesAsync(Path.Combine(pair.TargetFolder, "file0")), value => Assert.Equal(0, value));
    }

    [Fact]
    public async Task A_file_whose_root_digest_is_wrong_is_thrown_away()
    {
        await using var pair = new TransferPair();
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        PipeWriter lane = await sender.AttachAsync(await sender.OfferFilesAsync(2 * MiB));
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        await ScriptedSender.SendChunkAsync(lane, 0, 0, new byte[MiB]);
        await ScriptedSender.SendChunkAsync(lane, 0, MiB, new byte[MiB]);
        await sender.SendAsync(MessageType.FileEnd, new FileEnd(0, 2, 1).Write);
        Assert.Equal(WireCode.VerificationFailed,
            FileFailure.Parse(MessageType.FileRejected, (await sender.ExpectAsync(MessageType.FileRejected)).Body).Code);
        await sender.ExpectAsync(MessageType.Complete);
        await sender.CloseAsync();
        Assert.Equal(TransferError.VerificationFailed, Assert.Single((await received.Completion).Failures).Error);
        Assert.Empty(Directory.GetFileSystemEntries(pair.TargetFolder));
    }

    [Fact]
    public async Task Data_streams_attach_only_with_the_session_of_their_own_peer()
    {
        await using var pair = new TransferPair();
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        UInt128 session = await sender.OfferFilesAsync(20);
        await RefusedAsync(() => sender.AttachAsync(session + 1));
        await RefusedAsync(() => sender.AttachAsync(session, from: pair.Network.AddNode()));
        PipeWriter lane = await sender.AttachAsync(session);
        await RefusedAsync(() => sender.AttachAsync(session, lane: 0)); // a number names one stream
        await sender.AttachAsync(session, lane: 9);
        await RefusedAsync(() => sender.AttachAsync(session, lane: 10)); // two at the same time were announced
        await ScriptedSender.SendChunkAsync(lane, 0, 0, new byte[20], ChunkFlags.WholeFile);
        await sender.ExpectAsync(MessageType.FileDone);

        async Task RefusedAsync(Func<Task<PipeWriter>> attach)
        {
            await attach();
            TransportException error = await Assert.ThrowsAsync<TransportException>(async () => await sender.LastStream.Input.ReadAsync());
            Assert.Equal(TransportError.StreamReset, error.Error);
        }
    }

    public static TheoryData<string> Violations => ["type", "totals", "page after end", "end before plan", "second offer",
        "sparse ids", "truncated page", "early end"];

    [Theory]
    [MemberData(nameof(Violations))]
    public async Task A_broken_control_stream_ends_with_a_typed_error(string what)
    {
        await using var pair = new TransferPair((_, cancellationToken) => new ValueTask<OfferAnswer>(
            Task.Delay(Timeout.Infinite, cancellationToken).ContinueWith(_ => OfferAnswer.Refuse(""), TaskScheduler.Default)));
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        await sender.OfferAsync();
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        await (what switch
        {
            "type" => sender.SendRawAsync((MessageType)99, []),
            "totals" => sender.SendAsync(MessageType.ManifestEnd, new ManifestEnd(1, 1, 1).Write),
            "page after end" => PageAfterEndAsync(),
            "end before plan" => sender.SendAsync(MessageType.FileEnd, new FileEnd(0, 1, 1).Write),
            "second offer" => sender.SendAsync(MessageType.Offer, new Offer(new byte[32], 7, false, 20, 1, "").Write),
            "sparse ids" => sender.SendAsync(MessageType.ManifestPage, writer => ManifestPage.Encode([File(5, "a")], writer)),
            "truncated page" => sender.SendRawAsync(MessageType.ManifestPage, [0, 9, 9]),
            "early end" => sender.SendRawAsync(MessageType.ManifestEnd, [1, 2, 3]),
            _ => throw new ArgumentOutOfRangeException(nameof(what)),
        });
        Assert.Equal(WireCode.ProtocolViolation, await sender.ExpectEndingAsync(MessageType.Refuse));
        Assert.Equal(TransferError.ProtocolViolation, (await Assert.ThrowsAsync<TransferException>(() => received.Completion)).Error);

        async Task PageAfterEndAsync()
        {
            await sender.SendManifestAsync(File(0, "a"));
            await sender.SendAsync(MessageType.ManifestPage, writer => ManifestPage.Encode([File(1, "b")], writer));
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(TransferProtocol.MaxMessageLength + 1)]
    [InlineData(0x01000005)] // a bit of 5 turned over
    [InlineData(uint.MaxValue)]
    public async Task A_length_that_cannot_be_ends_the_connection_as_damage_does(uint length)
    {
        await using var pair = new TransferPair();
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        await sender.OfferAsync();
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        await sender.SendRawAsync(MessageType.ManifestPage, [], length);
        Assert.Equal(TransferError.ConnectionLost, (await Assert.ThrowsAsync<TransferException>(() => received.Completion)).Error);
    }

    [Fact]
    public async Task A_lost_goodbye_is_told_again()
    {
        await using var pair = new TransferPair();
        await using (var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer))
        {
            PipeWriter lane = await sender.AttachAsync(await sender.OfferFilesAsync(20));
            Transfer received = await pair.IncomingAsync(CancellationToken.None);
            await ScriptedSender.SendChunkAsync(lane, 0, 0, new byte[20], ChunkFlags.WholeFile);
            await sender.ExpectAsync(MessageType.FileDone);
            pair.Network.BreakLinks();
            await received.Completion;
        }

        await using var again = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        await again.OfferAsync(resume: true);
        Assert.Equal(1u, Number.Parse(MessageType.Known, (await again.ExpectAsync(MessageType.Known)).Body).Value);
        await again.ExpectAsync(MessageType.Accept);
        Assert.Equal(new Complete(1, 20), Complete.Parse((await again.ExpectAsync(MessageType.Complete)).Body));
    }
}
