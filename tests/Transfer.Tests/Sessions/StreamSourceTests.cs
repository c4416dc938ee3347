using System.IO.Pipelines;
using FastShare.Testing;
using FastShare.Testing.Storage;
using FastShare.Testing.Transfer;
using FastShare.Transfer.Storage;

namespace FastShare.Transfer.Tests.Sessions;

public class StreamSourceTests
{
    private const int MiB = 1 << 20;

    [Theory]
    [InlineData(0, null)]
    [InlineData(0, 0L)]
    [InlineData(1, null)]
    [InlineData(MiB - 1, null)]
    [InlineData(MiB, null)]
    [InlineData(MiB, (long)MiB)]
    [InlineData(MiB + 1, (long)MiB + 1)]
    [InlineData(9 * MiB + 5, null)]
    public async Task A_stream_arrives_as_a_file(int size, long? announced)
    {
        await using var pair = new TransferPair();
        var source = new ScriptedSource(size) { MostAtOnce = 100_003 };
        Transfer sent = pair.Send(TransferSource.FromStream(source, "some/name.bin", announced), new SendOptions { Mode = TransferMode.Parallel });
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        TransferResult result = await sent.Completion;
        TransferResult arrived = await received.Completion;

        Assert.Equal(ScriptedSource.Bytes(size), await File.ReadAllBytesAsync(Path.Combine(pair.TargetFolder, "some", "name.bin")));
        Assert.Equal((1, size), (result.Files, result.Bytes));
        Assert.Equal((1, size), (arrived.Files, arrived.Bytes));
        Assert.Empty(result.Failures);
        foreach (Transfer side in new[] { sent, received })
        {
            Assert.Equal((size, size, false), (side.Progress.Bytes, side.Progress.TotalBytes, side.Progress.IsOpenEnded));
            TransferEvent.FileCompleted completed = (await side.EventsAsync().OfType<TransferEvent.FileCompleted>().ToListAsync()).Single();
            Assert.Equal(("some/name.bin", size), (completed.Path, completed.Bytes));
        }

        Assert.True(source.IsDisposed);
        Assert.Equal(["some"], Directory.GetFileSystemEntries(pair.TargetFolder).Select(Path.GetFileName));
    }

    [Fact]
    public async Task Until_it_ends_nobody_knows_how_much_there_will_be()
    {
        await using var pair = new TransferPair();
        var goOn = new TaskCompletionSource();
        var source = new ScriptedSource(5 * MiB) { Pause = (3 * MiB, goOn.Task) };
        Transfer sent = pair.Send(TransferSource.FromStream(source, "x"));
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        while (received.Progress.Bytes < 3 * MiB) await Task.Delay(5);
        Assert.True(received.Offer!.IsOpenEnded);
        Assert.Equal((0, 1), (received.Offer.Bytes, received.Offer.Files));
        Assert.True(sent.Progress.IsOpenEnded);
        Assert.True(received.Progress.IsOpenEnded);
        Assert.Equal((0, 1), (received.Progress.TotalBytes, received.Progress.TotalFiles));
        Assert.Empty(Directory.GetFiles(pair.TargetFolder));
        goOn.SetResult();
        await sent.Completion;
        Assert.Equal(5 * MiB, new FileInfo(Path.Combine(pair.TargetFolder, "x")).Length);
    }

    [Fact]
    public async Task A_pipe_arrives_as_a_file()
    {
        await using var pair = new TransferPair();
        var pipe = new Pipe();
        Transfer sent = pair.Send(TransferSource.FromPipe(pipe.Reader, "x"));
        await pipe.Writer.WriteAsync(ScriptedSource.Bytes(100_000));
        await pipe.Writer.CompleteAsync();
        await sent.Completion;
        Assert.Equal(ScriptedSource.Bytes(100_000), await File.ReadAllBytesAsync(Path.Combine(pair.TargetFolder, "x")));
    }

    [Theory]
    [InlineData(100, null, 100L)] // fails
    [InlineData(3 * MiB, null, 2L * MiB + 7)]
    [InlineData(3 * MiB, 3L * MiB + 1, long.MaxValue)] // ends early
    [InlineData(3 * MiB, 3L * MiB - 1, long.MaxValue)] // does not end
    [InlineData(1, 0L, long.MaxValue)]
    public async Task A_source_that_fails_or_has_another_length_fails_both_sides_and_shows_nothing(int size, long? announced, long failsAfter)
    {
        await using var pair = new TransferPair();
        var source = new ScriptedSource(size) { FailsAfter = failsAfter };
        Transfer sent = pair.Send(TransferSource.FromStream(source, "x", announced));
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        Assert.Equal(TransferError.SourceChanged, (await Assert.ThrowsAsync<TransferException>(() => sent.Completion)).Error);
        Assert.Equal(TransferError.SourceChanged, (await Assert.ThrowsAsync<TransferException>(() => received.Completion)).Error);
        Assert.Empty(Directory.GetFileSystemEntries(pair.TargetFolder));
        Assert.True(source.IsDisposed);
    }

    [Fact]
    public async Task A_pipe_that_is_completed_with_an_exception_fails_the_transfer()
    {
        await using var pair = new TransferPair();
        var pipe = new Pipe();
        Transfer sent = pair.Send(TransferSource.FromPipe(pipe.Reader, "x"));
        await pipe.Writer.WriteAsync(new byte[1000]);
        await pipe.Writer.CompleteAsync(new InvalidOperationException("no more paper"));
        TransferException failure = await Assert.ThrowsAsync<TransferException>(() => sent.Completion);
        Assert.Equal(TransferError.SourceChanged, failure.Error);
        Assert.Contains("no more paper", failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task Lost_connections_cost_nothing_as_long_as_the_receiver_lives(int seed)
    {
        var random = new Random(seed);
        await using var pair = new TransferPair();
        int breaks = 3;
        pair.Network.LinkMade = link =>
        {
            if (breaks-- > 0) link.BreakAfter = (long)(6 * MiB * Math.Pow(random.NextDouble(), 2));
        };
        SendOptions options = new() { Mode = seed % 2 == 0 ? TransferMode.Sequential : TransferMode.Parallel, MaxBufferedBytes = 4 * MiB };
        Transfer sent = pair.Send(TransferSource.FromStream(new ScriptedSource(20 * MiB + 3), "x", seed % 3 == 0 ? 20 * MiB + 3 : null), options);
        await sent.Completion;
        Assert.Equal(ScriptedSource.Bytes(20 * MiB + 3), await File.ReadAllBytesAsync(Path.Combine(pair.TargetFolder, "x")));
        Assert.Equal(20 * MiB + 3, sent.Progress.Bytes);
        // What is sent again is what was held: no more than the window each time.
        Assert.InRange(sent.Meter.Result().BytesResent, 0, 3 * 4 * MiB);
    }

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 5)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task Lost_lanes_are_made_good_from_what_is_held(int seed)
    {
        var random = new Random(seed);
        await using var pair = new TransferPair();
        int breaks = 5;
        pair.Network.PrivateLinkMade = link =>
        {
            if (breaks-- > 0) link.BreakAfter = (long)(3 * MiB * random.NextDouble());
        };
        Transfer sent = pair.Send(
            TransferSource.FromStream(new ScriptedSource(24 * MiB + 3), "x"),
            new SendOptions { Mode = TransferMode.Parallel, Connections = 3, Streams = 6 });
        TransferResult result = await sent.Completion;
        Assert.Equal(ScriptedSource.Bytes(24 * MiB + 3), await File.ReadAllBytesAsync(Path.Combine(pair.TargetFolder, "x")));
        Assert.Equal(24 * MiB + 3, sent.Progress.Bytes);
        Assert.Empty(await sent.EventsAsync().OfType<TransferEvent.Retrying>().ToListAsync());
        Assert.Equal(24 * MiB + 3, result.Bytes);
    }

    [Fact]
    public async Task A_chunk_that_arrives_wrong_is_sent_again()
    {
        await using var pair = new TransferPair();
        int wrong = 0;
        pair.Network.LinkMade = link => link.Corrupts = (protocol, bytes) =>
            protocol.Contains("data", StringComparison.Ordinal) && bytes > 100_000 && Interlocked.Increment(ref wrong) == 2;
        Transfer sent = pair.Send(TransferSource.FromStream(new ScriptedSource(5 * MiB), "x"));
        TransferResult result = await sent.Completion;
        Assert.Equal(ScriptedSource.Bytes(5 * MiB), await File.ReadAllBytesAsync(Path.Combine(pair.TargetFolder, "x")));
        Assert.Equal(MiB, result.BytesResent);
        Assert.Equal(5 * MiB, sent.Progress.Bytes);
    }

    [Fact]
    public async Task A_receiver_that_is_started_anew_cannot_go_on_with_a_stream()
    {
        await using var pair = new TransferPair();
        var goOn = new TaskCompletionSource();
        var source = new ScriptedSource(9 * MiB) { Pause = (5 * MiB, goOn.Task) };
        Transfer sent = pair.Send(TransferSource.FromStream(source, "x"), new SendOptions { MaxBufferedBytes = 4 * MiB });
        // More was read than may be held: the sender has heard that some of it was taken, and holds that no more.
        await Eventually.BecomesTrueAsync(() => source.BytesRead == 5 * MiB, "something is held no more");
        // As a crash: the sender is told nothing, and gets through to the new one only.
        pair.Network.LinkMade = static link => link.Break();
        pair.Network.BreakLinks();
        await pair.RestartReceiverAsync();
        pair.Network.LinkMade = null;
        TransferException failure = await Assert.ThrowsAsync<TransferException>(() => sent.Completion);
        Assert.Equal(TransferError.NotRepeatable, failure.Error);
        Assert.Contains("start its source anew", failure.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(pair.TargetFolder));
    }

    [Fact]
    public async Task A_name_that_is_taken_fails_both_sides_and_changes_nothing()
    {
        await using var pair = new TransferPair();
        Directory.CreateDirectory(pair.TargetFolder);
        await File.WriteAllTextAsync(Path.Combine(pair.TargetFolder, "x"), "mine");
        var source = new ScriptedSource(30 * MiB);
        Transfer sent = pair.Send(TransferSource.FromStream(source, "x"));
        Assert.Equal(TransferError.DestinationExists, (await Assert.ThrowsAsync<TransferException>(() => sent.Completion)).Error);
        Assert.Equal("mine", await File.ReadAllTextAsync(Path.Combine(pair.TargetFolder, "x")));
        Assert.True(source.IsDisposed);
    }

    [Fact]
    public async Task The_quota_holds_while_a_stream_grows()
    {
        await using var pair = new TransferPair();
        pair.Consent = (_, _) => ValueTask.FromResult(OfferAnswer.Accept(pair.TargetFolder, quota: 3 * MiB));
        await using IAsyncEnumerator<Transfer> incoming = pair.Receiver.Incoming.WatchAsync(CancellationToken.None).GetAsyncEnumerator();
        await pair.Send(TransferSource.FromStream(new ScriptedSource(3 * MiB), "fits")).Completion;
        Assert.True(await incoming.MoveNextAsync());
        await incoming.Current.Completion;
        Transfer sent = pair.Send(TransferSource.FromStream(new ScriptedSource(long.MaxValue), "endless"));
        Assert.Equal(TransferError.StorageFull, (await Assert.ThrowsAsync<TransferException>(() => sent.Completion)).Error);
        Assert.True(await incoming.MoveNextAsync());
        Assert.Equal(TransferError.StorageFull, (await Assert.ThrowsAsync<TransferException>(() => incoming.Current.Completion)).Error);
        Assert.Equal(["fits"], Directory.GetFileSystemEntries(pair.TargetFolder).Select(Path.GetFileName));
    }

    [Fact]
    public async Task Announced_bytes_beyond_the_quota_are_refused_before_anything_is_written()
    {
        await using var pair = new TransferPair();
        pair.Consent = (_, _) => ValueTask.FromResult(OfferAnswer.Accept(pair.TargetFolder, quota: MiB));
        Transfer sent = pair.Send(TransferSource.FromStream(new ScriptedSource(2 * MiB), "x", 2 * MiB));
        Assert.Equal(TransferError.StorageFull, (await Assert.ThrowsAsync<TransferException>(() => sent.Completion)).Error);
        Assert.False(Directory.Exists(pair.TargetFolder));
    }

    [Fact]
    public async Task A_disk_that_fills_up_fails_both_sides_and_nothing_is_left()
    {
        var storage = new FaultyStorage(ReceiveStoreOptions.MachineStorage);
        int writes = 0;
        storage.Fail = (call, _) => call == "Write" && Interlocked.Increment(ref writes) > 6
            ? new TransferException(TransferError.StorageFull, "no space left on device") : null;
        await using var pair = new TransferPair(limits: new IncomingLimits { Storage = storage });
        Transfer sent = pair.Send(TransferSource.FromStream(new ScriptedSource(long.MaxValue), "endless"));
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        Assert.Equal(TransferError.StorageFull, (await Assert.ThrowsAsync<TransferException>(() => sent.Completion)).Error);
        Assert.Equal(TransferError.StorageFull, (await Assert.ThrowsAsync<TransferException>(() => received.Completion)).Error);
        Assert.DoesNotContain(
            Directory.GetFiles(pair.TargetFolder, "*", SearchOption.AllDirectories), static file => new FileInfo(file).Length >= MiB);
    }

    [Fact]
    public async Task Cancelling_does_not_wait_for_a_source_that_ignores_it()
    {
        await using var pair = new TransferPair();
        var never = new TaskCompletionSource();
        var source = new DeafSource(never.Task);
        Transfer sent = pair.Send(TransferSource.FromStream(source, "x"));
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        await source.Reading;
        await sent.CancelAsync();
        Assert.Equal(TransferError.Cancelled, (await Assert.ThrowsAsync<TransferException>(() => sent.Completion)).Error);
        Assert.Equal(TransferError.CancelledByPeer, (await Assert.ThrowsAsync<TransferException>(() => received.Completion)).Error);
        never.SetResult();
        await source.Disposed;
        while (pair.Blocks.RentedBlocks > 0) await Task.Delay(5);
    }

    [Fact]
    public async Task A_source_serves_one_transfer()
    {
        await using var pair = new TransferPair();
        TransferSource source = TransferSource.FromStream(new MemoryStream(new byte[10]), "x");
        await pair.Send(source).Completion;
        Assert.Throws<InvalidOperationException>(() => pair.Send(source));
    }

    [Theory]
    [InlineData("../x")]
    [InlineData("")]
    [InlineData("CON")]
    [InlineData("a//b")]
    public void Names_that_no_receiver_takes_are_refused_at_once(string name) => Assert.Equal(
        TransferError.UnsafeName, Assert.Throws<TransferException>(() => TransferSource.FromStream(Stream.Null, name)).Error);

    /// <summary>A stream whose reads take no notice of their token.</summary>
    private sealed class DeafSource(Task until) : Stream
    {
        private readonly TaskCompletionSource _reading = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _disposed = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Reading => _reading.Task;

        public Task Disposed => _disposed.Task;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            _reading.TrySetResult();
            await until;
            buffer.Span.Fill(1);
            return 0;
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override void Flush() => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            _disposed.TrySetResult();
            base.Dispose(disposing);
        }
    }
}
