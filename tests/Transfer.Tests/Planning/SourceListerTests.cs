using System.Diagnostics;
using FastShare.Testing;
using FastShare.Testing.Storage;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Storage.Internal;
using FastShare.Transfer.Tests.Storage;

namespace FastShare.Transfer.Tests.Planning;

public sealed class SourceListerTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static string[] Paths(IEnumerable<SourceEntry> entries) => [.. entries.Select(entry => entry.Entry.Path)];

    [Fact]
    public void Folders_come_before_their_content_and_names_in_ordinal_order()
    {
        foreach (string path in (string[])["r/b/2", "r/b/10", "r/a", "r/C/x", "r/é", "r/z/y/x/w"]) _folder.Write(path, "x"u8);
        Directory.CreateDirectory(_folder["r/empty"]);
        foreach (string argument in (string[])[_folder["r"], _folder["r"] + "/", _folder["r/b/.."]])
        {
            var lister = new SourceLister([argument]);
            SourceEntry[] entries = [.. lister.List()];
            Assert.Equal(
                ["r", "r/C", "r/C/x", "r/a", "r/b", "r/b/10", "r/b/2", "r/empty", "r/z", "r/z/y", "r/z/y/x", "r/z/y/x/w", "r/é"],
                Paths(entries));
            Assert.Equal(Enumerable.Range(0, 13).Select(i => (uint)i), entries.Select(entry => entry.Entry.Id));
            Assert.Empty(lister.Failures);
            Assert.Equal((6, 6), lister.Total);
            Assert.All(entries, entry => Assert.Equal(_folder[entry.Entry.Path], entry.FullPath));
        }
    }

    [Fact]
    public void Size_mode_and_time_are_told_exactly()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "needs modes");
        string path = _folder.Write("f", "12345"u8);
        TemporaryFolder.SetMode(path, 0x1E8);
        File.SetLastWriteTimeUtc(path, DateTime.UnixEpoch.AddTicks(12_345_678_901_234_567));
        ManifestEntry entry = Assert.Single(new SourceLister([path]).List()).Entry;
        Assert.Equal(new ManifestEntry(0, EntryKind.File, "f", 5, 0x1E8, 1_234_567_890_123_456_700, null), entry);
    }

    [Fact]
    public void Several_arguments_arrive_under_their_last_names()
    {
        string[] arguments = [_folder.Write("x/one", "1"u8), _folder.Write("y/two/three", "2"u8), _folder["y/two"]];
        Assert.Equal(["one", "three", "two", "two/three"], Paths(new SourceLister(arguments).List()));
    }

    [Fact]
    public void Arguments_that_cannot_arrive_are_told_at_once()
    {
        string[] same = [_folder.Write("x/name", "1"u8), _folder.Write("y/name", "2"u8)];
        var e = Assert.Throws<TransferException>(() => new SourceLister(same));
        Assert.Equal(TransferError.UnsafeName, e.Error);
        Assert.Contains("same name", e.Message, StringComparison.Ordinal);
        Failing.With(TransferError.SourceNotFound, () => new SourceLister([_folder["none"]]));
        Failing.With(TransferError.UnsafeName, () => new SourceLister(["/"]));
    }

    [Fact]
    public void Links_are_passed_over_and_never_followed()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "links need a privilege");
        _folder.Write("outside/secret", "s"u8);
        _folder.Write("r/a", "a"u8);
        File.CreateSymbolicLink(_folder["r/file"], _folder["outside/secret"]);
        Directory.CreateSymbolicLink(_folder["r/folder"], _folder["outside"]);
        File.CreateSymbolicLink(_folder["r/dead"], "nowhere");
        var lister = new SourceLister([_folder["r"]]);
        Assert.Equal(["r", "r/a"], Paths(lister.List()));
        Assert.Equal(["r/dead", "r/file", "r/folder"], lister.Failures.Select(e => e.Path));

        lister = new SourceLister([_folder["r/folder"]]);
        Assert.Empty(lister.List());
        Assert.Contains("symbolic link", Assert.Single(lister.Failures).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Links_are_sent_as_links_on_request_if_they_stay_in_the_tree()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "links need a privilege");
        _folder.Write("r/a", "a"u8);
        File.CreateSymbolicLink(_folder["r/good"], "a");
        File.CreateSymbolicLink(_folder["r/out"], "../../etc");
        var lister = new SourceLister([_folder["r"]], includeLinks: true);
        SourceEntry[] entries = [.. lister.List()];
        Assert.Equal(["r", "r/a", "r/good"], Paths(entries));
        Assert.Equal((EntryKind.Symlink, "a", 0), (entries[2].Entry.Kind, entries[2].Entry.LinkTarget, entries[2].Entry.Size));
        Assert.Equal(["r/out"], lister.Failures.Select(e => e.Path));
    }

    [Fact]
    public void What_the_receiver_would_refuse_is_passed_over_alone()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs a file system that takes such names");
        string[] names = ["ok", "a:b", "NUL.txt", "trailing.", "x\ny", ".fastshare-1/data", "COM1/inner", "same", "SAME"];
        foreach (string name in names) _folder.Write("r/" + name, "x"u8);
        var lister = new SourceLister([_folder["r"]]);
        Assert.Equal(["r", "r/SAME", "r/ok"], Paths(lister.List()));
        Assert.Equal(
            ["r/.fastshare-1", "r/COM1", "r/NUL.txt", "r/a:b", "r/same", "r/trailing.", "r/x\ny"],
            lister.Failures.Select(e => e.Path).Order(StringComparer.Ordinal));
        Assert.All(lister.Failures, e => Assert.Equal(TransferError.UnsafeName, e.Error));
        Assert.All(lister.Failures, e => Assert.DoesNotContain('\n', e.Message));
    }

    [Fact]
    public void Names_that_are_no_text_and_special_files_are_passed_over()
    {
        Assert.SkipUnless(LinuxCalls.IsSupported, "needs Linux");
        _folder.Write("r/ok", "x"u8);
        string make = $"mkfifo {_folder["r/pipe"]} && touch \"$(printf '{_folder["r"]}/bad\\377name')\"";
        using (Process made = Process.Start("sh", ["-c", make])) made.WaitForExit();
        var lister = new SourceLister([_folder["r"]]);
        Assert.Equal(["r", "r/ok"], Paths(lister.List()));
        Assert.Equal(["r/bad\uFFFDname", "r/pipe"], lister.Failures.Select(e => e.Path).Order(StringComparer.Ordinal));
        using Process removed = Process.Start("rm", ["-r", _folder["r"]]); // the framework cannot remove such a name
        removed.WaitForExit();
    }

    [Fact]
    public void An_unreadable_folder_is_told_and_the_rest_goes_on()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "root's rights can be given up on Linux only");
        TemporaryFolder.SetMode(_folder.Path, 0x1ED);
        _folder.Write("r/closed/x", "x"u8);
        _folder.Write("r/open", "x"u8);
        TemporaryFolder.SetMode(_folder["r/closed"], 0);
        var lister = new SourceLister([_folder["r"]]);
        Unprivileged.Run(() => Assert.Equal(["r", "r/closed", "r/open"], Paths(lister.List())));
        Assert.Equal(TransferError.AccessDenied, Assert.Single(lister.Failures).Error);
        TemporaryFolder.SetMode(_folder["r/closed"], 0x1C0);
    }

    [Fact]
    public void A_folder_swapped_for_a_link_while_listing_is_not_followed()
    {
        Assert.SkipUnless(LinuxCalls.IsSupported, "the portable source can be raced");
        _folder.Write("outside/secret", "s"u8);
        _folder.Write("r/sub/a", "a"u8);
        var lister = new SourceLister([_folder["r"]]);
        var seen = new List<string>();
        foreach (SourceEntry entry in lister.List())
        {
            seen.Add(entry.Entry.Path);
            if (entry.Entry.Path != "r/sub") continue;
            Directory.Move(_folder["r/sub"], _folder["moved"]);
            Directory.CreateSymbolicLink(_folder["r/sub"], _folder["outside"]);
        }

        Assert.Equal(["r", "r/sub"], seen);
        Assert.Equal("r/sub", Assert.Single(lister.Failures).Path);
    }

    [Fact]
    public void A_wide_and_deep_tree_is_listed_with_few_descriptors()
    {
        string deep = "r/" + string.Join('/', Enumerable.Repeat("d", 200));
        _folder.Write(deep + "/leaf", "x"u8);
        for (int i = 0; i < 300; i++) _folder.Write($"r/w{i}/f", "x"u8);
        int most = 0;
        int before = Directory.Exists("/proc/self/fd") ? Directory.GetFiles("/proc/self/fd").Length : 0;
        int count = 0;
        foreach (SourceEntry _ in new SourceLister([_folder["r"]]).List())
        {
            if (++count % 50 == 0 && before > 0) most = Math.Max(most, Directory.GetFiles("/proc/self/fd").Length - before);
        }

        Assert.Equal(1 + 200 + 1 + 600, count);
        Assert.InRange(most, -1000, 60); // other tests run meanwhile; one for each level would be 200
    }

    [Fact]
    public void A_source_reads_back_and_notices_change()
    {
        string path = _folder.Write("f", "hello"u8);
        SourceEntry entry = Assert.Single(new SourceLister([path]).List());
        using (SourceFile file = SourceFile.Open(entry))
        {
            byte[] buffer = new byte[10];
            Assert.Equal(5, file.Read(0, buffer));
            Assert.Equal("hello"u8, buffer.AsSpan(0, 5));
            Assert.Equal(2, file.Read(3, buffer));
            Assert.Equal(0, file.Read(5, buffer));
            Assert.False(file.HasChanged());
            File.AppendAllText(path, "!");
            Assert.True(file.HasChanged());
        }

        Failing.With(TransferError.SourceChanged, () => SourceFile.Open(entry));
    }

    [Fact]
    public void A_file_replaced_since_it_was_listed_is_not_sent()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "needs links and inodes");
        string path = _folder.Write("f", "hello"u8);
        DateTime time = File.GetLastWriteTimeUtc(path);
        SourceEntry entry = Assert.Single(new SourceLister([path]).List());
        TransferError Reopened() => Assert.Throws<TransferException>(() => SourceFile.Open(entry)).Error;

        // the same size and time, but another file
        File.Move(path, _folder["g"]);
        Assert.Equal(TransferError.SourceChanged, Reopened());
        _folder.Write("f", "HELLO"u8);
        File.SetLastWriteTimeUtc(path, time);
        if (LinuxCalls.IsSupported) Assert.Equal(TransferError.SourceChanged, Reopened());
        // a link to the very file
        File.Delete(path);
        File.CreateSymbolicLink(path, _folder["g"]);
        Assert.Equal(TransferError.SourceChanged, Reopened());
        File.Delete(path);
        Directory.CreateDirectory(path);
        Assert.Equal(TransferError.SourceChanged, Reopened());
    }

    [Fact]
    public void A_pipe_put_in_the_place_of_a_file_does_not_hang()
    {
        Assert.SkipUnless(LinuxCalls.IsSupported, "needs Linux");
        string path = _folder.Write("f", "hello"u8);
        SourceEntry entry = Assert.Single(new SourceLister([path]).List());
        File.Delete(path);
        using (Process made = Process.Start("mkfifo", [path])) made.WaitForExit();
        Failing.With(TransferError.SourceChanged, () => SourceFile.Open(entry));
    }
}
