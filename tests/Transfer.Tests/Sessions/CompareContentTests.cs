using System.IO.Pipelines;
using FastShare.Testing;
using FastShare.Testing.Transfer;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Verification;

namespace FastShare.Transfer.Tests.Sessions;

/// <summary>Files that are there already, compared by content.</summary>
public class CompareContentTests
{
    private const int MiB = 1 << 20;

    private static readonly SendOptions _compare = new() { CompareContent = true };

    [Theory]
    [InlineData(0)]
    [InlineData(777)]
    [InlineData(3 * MiB + 5)]
    public async Task Equal_content_under_another_time_and_mode_is_not_sent_and_gets_both(int size)
    {
        await using TransferPair pair = Replacing();
        string source = pair.AddFile("d/f", size), target = Copy(pair, "d/f");
        File.SetLastWriteTimeUtc(target, DateTime.UnixEpoch.AddDays(1000));
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(source, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            File.SetUnixFileMode(target, UnixFileMode.UserRead);
        }

        Transfer sent = pair.Send(_compare);
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        TransferResult result = await sent.Completion;
        await received.Completion;
        Assert.Equal("", pair.Differences());
        Assert.Empty(result.Failures);
        Assert.Equal((0, 0), (sent.Meter.Moved, received.Meter.Moved));
        Assert.Equal((1, size), (result.Files, result.Bytes));
        Assert.Equal(size, sent.Progress.Bytes);
        if (!OperatingSystem.IsWindows()) Assert.Equal(File.GetUnixFileMode(source), File.GetUnixFileMode(target));
    }

    [Theory]
    [InlineData(777)]
    [InlineData(3 * MiB + 5)]
    public async Task Other_content_of_the_same_size_and_time_is_sent_only_when_content_is_compared(int size)
    {
        await using TransferPair pair = Replacing();
        pair.AddFile("f", size);
        string target = Copy(pair, "f");
        DateTime time = File.GetLastWriteTimeUtc(target);
        byte[] other = await File.ReadAllBytesAsync(target);
        other[^1] ^= 1;
        await File.WriteAllBytesAsync(target, other);
        File.SetLastWriteTimeUtc(target, time);

        await pair.Send().Completion;
        Assert.Equal(other, await File.ReadAllBytesAsync(target));
        Transfer sent = pair.Send(_compare);
        TransferResult result = await sent.Completion;
        Assert.Equal("", pair.Differences());
        Assert.Equal((size, 0L), (sent.Meter.Moved, result.BytesResent));
    }

    [Fact]
    public async Task What_differs_and_may_not_be_replaced_fails_alone()
    {
        await using var pair = new TransferPair();
        foreach (string name in (string[])["differs", "equal", "new"]) pair.AddFile(name, 2 * MiB);
        Copy(pair, "equal");
        string kept = Copy(pair, "differs");
        byte[] other = new byte[2 * MiB];
        await File.WriteAllBytesAsync(kept, other);
        Transfer sent = pair.Send(_compare);
        TransferResult result = await sent.Completion;
        TransferException failure = Assert.Single(result.Failures);
        Assert.Equal((TransferError.DestinationExists, "differs"), (failure.Error, failure.Path));
        Assert.Equal(2 * MiB, sent.Meter.Moved);
        Assert.Equal(other, await File.ReadAllBytesAsync(kept));
        Assert.True(File.Exists(Path.Combine(pair.TargetFolder, "new")));
    }

    [Fact]
    public async Task More_files_than_are_compared_at_once_are_all_compared()
    {
        await using TransferPair pair = Replacing();
        const int Count = 9000;
        Directory.CreateDirectory(Path.Combine(pair.SourceFolder, "d"));
        Directory.CreateDirectory(Path.Combine(pair.TargetFolder, "d"));
        for (int i = 0; i < Count; i++)
        {
            byte[] content = BitConverter.GetBytes(i);
            await File.WriteAllBytesAsync(Path.Combine(pair.SourceFolder, "d", $"{i}"), content);
            if (i % 1000 == 0) content[3] = 1;
            await File.WriteAllBytesAsync(Path.Combine(pair.TargetFolder, "d", $"{i}"), content);
        }

        Transfer sent = pair.Send(_compare);
        TransferResult result = await sent.Completion;
        Assert.Empty(result.Failures);
        Assert.Equal((Count, 9 * 4), (result.Files, sent.Meter.Moved));
        Assert.Equal("", pair.Differences());
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task Breaks_at_random_bytes_cost_neither_a_byte_nor_a_comparison(int seed)
    {
        var random = new Random(seed);
        await using TransferPair pair = Replacing();
        for (int i = 0; i < 60; i++)
        {
            string name = $"d/{i}";
            pair.AddFile(name, i % 7 == 0 ? MiB + i : i * 100);
            if (i % 3 == 0) continue;
            string target = Copy(pair, name);
            if (i % 3 == 1) File.SetLastWriteTimeUtc(target, DateTime.UnixEpoch);
            else if (new FileInfo(target).Length > 0) Damage(target);
        }

        int breaks = 4;
        pair.Network.LinkMade = link =>
        {
            if (breaks-- > 0) link.BreakAfter = (long)(4 * MiB * Math.Pow(random.NextDouble(), 4));
        };
        TransferResult result = await pair.Send(_compare).Completion;
        Assert.Empty(result.Failures);
        Assert.Equal(60, result.Files);
        Assert.Equal("", pair.Differences());
    }

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 4)];

    [Fact]
    public async Task A_file_that_differs_goes_on_where_an_earlier_run_was_interrupted()
    {
        await using TransferPair pair = Replacing();
        pair.AddFile("large", 8 * MiB);
        Damage(Copy(pair, "large"));
        Task stalled = pair.Network.StallFirstLinkAfter(5 * MiB);
        Transfer first = pair.Send(new SendOptions { CompareContent = true, Mode = TransferMode.Sequential });
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        await stalled;
        await Eventually.BecomesTrueAsync(() => received.Meter.Moved >= 2 * MiB, "what came through is stored");
        Task restarted = pair.RestartReceiverAsync();
        pair.Network.UnstallControl();
        await restarted;
        pair.Network.UnstallLinks();
        await Assert.ThrowsAsync<TransferException>(() => first.Completion);
        Transfer second = pair.Send(_compare);
        await second.Completion;
        Assert.Equal("", pair.Differences());
        Assert.InRange(second.Meter.Moved, 1, 6 * MiB);
    }

    [Theory]
    [InlineData("digest of a file that is not there")]
    [InlineData("digest of a folder")]
    [InlineData("two digests")]
    [InlineData("chunk before the digest")]
    [InlineData("end before the digest")]
    public async Task What_was_not_asked_for_ends_the_session(string what)
    {
        await using TransferPair pair = Replacing();
        Directory.CreateDirectory(pair.TargetFolder);
        string there = Path.Combine(pair.TargetFolder, "there");
        await File.WriteAllBytesAsync(there, new byte[2 * MiB]);
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        await sender.OfferAsync(compares: true);
        await sender.SendManifestAsync(
            new ManifestEntry(0, EntryKind.File, "there", 2 * MiB, -1, 1, null), new ManifestEntry(1, EntryKind.File, "absent", 5, -1, 1, null),
            new ManifestEntry(2, EntryKind.Directory, "folder", 0, -1, 1, null));
        UInt128 session = Accept.Parse((await sender.ExpectAsync(MessageType.Accept)).Body).Session;
        PlannedFile planned = Assert.Single(PlanMessage.Parse((await sender.ExpectAsync(MessageType.Plan)).Body).Exceptions);
        Assert.True(planned is { Id: 0, IsCompared: true, IsPending: false, Ranges.Count: 0 });
        switch (what)
        {
            case "digest of a file that is not there":
                await sender.SendAsync(MessageType.FileDigest, new FileDigest(1, 7).Write);
                break;
            case "digest of a folder":
                await sender.SendAsync(MessageType.FileDigest, new FileDigest(2, 7).Write);
                break;
            case "two digests":
                // Decided, so the answer is repeated: a connection may have been lost in between.
                await sender.SendAsync(MessageType.FileDigest, new FileDigest(0, 7).Write);
                await sender.ExpectAsync(MessageType.FileWanted);
                await sender.SendAsync(MessageType.FileDigest, new FileDigest(0, 7).Write);
                await sender.ExpectAsync(MessageType.FileWanted);
                await sender.SendRawAsync((MessageType)99, []);
                break;
            case "chunk before the digest":
                PipeWriter lane = await sender.AttachAsync(session);
                await ScriptedSender.SendChunkAsync(lane, 0, 0, new byte[MiB]);
                await sender.ExpectAsync(MessageType.ChunkRejected);
                await ScriptedSender.SendChunkAsync(lane, 0, MiB, new byte[MiB]);
                break;
            default:
                await sender.SendAsync(MessageType.FileEnd, new FileEnd(0, 2, 7).Write);
                break;
        }

        Assert.Equal(WireCode.ProtocolViolation, await sender.ExpectEndingAsync(MessageType.Cancel));
        Assert.Equal(new byte[2 * MiB], await File.ReadAllBytesAsync(there));
    }

    [Fact]
    public async Task A_digest_that_is_right_changes_nothing_before_the_manifest_is_whole()
    {
        await using TransferPair pair = Replacing();
        Directory.CreateDirectory(pair.TargetFolder);
        string there = Path.Combine(pair.TargetFolder, "there");
        await File.WriteAllBytesAsync(there, new byte[10]);
        DateTime before = File.GetLastWriteTimeUtc(there);
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        await sender.OfferAsync(compares: true);
        await sender.SendAsync(MessageType.ManifestPage, writer => ManifestPage.Encode(
            [new ManifestEntry(0, EntryKind.File, "there", 10, -1, 1_000_000_000, null)], writer));
        await sender.ExpectAsync(MessageType.Accept); // after 2 s
        await sender.ExpectAsync(MessageType.Plan);
        await sender.SendAsync(MessageType.FileDigest, new FileDigest(0, Digester.RootOf(Digester.Of(new byte[10]))).Write);
        await sender.SendAsync(MessageType.ManifestPage, writer => ManifestPage.Encode(
            [new ManifestEntry(1, EntryKind.File, "../unsafe", 10, -1, 1_000_000_000, null)], writer));
        Assert.Equal(WireCode.UnsafeName, await sender.ExpectEndingAsync(MessageType.Cancel));
        Assert.Equal(before, File.GetLastWriteTimeUtc(there));
    }

    [Fact]
    public async Task A_sender_that_did_not_offer_to_compare_is_not_asked_to()
    {
        await using TransferPair pair = Replacing();
        pair.AddFile("f", 10);
        File.SetLastWriteTimeUtc(Copy(pair, "f"), DateTime.UnixEpoch);
        Transfer sent = pair.Send();
        await sent.Completion;
        Assert.Equal(10, sent.Meter.Moved);
        Assert.Equal("", pair.Differences());
    }

    private static TransferPair Replacing()
    {
        TransferPair? pair = null;
        pair = new TransferPair((_, _) => ValueTask.FromResult(OfferAnswer.Accept(pair!.TargetFolder, replace: true)));
        return pair;
    }

    /// <summary>The same file at the receiver, its time too.</summary>
    private static string Copy(TransferPair pair, string name)
    {
        string target = Path.Combine(pair.TargetFolder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(target)!);
        File.Copy(Path.Combine(pair.SourceFolder, name), target);
        return target;
    }

    /// <summary>Other content, the same size and time.</summary>
    private static void Damage(string file)
    {
        DateTime time = File.GetLastWriteTimeUtc(file);
        byte[] bytes = File.ReadAllBytes(file);
        bytes[bytes.Length / 2] ^= 0x10;
        File.WriteAllBytes(file, bytes);
        File.SetLastWriteTimeUtc(file, time);
    }
}
