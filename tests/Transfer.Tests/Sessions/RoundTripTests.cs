using FastShare.Testing.Transfer;
using FastShare.Transfer.Framing;

namespace FastShare.Transfer.Tests.Sessions;

public class RoundTripTests
{
    private const int MiB = 1 << 20;

    [Theory]
    [InlineData(TransferMode.Sequential)]
    [InlineData(TransferMode.Parallel)]
    [InlineData(TransferMode.Auto)]
    public async Task Trees_arrive_as_they_are(TransferMode mode)
    {
        await using var pair = new TransferPair();
        foreach (int size in new[] { 0, 1, 65535, 65536, 65537, MiB - 1, MiB, MiB + 1, 2 * MiB, 3 * MiB + 12345 }) pair.AddFile(
            $"sizes/{size}.bin", size);
        for (int i = 0; i < 40; i++) pair.AddFile($"many/{i % 4}/file {i}.txt", i * 37);
        pair.AddFile("deep/" + string.Join('/', Enumerable.Repeat("folder", 30)) + "/leaf", 10);
        pair.AddFile("名前/Ünï çødé/🦊.txt", 100);
        Directory.CreateDirectory(Path.Combine(pair.SourceFolder, "empty/inside"));
        long bytes = Directory.EnumerateFiles(pair.SourceFolder, "*", SearchOption.AllDirectories).Sum(path => new FileInfo(path).Length);

        Transfer sent = pair.Send(new SendOptions { Mode = mode });
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        TransferResult result = await sent.Completion, arrived = await received.Completion;

        Assert.Equal("", pair.Differences());
        Assert.Empty(result.Failures);
        Assert.Equal((52, bytes, 0), (result.Files, result.Bytes, result.BytesResent));
        Assert.Equal((52, bytes), (arrived.Files, arrived.Bytes));
        Assert.Equal(TransferState.Completed, sent.Progress.State);
        Assert.Equal(bytes, sent.Progress.Bytes);
        Assert.Equal(bytes, received.Progress.Bytes);
        Assert.Equal(1, pair.Network.LinksMade);
        Assert.Empty(Directory.GetFileSystemEntries(pair.TargetFolder, ".fastshare*"));
    }

    [Fact]
    public async Task An_empty_folder_arrives()
    {
        await using var pair = new TransferPair();
        Directory.CreateDirectory(Path.Combine(pair.SourceFolder, "nothing"));
        TransferResult result = await pair.Send().Completion;
        Assert.Equal("", pair.Differences());
        Assert.Equal((0, 0), (result.Files, result.Bytes));
    }

    [Fact]
    public async Task Both_sides_tell_the_same_digest_of_a_file()
    {
        await using var pair = new TransferPair();
        pair.AddFile("one chunk", 1000);
        pair.AddFile("chunks", 3 * MiB);
        pair.AddFile("empty", 0);
        Transfer sent = pair.Send();
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        await sent.Completion;
        await received.Completion;
        var there = await Completed(sent);
        Assert.Equal(3, there.Count);
        Assert.Equal(there, await Completed(received));
        Assert.All(there.Values, digest => Assert.Equal(32, digest.Length));
        Assert.Equal(3, there.Values.Distinct().Count());

        static async Task<SortedDictionary<string, string>> Completed(Transfer transfer) => new(
            await transfer.EventsAsync().OfType<TransferEvent.FileCompleted>().ToDictionaryAsync(file => file.Path, file => file.Digest));
    }

    [Fact]
    public async Task A_file_that_is_there_and_equal_is_not_sent_again()
    {
        await using var pair = new TransferPair();
        pair.AddFile("a", 2 * MiB);
        await pair.Send().Completion;
        pair.AddFile("b", 1000);
        Transfer again = pair.Send();
        TransferResult result = await again.Completion;
        Assert.Equal("", pair.Differences());
        Assert.Equal(2, result.Files);
        Assert.Equal(1000, again.Meter.Moved);
    }

    [Fact]
    public async Task Of_a_tree_that_is_there_only_what_is_new_is_sent()
    {
        await using var pair = new TransferPair();
        foreach (string folder in (string[])["a", "a/b", "c"])
        {
            for (int i = 0; i < 20; i++) pair.AddFile($"{folder}/f{i:00}", 100);
        }

        await pair.Send().Completion;
        // Between those that are there, at the tree's begin and at its end.
        foreach (string path in (string[])["a/a", "a/f07+", "a/b/f19+", "c/f20"]) pair.AddFile(path, 10);
        Transfer again = pair.Send();
        TransferResult result = await again.Completion;
        Assert.Equal("", pair.Differences());
        Assert.Equal((64, 0), (result.Files, result.Failures.Count));
        Assert.Equal(40, again.Meter.Moved);
        Assert.Equal(6000, (await again.EventsAsync().OfType<TransferEvent.Resumed>().SingleAsync()).BytesAlready);
    }

    [Fact]
    public async Task A_name_that_is_taken_fails_alone_before_its_bytes_are_sent()
    {
        await using var pair = new TransferPair();
        pair.AddFile("taken", 2 * MiB);
        pair.AddFile("free", 1000);
        Directory.CreateDirectory(pair.TargetFolder);
        File.WriteAllText(Path.Combine(pair.TargetFolder, "taken"), "mine");
        Transfer sent = pair.Send();
        TransferResult result = await sent.Completion;
        TransferException failure = Assert.Single(result.Failures);
        Assert.Equal((TransferError.DestinationExists, "taken"), (failure.Error, failure.Path));
        Assert.Equal("mine", File.ReadAllText(Path.Combine(pair.TargetFolder, "taken")));
        Assert.Equal(1000, new FileInfo(Path.Combine(pair.TargetFolder, "free")).Length);
        Assert.Equal(1000, sent.Meter.Moved);
    }

    [Fact]
    public async Task An_accepting_answer_may_replace()
    {
        await using var pair = new TransferPair();
        pair.Consent = (_, _) => ValueTask.FromResult(OfferAnswer.Accept(pair.TargetFolder, replace: true));
        pair.AddFile("taken", 1000);
        Directory.CreateDirectory(pair.TargetFolder);
        File.WriteAllText(Path.Combine(pair.TargetFolder, "taken"), "old");
        TransferResult result = await pair.Send().Completion;
        Assert.Empty(result.Failures);
        Assert.Equal("", pair.Differences());
    }

    [Fact]
    public async Task Many_small_files_go_in_parallel_and_large_ones_one_after_another()
    {
        await using var pair = new TransferPair();
        for (int i = 0; i < 20; i++) pair.AddFile($"small/{i}", 10);
        Transfer small = pair.Send(null, Path.Combine(pair.SourceFolder, "small"));
        await small.Completion;
        Assert.Equal(TransferMode.Parallel, small.Progress.Mode);
        string large = pair.AddFile("large", 2 * MiB);
        Transfer one = pair.Send(null, large);
        await one.Completion;
        Assert.Equal(TransferMode.Sequential, one.Progress.Mode);
        var change = await one.EventsAsync().OfType<TransferEvent.ModeChanged>().FirstAsync();
        Assert.Contains("1 files", change.Why, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(100)]
    [InlineData(3 * MiB)]
    public async Task Progress_is_whole_at_the_end_whoever_heard_of_the_last_write_first(int size)
    {
        await using var pair = new TransferPair();
        pair.AddFile("file", size);
        // The receiver says that it has everything, and the sender has not heard yet that its last write went through.
        long written = 0;
        pair.Network.LinkMade = link => link.Lingers = (protocol, length, token) =>
            protocol == TransferProtocol.DataId && Interlocked.Add(ref written, length) >= size
                ? Task.Delay(Timeout.Infinite, token) : Task.CompletedTask;
        Transfer sent = pair.Send(new SendOptions { Mode = TransferMode.Sequential });
        await sent.Completion;
        Assert.Equal("", pair.Differences());
        Assert.Equal((size, size), (sent.Progress.Bytes, sent.Progress.TotalBytes));
        Assert.Equal(size, sent.Meter.Moved);
    }
}
