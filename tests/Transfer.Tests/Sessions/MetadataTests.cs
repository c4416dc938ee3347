using FastShare.Testing.Storage;
using FastShare.Testing.Transfer;

namespace FastShare.Transfer.Tests.Sessions;

/// <summary>What is kept of files beside their content.</summary>
public class MetadataTests
{
    [Fact]
    public async Task Links_within_the_tree_are_kept_and_others_told()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "making links needs a privilege there");
        await using var pair = new TransferPair();
        pair.AddFile("d/file", 10);
        File.CreateSymbolicLink(Path.Combine(pair.SourceFolder, "d", "inside"), "file");
        File.CreateSymbolicLink(Path.Combine(pair.SourceFolder, "d", "dangling"), "nothing");
        File.CreateSymbolicLink(Path.Combine(pair.SourceFolder, "d", "outside"), "../../../etc/passwd");
        TransferResult result = await pair.Send(new SendOptions { KeepLinks = true }).Completion;
        Assert.Equal("file", new FileInfo(Path.Combine(pair.TargetFolder, "d", "inside")).LinkTarget);
        Assert.Equal("nothing", new FileInfo(Path.Combine(pair.TargetFolder, "d", "dangling")).LinkTarget);
        Assert.False(Path.Exists(Path.Combine(pair.TargetFolder, "d", "outside")));
        Assert.Equal("d/outside", Assert.Single(result.Failures).Path);
    }

    [Fact]
    public async Task Links_are_passed_over_and_told_unless_asked_for()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "making links needs a privilege there");
        await using var pair = new TransferPair();
        pair.AddFile("d/file", 10);
        File.CreateSymbolicLink(Path.Combine(pair.SourceFolder, "d", "inside"), "file");
        TransferResult result = await pair.Send().Completion;
        Assert.Equal(["file"], Directory.GetFileSystemEntries(Path.Combine(pair.TargetFolder, "d")).Select(Path.GetFileName));
        Assert.Equal("d/inside", Assert.Single(result.Failures).Path);
    }

    [Fact]
    public async Task Modes_times_and_empty_folders_arrive()
    {
        await using var pair = new TransferPair();
        string file = pair.AddFile("d/file", 10), empty = Path.Combine(pair.SourceFolder, "d", "empty");
        Directory.CreateDirectory(empty);
        var time = new DateTime(2020, 2, 3, 4, 5, 6, 789, DateTimeKind.Utc);
        TemporaryFolder.SetMode(file, 0x1A0);
        TemporaryFolder.SetMode(empty, 0x1C8);
        File.SetLastWriteTimeUtc(file, time);
        Directory.SetLastWriteTimeUtc(empty, time.AddDays(1));
        Directory.SetLastWriteTimeUtc(Path.Combine(pair.SourceFolder, "d"), time.AddDays(2));
        await pair.Send().Completion;
        string target = Path.Combine(pair.TargetFolder, "d");
        Assert.Equal((time, time.AddDays(1), time.AddDays(2)), (File.GetLastWriteTimeUtc(Path.Combine(target, "file")),
            Directory.GetLastWriteTimeUtc(Path.Combine(target, "empty")), Directory.GetLastWriteTimeUtc(target)));
        if (OperatingSystem.IsWindows()) return;
        Assert.Equal(0x1A0, TemporaryFolder.ModeOf(Path.Combine(target, "file")));
        Assert.Equal(0x1C8, TemporaryFolder.ModeOf(Path.Combine(target, "empty")));
    }
}
