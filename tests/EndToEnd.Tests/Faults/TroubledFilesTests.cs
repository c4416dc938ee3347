using System.Text.Json;
using FastShare.EndToEnd.Tests.Commands;
using FastShare.EndToEnd.Tests.Processes;

namespace FastShare.EndToEnd.Tests.Faults;

/// <summary>Files that give trouble on either side: each is told, the others arrive, and the same command completes it afterwards.</summary>
public sealed class TroubledFilesTests : IDisposable
{
    private const int Rate = 24_000_000;

    private readonly TestFolder _folder = new();

    [Fact]
    public async Task Sources_that_change_in_any_way_while_others_are_sent_fail_alone()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs Linux's permissions and capabilities");
        string[] troubled = ["b vanishes", "c becomes unreadable", "d grows", "e shrinks", "f changes", "g is another file", "h is a link", "i is a pipe"];
        string tree = Directory.CreateDirectory(_folder["tree"]).FullName;
        FileTree.WriteFile(_folder["tree/a large"], 48_000_000); // much more than is read ahead
        foreach (string name in troubled) FileTree.WriteFile(Path.Combine(tree, name), 300_000);
        FileTree.WriteFile(_folder["tree/y"], 100_000);
        Link(_folder["tree/y"], _folder["tree/z the same file"]);

        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ["--yes", "--once", .. ReceivingNode.ByAddress]);
        await using (var link = new SlowLink(receiver.Address, Rate, holdsAt: 4_000_000))
        {
            // One file after the other: all but the first are still closed when they change.
            await using FastShareProcess sender = StartBound(
                ["send", tree, "--to", link.Address, "--mode", "sequential", .. ReceivingNode.Known]);
            await receiver.Process.WaitForEventAsync("progress", e => e.GetProperty("bytes").GetInt64() > 500_000);
            Trouble(tree);
            link.Release();

            Assert.True(await sender.WaitForExitAsync() == 1, sender.ToString());
            Assert.Equal(troubled.Select(name => ("tree/" + name, "sourceChanged")), Errors(sender));
            Assert.Equal(troubled.Length, (await sender.WaitForEventAsync("completed")).GetProperty("filesFailed").GetInt32());
        }

        Assert.Equal(1, await receiver.Process.WaitForExitAsync());
        Assert.Equal(troubled.Select(name => ("tree/" + name, "sourceChanged")), Errors(receiver.Process));
        // Where the sender's files stand is nobody's business.
        Assert.DoesNotContain(_folder.Path, string.Join('\n', receiver.Process.Lines.Where(line => line.Contains("sourceChanged"))), StringComparison.Ordinal);
        Assert.Equal(["tree", "tree/a large", "tree/y", "tree/z the same file"], FileTree.Published(_folder["in"]));
        FileTree.AssertSameContent(_folder["tree/y"], _folder["in/tree/z the same file"]);

        foreach (string name in (string[])["h is a link", "i is a pipe"]) File.Delete(Path.Combine(tree, name));
        Run("chmod", "640", Path.Combine(tree, "c becomes unreadable"));
        await using ReceivingNode again = await ReceivingNode.StartAsync(_folder, "in", ["--yes", "--once", .. ReceivingNode.ByAddress]);
        await using FastShareProcess second = await FastShareProcess.RunAsync(_folder, ["send", tree, "--to", again.Address, .. ReceivingNode.Known]);
        Assert.True(second.ExitCode == 0, second.ToString());
        Assert.Equal(0, await again.Process.WaitForExitAsync());
        FileTree.AssertEqual(tree, _folder["in/tree"]);
        Assert.Equal(["tree"], Directory.EnumerateFileSystemEntries(_folder["in"]).Select(Path.GetFileName));
    }

    [Fact]
    public async Task A_folder_that_may_not_be_written_to_costs_its_own_files_only()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs Linux's permissions and capabilities");
        string tree = FileTree.Write(_folder["tree"]);
        string closed = Directory.CreateDirectory(_folder["in/tree/deep"]).FullName;
        Run("chmod", "555", closed);
        await using (ReceivingNode receiver = await ReceivingNode.WhenListeningAsync(
            StartBound(["receive", "in", "--yes", "--once", .. ReceivingNode.ByAddress])))
        {
            await using FastShareProcess sender = await FastShareProcess.RunAsync(_folder, ["send", tree, "--to", receiver.Address, .. ReceivingNode.Known]);
            Assert.True(sender.ExitCode == 6, sender.ToString());
            Assert.Equal(6, await receiver.Process.WaitForExitAsync());
            string[] denied = ["tree/deep/er", "tree/deep/er/and", "tree/deep/er/and/deeper", "tree/deep/er/and/deeper/file.txt", "tree/deep/script.sh", "tree/deep/secret"];
            Assert.Equal(denied.Select(name => (name, "accessDenied")), Errors(receiver.Process));
            Assert.Equal(denied.Where(name => !Directory.Exists(_folder[name])).Select(name => (name, "accessDenied")),
                Errors(sender).Where(error => !Directory.Exists(_folder[error.Path])));
        }

        FileTree.AssertSameContent(_folder["tree/größe ☃.dat"], _folder["in/tree/größe ☃.dat"]);
        Run("chmod", "755", closed);
        await using ReceivingNode again = await ReceivingNode.StartAsync(_folder, "in", ["--yes", .. ReceivingNode.ByAddress]);
        await using FastShareProcess second = await FastShareProcess.RunAsync(_folder, ["send", tree, "--to", again.Address, .. ReceivingNode.Known]);
        Assert.True(second.ExitCode == 0, second.ToString());
        FileTree.AssertEqual(tree, _folder["in/tree"]);
    }

    [Fact]
    public async Task A_destination_mounted_read_only_is_told_and_taken_once_it_is_writable()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs mount namespaces");
        string tree = FileTree.Write(_folder["tree"]);
        Directory.CreateDirectory(_folder["in"]);
        string script = $"mount --bind '{_folder["in"]}' '{_folder["in"]}' && mount -o remount,ro,bind '{_folder["in"]}' || exit 77; exec \"$@\"";
        FastShareProcess process = FastShareProcess.StartProgram(
            _folder, "unshare", ["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", FastShareProcess.Path,
                "receive", "in", "--yes", "--once", .. ReceivingNode.ByAddress]);
        ReceivingNode receiver;
        try
        {
            receiver = await ReceivingNode.WhenListeningAsync(process);
        }
        catch (InvalidOperationException e)
        {
            await process.WaitForExitAsync();
            Assert.SkipWhen(process.ExitCode is 77 or 1 && process.Lines.Count == 0, "this system lets nobody make a mount namespace: " + e.Message);
            throw;
        }

        await using (receiver)
        {
            await using FastShareProcess sender = await FastShareProcess.RunAsync(_folder, ["send", tree, "--to", receiver.Address, .. ReceivingNode.Known]);
            Assert.True(sender.ExitCode == 6, sender.ToString());
            Assert.Equal(6, await receiver.Process.WaitForExitAsync());
            JsonElement error = await receiver.Process.WaitForEventAsync("error");
            Assert.Equal("accessDenied", error.GetProperty("kind").GetString());
            Assert.Contains("read-only", error.GetProperty("message").GetString(), StringComparison.Ordinal);
        }

        Assert.Empty(Directory.GetFileSystemEntries(_folder["in"]));
        await using ReceivingNode again = await ReceivingNode.StartAsync(_folder, "in", ["--yes", .. ReceivingNode.ByAddress]);
        await using FastShareProcess second = await FastShareProcess.RunAsync(_folder, ["send", tree, "--to", again.Address, .. ReceivingNode.Known]);
        Assert.True(second.ExitCode == 0, second.ToString());
        FileTree.AssertEqual(tree, _folder["in/tree"]);
    }

    private static void Trouble(string tree)
    {
        string At(string name) => Path.Combine(tree, name);
        File.Delete(At("b vanishes"));
        Run("chmod", "0", At("c becomes unreadable"));
        File.AppendAllText(At("d grows"), "more");
        using (FileStream shrinking = File.OpenWrite(At("e shrinks"))) shrinking.SetLength(1000);
        using (FileStream changing = File.OpenWrite(At("f changes"))) changing.Write("other"u8);
        // The same size and time: another file all the same.
        DateTime time = File.GetLastWriteTimeUtc(At("g is another file"));
        FileTree.WriteFile(At("../other"), 300_000, seed: 9);
        File.SetLastWriteTimeUtc(At("../other"), time);
        File.Move(At("../other"), At("g is another file"), overwrite: true);
        File.Delete(At("h is a link"));
        File.CreateSymbolicLink(At("h is a link"), "y");
        File.Delete(At("i is a pipe"));
        Run("mkfifo", At("i is a pipe"));
    }

    /// <summary>The files told as failed, by path, with the error's kind.</summary>
    private static (string Path, string Kind)[] Errors(FastShareProcess process) =>
    [
        .. process.Events.Where(e => e.GetProperty("event").GetString() == "error")
            .Select(e => (e.GetProperty("path").GetString()!, e.GetProperty("kind").GetString()!)).OrderBy(error => error.Item1, StringComparer.Ordinal),
    ];

    /// <summary>Starts the command so that file permissions bind it, even where these tests run as root.</summary>
    private FastShareProcess StartBound(string[] arguments)
    {
        if (!Environment.IsPrivilegedProcess) return FastShareProcess.Start(_folder, arguments);
        const string Drop = "-dac_override,-dac_read_search";
        return FastShareProcess.StartProgram(
            _folder, "setpriv", ["--bounding-set=" + Drop, "--inh-caps=" + Drop, "--", FastShareProcess.Path, .. arguments]);
    }

    private static void Link(string file, string name) => Run("ln", file, name);

    private static void Run(string program, params string[] arguments)
    {
        using var process = System.Diagnostics.Process.Start(program, arguments);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }

    public void Dispose() => _folder.Dispose();
}
