using System.IO.Pipelines;
using FastShare.Testing.Transfer;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Sessions;
using FastShare.Transfer.Verification;
using FastShare.Transport.Buffers;

namespace FastShare.Transfer.Tests.Sessions;

/// <summary>What a peer may do to a stream, on either side, that the protocol does not allow.</summary>
public class HostileStreamTests
{
    private const int MiB = 1 << 20;

    private static readonly byte[] Chunk = new byte[MiB];

    private static readonly byte[] Piece = [1, 2, 3];

    [Theory]
    [InlineData("flags")]
    [InlineData("hole")]
    [InlineData("crooked")]
    [InlineData("long")]
    [InlineData("twice")]
    [InlineData("window")]
    [InlineData("behind the end")]
    [InlineData("two ends")]
    [InlineData("beyond the announced size")]
    [InlineData("beyond the told end")]
    public async Task Chunks_that_cannot_be_end_the_session_at_the_second(string what)
    {
        await using var pair = new TransferPair();
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        long size = what == "beyond the announced size" ? MiB + 2 : ManifestEntry.UnknownSize;
        PipeWriter lane = await BeginAsync(sender, size);
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        if (what == "twice") await ScriptedSender.SendChunkAsync(lane, 0, 0, Chunk);
        if (what is "behind the end" or "two ends") await ScriptedSender.SendChunkAsync(lane, 0, MiB, Piece);
        if (what == "beyond the told end") await sender.SendAsync(MessageType.StreamEnd, new StreamEnd(0, 3, 7).Write);
        for (int strike = 0; strike < 2; strike++)
        {
            await (what switch
            {
                "flags" => ScriptedSender.SendChunkAsync(lane, 0, 0, Piece, ChunkFlags.WholeFile),
                "hole" => SendHoleAsync(lane),
                "crooked" => ScriptedSender.SendChunkAsync(lane, 0, 4096, Piece),
                "long" => ScriptedSender.SendChunkAsync(lane, 0, 0, new byte[2 * MiB]),
                "twice" => ScriptedSender.SendChunkAsync(lane, 0, 0, Chunk),
                "window" => ScriptedSender.SendChunkAsync(lane, 0, TransferProtocol.StreamWindow, Chunk),
                "behind the end" => ScriptedSender.SendChunkAsync(lane, 0, 2 * MiB, Chunk),
                "two ends" => ScriptedSender.SendChunkAsync(lane, 0, 0, Piece),
                "beyond the told end" => ScriptedSender.SendChunkAsync(lane, 0, 0, [1, 2, 3, 4]),
                _ => ScriptedSender.SendChunkAsync(lane, 0, MiB, Piece),
            });
        }

        await ExpectEndAsync(sender);
        Assert.Equal(TransferError.ProtocolViolation, (await Assert.ThrowsAsync<TransferException>(() => received.Completion)).Error);
        Assert.Empty(Directory.GetFiles(pair.TargetFolder));
    }

    [Theory]
    [InlineData(2 * MiB, -1)] // another length than its chunks have
    [InlineData(2, -1)]
    [InlineData(MiB + 4, -1)]
    [InlineData(MiB + 3, MiB + 4)] // than announced
    public async Task An_end_that_contradicts_the_chunks_ends_the_session(long end, long announced)
    {
        await using var pair = new TransferPair();
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        PipeWriter lane = await BeginAsync(sender, announced);
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        await ScriptedSender.SendChunkAsync(lane, 0, 0, Chunk);
        await ScriptedSender.SendChunkAsync(lane, 0, MiB, Piece);
        await sender.ExpectAsync(MessageType.StreamTaken);
        await sender.ExpectAsync(MessageType.StreamTaken);
        await sender.SendAsync(MessageType.StreamEnd, new StreamEnd(0, end, 7).Write);
        await ExpectEndAsync(sender);
        Assert.Equal(TransferError.ProtocolViolation, (await Assert.ThrowsAsync<TransferException>(() => received.Completion)).Error);
        Assert.Empty(Directory.GetFiles(pair.TargetFolder));
    }

    [Fact]
    public async Task A_wrong_root_digest_is_told_and_the_file_does_not_show()
    {
        await using var pair = new TransferPair();
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        PipeWriter lane = await BeginAsync(sender, -1);
        await ScriptedSender.SendChunkAsync(lane, 0, 0, Piece);
        await sender.ExpectAsync(MessageType.StreamTaken);
        await sender.SendAsync(MessageType.StreamEnd, new StreamEnd(0, 3, Digester.RootOf(1)).Write);
        FileFailure failure = FileFailure.Parse(MessageType.FileRejected, (await sender.ExpectAsync(MessageType.FileRejected)).Body);
        Assert.Equal((0u, WireCode.VerificationFailed), (failure.Id, failure.Code));
        Assert.Equal(0, Complete.Parse((await sender.ExpectAsync(MessageType.Complete)).Body).Files);
        await sender.CloseAsync();
        Assert.Empty(Directory.GetFileSystemEntries(pair.TargetFolder));
    }

    [Fact]
    public async Task The_end_of_what_is_no_stream_ends_the_session()
    {
        await using var pair = new TransferPair();
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        await sender.OfferFilesAsync(10);
        await sender.SendAsync(MessageType.StreamEnd, new StreamEnd(0, 10, 1).Write);
        Assert.Equal(WireCode.ProtocolViolation, await sender.ExpectEndingAsync(MessageType.Cancel));
    }

    [Theory]
    [InlineData("taken what was not sent")]
    [InlineData("taken of another entry")]
    [InlineData("done before the end")]
    [InlineData("complete before the end")]
    [InlineData("has it already")]
    [InlineData("all of it is there")]
    [InlineData("from the middle")]
    [InlineData("parts")]
    public async Task A_receiver_that_claims_what_cannot_be_is_no_success(string what)
    {
        var network = new MemoryNetwork();
        MemoryNode receiver = network.AddNode(), sender = network.AddNode();
        receiver.Handle(TransferProtocol.ControlId, (stream, _) => ReceiveAsync(stream, what));
        receiver.Handle(TransferProtocol.DataId, (stream, _) => stream.Input.CopyToAsync(Stream.Null));
        var engine = new TransferEngine(
            sender, "sender", null, new IncomingLimits(), TimeProvider.System, Transport.Buffers.BlockPool.Shared,
            Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance);
        await using (engine)
        {
            var never = new TaskCompletionSource();
            var source = new ScriptedSource(9 * MiB) { Pause = (2 * MiB, never.Task) };
            Transfer sent = engine.Send(receiver.LocalPeer, TransferSource.FromStream(source, "x"), new SendOptions());
            Assert.Equal(TransferError.ProtocolViolation, (await Assert.ThrowsAsync<TransferException>(() => sent.Completion)).Error);
        }
    }

    [Theory]
    [InlineData("stands")] // told again that it is wanted no more
    [InlineData("anew")]
    public async Task A_receiver_that_lost_the_connection_after_its_last_word_may_ask_once_more(string what)
    {
        var network = new MemoryNetwork();
        MemoryNode receiver = network.AddNode(), sender = network.AddNode();
        int sessions = 0;
        var told = new TaskCompletionSource();
        receiver.Handle(TransferProtocol.ControlId, (stream, _) => Interlocked.Increment(ref sessions) == 1
            ? TakeAndLoseAsync(stream, network, told.Task) : ReceiveAsync(stream, what));
        receiver.Handle(TransferProtocol.DataId, (stream, _) => stream.Input.CopyToAsync(Stream.Null));
        var engine = new TransferEngine(
            sender, "sender", null, new IncomingLimits(), TimeProvider.System, Transport.Buffers.BlockPool.Shared,
            Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance);
        await using (engine)
        {
            Transfer sent = engine.Send(receiver.LocalPeer, TransferSource.FromStream(new ScriptedSource(MiB + 5), "x"), new SendOptions());
            await sent.EventsAsync().OfType<TransferEvent.FileCompleted>().FirstAsync();
            told.SetResult();
            if (what == "stands")
            {
                TransferResult result = await sent.Completion;
                Assert.Equal((1, MiB + 5), (result.Files, result.Bytes));
                Assert.Equal(MiB + 5, sent.Progress.Bytes);
            }
            else
            {
                Assert.Equal(TransferError.NotRepeatable, (await Assert.ThrowsAsync<TransferException>(() => sent.Completion)).Error);
            }
        }
    }

    /// <summary>Takes a stream of two chunks, says so, and is gone before it could say that this was all.</summary>
    private static async Task TakeAndLoseAsync(ITransferStream stream, MemoryNetwork network, Task told)
    {
        var reader = new ControlReader(stream.Input);
        var writer = new ControlWriter(stream.Output);
        Task pump = writer.PumpAsync(CancellationToken.None);
        await ReadUntilAsync(reader, MessageType.ManifestEnd);
        writer.Post(MessageType.Accept, new Accept(1));
        writer.Post(MessageType.Plan, new PlanMessage(0, 1, []));
        await ReadUntilAsync(reader, MessageType.StreamEnd);
        writer.Post(MessageType.StreamTaken, new StreamTaken(0, 2));
        writer.Post(MessageType.FileDone, new Number(0));
        await told;
        network.BreakLinks();
        await pump.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private static async Task ReadUntilAsync(ControlReader reader, MessageType type)
    {
        while ((await reader.ReadAsync(CancellationToken.None))!.Value.Type != type)
        {
        }
    }

    private static async Task ReceiveAsync(ITransferStream stream, string what)
    {
        var reader = new ControlReader(stream.Input);
        var writer = new ControlWriter(stream.Output);
        Task pump = writer.PumpAsync(CancellationToken.None);
        if (what is "stands" or "anew") writer.Post(MessageType.Known, new Number(0)); // the sender resumes
        await ReadUntilAsync(reader, MessageType.ManifestEnd);
        writer.Post(MessageType.Accept, new Accept(1));
        writer.Post(MessageType.Plan, new PlanMessage(0, 1, what switch
        {
            "stands" => [new PlannedFile(0, [])],
            "has it already" => [new PlannedFile(0, [])],
            "all of it is there" => [new PlannedFile(0, [], IsPending: true)],
            "from the middle" => [new PlannedFile(0, [], StreamFrom: 1)],
            "parts" => [new PlannedFile(0, [new ChunkRange(0, 1)])],
            _ => [],
        }));
        switch (what)
        {
            case "taken what was not sent":
                writer.Post(MessageType.StreamTaken, new StreamTaken(0, 3));
                break;
            case "taken of another entry":
                writer.Post(MessageType.StreamTaken, new StreamTaken(1, 0));
                break;
            case "done before the end":
                writer.Post(MessageType.FileDone, new Number(0));
                break;
            case "complete before the end":
                writer.Post(MessageType.Complete, new Complete(1, 0));
                break;
            case "stands":
                writer.Post(MessageType.Complete, new Complete(1, MiB + 5));
                break;
        }

        while (await reader.ReadAsync(CancellationToken.None) is not null)
        {
        }

        writer.Finish();
        await pump;
        await stream.Output.CompleteAsync();
    }

    [Fact]
    public async Task Chunks_of_a_stream_that_was_given_up_here_are_dropped_and_those_of_a_whole_one_are_wrong()
    {
        var blocks = new BlockPool { PoisonOnReturn = true };
        var entry = new ManifestEntry(0, EntryKind.Stream, "x", ManifestEntry.UnknownSize, -1, 0, null);
        var first = new ChunkHeader(0, ChunkFlags.None, 0, MiB, Digester.Of(Chunk));
        var second = new ChunkHeader(0, ChunkFlags.None, MiB, Piece.Length, Digester.Of(Piece));

        // As when the disk is full: the sender learns of it later, and goes on until then.
        using var givenUp = new IncomingStream(entry, ChunkSize.DefaultBits, blocks);
        Assert.True(givenUp.Add(first, Chunk));
        givenUp.Dispose();
        Assert.Null(givenUp.Check(second));
        Assert.True(givenUp.Add(second, Piece));
        Assert.Equal(0, blocks.RentedBlocks);

        using var whole = new IncomingStream(entry, ChunkSize.DefaultBits, blocks);
        Assert.True(whole.Add(second with { Offset = 0 }, Piece));
        (await whole.NextAsync(CancellationToken.None))!.Value.Block.Dispose();
        whole.Take();
        whole.End(new StreamEnd(0, Piece.Length, Digester.RootOf(second.Digest)));
        Assert.Null(await whole.NextAsync(CancellationToken.None));
        whole.Dispose();
        Assert.NotNull(whole.Check(second));
    }

    private static async Task<PipeWriter> BeginAsync(ScriptedSender sender, long size)
    {
        await sender.OfferAsync();
        await sender.SendManifestAsync(new ManifestEntry(0, EntryKind.Stream, "x", size, -1, 0, null));
        UInt128 session = Accept.Parse((await sender.ExpectAsync(MessageType.Accept)).Body).Session;
        await sender.ExpectAsync(MessageType.Plan);
        return await sender.AttachAsync(session);
    }

    /// <summary>Reads on until the receiver has ended the session, and answers.</summary>
    private static async Task ExpectEndAsync(ScriptedSender sender)
    {
        while ((await sender.NextAsync()).Type != MessageType.Cancel)
        {
        }

        await sender.CloseAsync();
    }

    private static async Task SendHoleAsync(PipeWriter lane)
    {
        new ChunkHeader(0, ChunkFlags.Hole, 0, MiB, new Digester().OfZeros(MiB)).Write(lane.GetSpan(ChunkHeader.Size));
        lane.Advance(ChunkHeader.Size);
        await lane.FlushAsync();
    }
}
