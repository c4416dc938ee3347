using System.IO.Pipelines;
using FastShare.Testing.Transfer;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Verification;

namespace FastShare.Transfer.Tests.Sessions;

public class SinkTests
{
    private const int MiB = 1 << 20;

    [Theory]
    [InlineData(TransferMode.Sequential)]
    [InlineData(TransferMode.Parallel)]
    public async Task Files_and_folders_are_delivered_one_after_the_other_in_order(TransferMode mode)
    {
        await using var pair = new TransferPair();
        pair.AddFile("tree/a", 5 * MiB + 7);
        pair.AddFile("tree/b", 0);
        pair.AddFile("tree/c/d", 100);
        pair.AddFile("tree/e", MiB);
        Directory.CreateDirectory(Path.Combine(pair.SourceFolder, "tree", "empty"));
        var entries = new List<(IncomingEntry Entry, MemoryStream Bytes)>();
        pair.Consent = (_, _) => ValueTask.FromResult(OfferAnswer.AcceptInto((entry, _) =>
        {
            // The one before has ended.
            if (entries.Count > 0) Assert.False(entries[^1].Bytes.CanWrite);
            entries.Add((entry, new MemoryStream()));
            return ValueTask.FromResult(TransferSink.ToStream(entries[^1].Bytes));
        }));
        Transfer sent = pair.Send(new SendOptions { Mode = mode });
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        TransferResult result = await sent.Completion;
        await received.Completion;

        Assert.Empty(result.Failures);
        Assert.Equal(["tree/a", "tree/b", "tree/c/d", "tree/e"], entries.Select(static one => one.Entry.Path));
        foreach ((IncomingEntry entry, MemoryStream bytes) in entries)
        {
            Assert.Equal(await File.ReadAllBytesAsync(Path.Combine(pair.SourceFolder, entry.Path)), bytes.ToArray());
            Assert.Equal(bytes.ToArray().Length, entry.Length);
        }

        Assert.Equal((4, 6 * MiB + 107), (result.Files, result.Bytes));
        Assert.Equal(result.Bytes, received.Progress.Bytes);
        Assert.False(Directory.Exists(pair.TargetFolder));
    }

    [Fact]
    public async Task A_stream_goes_into_a_pipe_which_completes_at_the_verified_end()
    {
        await using var pair = new TransferPair();
        var pipe = new Pipe();
        IncomingEntry? seen = null;
        pair.Consent = (_, _) => ValueTask.FromResult(OfferAnswer.AcceptInto((entry, _) =>
        {
            seen = entry;
            return ValueTask.FromResult(TransferSink.ToPipe(pipe.Writer));
        }));
        Transfer sent = pair.Send(
            TransferSource.FromStream(new ScriptedSource(7 * MiB + 1), "x"), new SendOptions { Mode = TransferMode.Parallel, Connections = 2 });
        var bytes = new MemoryStream();
        await pipe.Reader.CopyToAsync(bytes);
        Assert.Equal(ScriptedSource.Bytes(7 * MiB + 1), bytes.ToArray());
        Assert.Equal(new IncomingEntry("x", null), seen);
        await sent.Completion;
    }

    [Fact]
    public async Task Who_does_not_read_holds_the_source_back()
    {
        await using var pair = new TransferPair();
        var pipe = new Pipe();
        pair.Consent = (_, _) => ValueTask.FromResult(
            OfferAnswer.AcceptInto((_, _) => ValueTask.FromResult(TransferSink.ToPipe(pipe.Writer))));
        var source = new ScriptedSource(40 * MiB);
        Transfer sent = pair.Send(
            TransferSource.FromStream(source, "x"), new SendOptions { Mode = TransferMode.Parallel, MaxBufferedBytes = 3 * MiB });
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        // The first chunk waits in the pipe: it was not delivered, so it is still held.
        while (source.BytesRead < 3 * MiB) await Task.Delay(5);
        await Task.Delay(100);
        Assert.Equal(3 * MiB, source.BytesRead);
        Assert.Equal(0, received.Progress.Bytes);
        // Three chunks here, three on the way or there, and what reads and frames hold for a moment.
        Assert.InRange(pair.Blocks.RentedBlocks, 3, 12);

        byte[] all = ScriptedSource.Bytes(40 * MiB);
        long at = 0;
        while (await pipe.Reader.ReadAsync() is { Buffer.IsEmpty: false } read)
        {
            foreach (ReadOnlyMemory<byte> piece in read.Buffer)
            {
                Assert.True(piece.Span.SequenceEqual(all.AsSpan((int)at, piece.Length)));
                at += piece.Length;
            }

            pipe.Reader.AdvanceTo(read.Buffer.End);
            // Never more than the window ahead of who reads, and of what the pipe takes.
            Assert.InRange(source.BytesRead - at, 0, 4 * MiB);
        }

        Assert.Equal(40 * MiB, at);
        await sent.Completion;
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task A_sink_gets_every_byte_once_whatever_connections_are_lost(int seed)
    {
        var random = new Random(seed);
        await using var pair = new TransferPair();
        string first = pair.AddFile("a", 9 * MiB + 7), second = pair.AddFile("b", 3 * MiB);
        int breaks = 2, lanes = 3;
        pair.Network.LinkMade = link =>
        {
            if (breaks-- > 0) link.BreakAfter = (long)(5 * MiB * random.NextDouble());
        };
        pair.Network.PrivateLinkMade = link =>
        {
            if (lanes-- > 0) link.BreakAfter = (long)(3 * MiB * random.NextDouble());
        };
        var bytes = new MemoryStream();
        pair.Consent = (_, _) => ValueTask.FromResult(
            OfferAnswer.AcceptInto((_, _) => ValueTask.FromResult(TransferSink.ToStream(bytes, leaveOpen: true))));
        SendOptions options = new() { Mode = TransferMode.Parallel, Connections = 2, Streams = 4, MaxBufferedBytes = 4 * MiB };
        Transfer sent = pair.Send(options, first, second);
        await sent.Completion;
        byte[] expected = [
            .. await File.ReadAllBytesAsync(Path.Combine(pair.SourceFolder, "a")),
            .. await File.ReadAllBytesAsync(Path.Combine(pair.SourceFolder, "b")),
        ];
        Assert.Equal(expected, bytes.ToArray());
    }

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 5)];

    [Fact]
    public async Task A_sender_that_fails_completes_the_pipe_with_the_reason()
    {
        await using var pair = new TransferPair();
        var pipe = new Pipe();
        pair.Consent = (_, _) => ValueTask.FromResult(
            OfferAnswer.AcceptInto((_, _) => ValueTask.FromResult(TransferSink.ToPipe(pipe.Writer))));
        _ = pair.Send(TransferSource.FromStream(new ScriptedSource(9 * MiB) { FailsAfter = 3 * MiB }, "x"));
        TransferException failure = await Assert.ThrowsAsync<TransferException>(() => pipe.Reader.CopyToAsync(Stream.Null));
        Assert.Equal(TransferError.SourceChanged, failure.Error);
    }

    [Fact]
    public async Task A_reader_that_leaves_ends_the_transfer_on_both_sides()
    {
        await using var pair = new TransferPair();
        var pipe = new Pipe();
        pair.Consent = (_, _) => ValueTask.FromResult(
            OfferAnswer.AcceptInto((_, _) => ValueTask.FromResult(TransferSink.ToPipe(pipe.Writer))));
        Transfer sent = pair.Send(TransferSource.FromStream(new ScriptedSource(long.MaxValue), "x"));
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        ReadResult read = await pipe.Reader.ReadAsync();
        pipe.Reader.AdvanceTo(read.Buffer.End);
        await pipe.Reader.CompleteAsync();
        Assert.Equal(TransferError.StorageFault, (await Assert.ThrowsAsync<TransferException>(() => sent.Completion)).Error);
        Assert.Equal(TransferError.StorageFault, (await Assert.ThrowsAsync<TransferException>(() => received.Completion)).Error);
    }

    [Fact]
    public async Task A_factory_that_fails_ends_the_transfer()
    {
        await using var pair = new TransferPair();
        pair.AddFile("a", 10);
        pair.Consent = (_, _) => ValueTask.FromResult(OfferAnswer.AcceptInto((_, _) => throw new InvalidOperationException("no idea")));
        Transfer sent = pair.Send();
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        await Assert.ThrowsAsync<TransferException>(() => sent.Completion);
        TransferException failure = await Assert.ThrowsAsync<TransferException>(() => received.Completion);
        Assert.Contains("no idea", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Cancelling_does_not_wait_for_a_sink_that_takes_nothing()
    {
        await using var pair = new TransferPair();
        var pipe = new Pipe();
        pair.Consent = (_, _) => ValueTask.FromResult(
            OfferAnswer.AcceptInto((_, _) => ValueTask.FromResult(TransferSink.ToPipe(pipe.Writer))));
        Transfer sent = pair.Send(TransferSource.FromStream(new ScriptedSource(long.MaxValue), "x"));
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        await pipe.Reader.ReadAsync();
        await received.CancelAsync();
        Assert.Equal(TransferError.Cancelled, (await Assert.ThrowsAsync<TransferException>(() => received.Completion)).Error);
        Assert.Equal(TransferError.CancelledByPeer, (await Assert.ThrowsAsync<TransferException>(() => sent.Completion)).Error);
    }

    [Fact]
    public async Task The_quota_holds_for_sinks()
    {
        await using var pair = new TransferPair();
        var bytes = new MemoryStream();
        pair.Consent = (_, _) => ValueTask.FromResult(
            OfferAnswer.AcceptInto((_, _) => ValueTask.FromResult(TransferSink.ToStream(bytes, leaveOpen: true)), quota: 3 * MiB));
        Transfer sent = pair.Send(TransferSource.FromStream(new ScriptedSource(long.MaxValue), "x"));
        Assert.Equal(TransferError.StorageFull, (await Assert.ThrowsAsync<TransferException>(() => sent.Completion)).Error);
        Assert.InRange(bytes.Length, 0, 3 * MiB);
    }

    [Fact]
    public async Task A_wrong_root_digest_never_completes_the_pipe()
    {
        var pipe = new Pipe();
        await using var pair = new TransferPair((_, _) => ValueTask.FromResult(
            OfferAnswer.AcceptInto((_, _) => ValueTask.FromResult(TransferSink.ToPipe(pipe.Writer)))));
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        await sender.OfferAsync();
        await sender.SendManifestAsync(new ManifestEntry(0, EntryKind.Stream, "x", -1, -1, 0, null));
        UInt128 session = Accept.Parse((await sender.ExpectAsync(MessageType.Accept)).Body).Session;
        await sender.ExpectAsync(MessageType.Plan);
        PipeWriter lane = await sender.AttachAsync(session);
        await ScriptedSender.SendChunkAsync(lane, 0, 0, new byte[10]);
        await sender.ExpectAsync(MessageType.StreamTaken);
        await sender.SendAsync(MessageType.StreamEnd, new StreamEnd(0, 10, Digester.RootOf(1)).Write);
        Assert.Equal(TransferError.VerificationFailed, (await Assert.ThrowsAsync<TransferException>(() => pipe.Reader.CopyToAsync(Stream.Null))).Error);
        Assert.Equal(WireCode.VerificationFailed, await sender.ExpectEndingAsync(MessageType.Cancel));
    }

    [Fact]
    public async Task A_pause_of_the_receiver_stops_the_sink()
    {
        await using var pair = new TransferPair();
        var pipe = new Pipe(new PipeOptions(pauseWriterThreshold: 0));
        pair.Consent = (_, _) => ValueTask.FromResult(
            OfferAnswer.AcceptInto((_, _) => ValueTask.FromResult(TransferSink.ToPipe(pipe.Writer))));
        var half = new TaskCompletionSource();
        var source = new ScriptedSource(60 * MiB) { Pause = (2 * MiB, half.Task) };
        Transfer sent = pair.Send(TransferSource.FromStream(source, "x"), new SendOptions { MaxBufferedBytes = 4 * MiB });
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        while (received.Progress.Bytes < 2 * MiB) await Task.Delay(5);
        await received.PauseAsync();
        half.SetResult();
        // The sender fills what it may hold, and no more.
        while (source.BytesRead < 6 * MiB) await Task.Delay(5);
        await Task.Delay(100);
        Assert.Equal(TransferState.Paused, received.Progress.State);
        Assert.Equal(2 * MiB, received.Progress.Bytes);
        Assert.Equal(6 * MiB, source.BytesRead);
        await received.ResumeAsync();
        await sent.Completion;
        Assert.Equal(60 * MiB, received.Progress.Bytes);
    }
}
