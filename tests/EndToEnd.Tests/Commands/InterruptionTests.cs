using System.Text.Json;
using FastShare.EndToEnd.Tests.Processes;

namespace FastShare.EndToEnd.Tests.Commands;

/// <summary>Either side stopped or killed in the middle of a transfer that a slow link holds up.</summary>
public sealed class InterruptionTests : IDisposable
{
    private const int Rate = 8_000_000;
    private const long Length = 24_000_000;
    private const long Enough = 4_000_000;

    private readonly TestFolder _folder = new();

    [Fact]
    public async Task Interrupted_sender_keeps_state_and_the_same_command_resumes()
    {
        string file = FileTree.WriteFile(_folder["file.bin"], Length);
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ["--yes", .. ReceivingNode.ByAddress]);
        await using (var link = new SlowLink(receiver.Address, Rate, holdsAt: 2 * Enough))
        {
            await using FastShareProcess sender = FastShareProcess.Start(
                _folder, ["send", file, "--to", link.Address, .. ReceivingNode.Known]);
            await UnderWayAsync(receiver.Process);
            sender.Interrupt();
            link.Release();
            Assert.True(await sender.WaitForExitAsync() == 130, sender.ToString());
            JsonElement error = await sender.WaitForEventAsync("error");
            Assert.Equal("cancelled", error.GetProperty("kind").GetString());
            Assert.Contains("run the same command again", error.GetProperty("message").GetString(), StringComparison.Ordinal);
        }

        Assert.Empty(FileTree.Published(_folder["in"]));
        await using FastShareProcess again = await FastShareProcess.RunAsync(
            _folder, ["send", file, "--to", receiver.Address, .. ReceivingNode.Known]);
        Assert.True(again.ExitCode == 0, again.ToString());
        Assert.InRange((await again.WaitForEventAsync("resumed")).GetProperty("bytesAlready").GetInt64(), 1, Length);
        FileTree.AssertSameContent(file, _folder["in/file.bin"]);
        Assert.Equal(["file.bin"], Directory.EnumerateFileSystemEntries(_folder["in"]).Select(Path.GetFileName));
    }

    [Fact]
    public async Task Interrupted_receiver_keeps_state_and_both_commands_resume()
    {
        string file = FileTree.WriteFile(_folder["file.bin"], Length);
        await using (ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ["--yes", .. ReceivingNode.ByAddress]))
        {
            await using var link = new SlowLink(receiver.Address, Rate, holdsAt: 2 * Enough);
            await using FastShareProcess sender = FastShareProcess.Start(
                _folder, ["send", file, "--to", link.Address, .. ReceivingNode.Known]);
            await UnderWayAsync(receiver.Process);
            receiver.Process.Interrupt();
            link.Release();
            Assert.True(await receiver.Process.WaitForExitAsync() == 130, receiver.Process.ToString());
        }

        Assert.Empty(FileTree.Published(_folder["in"]));
        await using ReceivingNode restarted = await ReceivingNode.StartAsync(
            _folder, "in", ["--yes", "--once", .. ReceivingNode.ByAddress]);
        await using FastShareProcess again = await FastShareProcess.RunAsync(
            _folder, ["send", file, "--to", restarted.Address, .. ReceivingNode.Known]);
        Assert.True(again.ExitCode == 0, again.ToString());
        Assert.InRange((await again.WaitForEventAsync("resumed")).GetProperty("bytesAlready").GetInt64(), 1, Length);
        FileTree.AssertSameContent(file, _folder["in/file.bin"]);
        Assert.Equal(0, await restarted.Process.WaitForExitAsync());
    }

    [Fact]
    public async Task Killed_sender_leaves_only_staging_and_the_same_command_finishes()
    {
        string file = FileTree.WriteFile(_folder["file.bin"], Length);
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ["--yes", .. ReceivingNode.ByAddress]);
        await using (var link = new SlowLink(receiver.Address, Rate, holdsAt: 2 * Enough))
        {
            await using FastShareProcess sender = FastShareProcess.Start(
                _folder, ["send", file, "--to", link.Address, .. ReceivingNode.Known]);
            await UnderWayAsync(receiver.Process);
            await sender.KillAsync();
        }

        Assert.Empty(FileTree.Published(_folder["in"]));
        await using FastShareProcess again = await FastShareProcess.RunAsync(
            _folder, ["send", file, "--to", receiver.Address, .. ReceivingNode.Known]);
        Assert.True(again.ExitCode == 0, again.ToString());
        FileTree.AssertSameContent(file, _folder["in/file.bin"]);
    }

    [Fact]
    public async Task Killed_receiver_leaves_only_staging_and_both_commands_finish()
    {
        string file = FileTree.WriteFile(_folder["file.bin"], Length);
        await using (ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ["--yes", .. ReceivingNode.ByAddress]))
        {
            await using var link = new SlowLink(receiver.Address, Rate, holdsAt: 2 * Enough);
            await using FastShareProcess sender = FastShareProcess.Start(
                _folder, ["send", file, "--to", link.Address, .. ReceivingNode.Known]);
            await UnderWayAsync(receiver.Process);
            await receiver.Process.KillAsync();
            await sender.KillAsync();
        }

        Assert.Empty(FileTree.Published(_folder["in"]));
        await using ReceivingNode restarted = await ReceivingNode.StartAsync(_folder, "in", ["--yes", .. ReceivingNode.ByAddress]);
        await using FastShareProcess again = await FastShareProcess.RunAsync(
            _folder, ["send", file, "--to", restarted.Address, .. ReceivingNode.Known]);
        Assert.True(again.ExitCode == 0, again.ToString());
        FileTree.AssertSameContent(file, _folder["in/file.bin"]);
        Assert.Equal(["file.bin"], Directory.EnumerateFileSystemEntries(_folder["in"]).Select(Path.GetFileName));
    }

    [Fact]
    public async Task Idle_receiver_ends_with_130_when_interrupted()
    {
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ReceivingNode.ByAddress);
        receiver.Process.Interrupt();
        Assert.True(await receiver.Process.WaitForExitAsync() == 130, receiver.Process.ToString());
    }

    [Fact]
    public async Task Command_started_in_the_background_of_a_script_is_interrupted_too()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "signals are a Unix matter");
        // such a shell starts background commands with SIGINT ignored; `wait` passes the exit code on
        string script = $"'{FastShareProcess.Path}' peers --watch --json --ephemeral --interface lo & echo $!; wait $!";
        await using FastShareProcess shell = FastShareProcess.StartProgram(_folder, "/bin/sh", "-c", script);
        int id = int.Parse(
            await shell.WaitForLineAsync(line => char.IsAsciiDigit(line[0])), System.Globalization.CultureInfo.InvariantCulture);
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ReceivingNode.ByMdns);
        await shell.WaitForLineAsync(line => line.Contains("peerFound", StringComparison.Ordinal));
        FastShareProcess.Interrupt(id);
        Assert.True(await shell.WaitForExitAsync() == 130, shell.ToString());
    }

    [Fact]
    public async Task Sender_that_waits_for_its_peer_ends_with_130_when_interrupted()
    {
        string file = FileTree.WriteFile(_folder["file.bin"], 10);
        await using FastShareProcess sender = FastShareProcess.Start(
            _folder, ["send", file, "--to", "nobody-is-called-this", .. ReceivingNode.ByMdns]);
        await sender.WaitForEventAsync("listening");
        sender.Interrupt();
        Assert.True(await sender.WaitForExitAsync() == 130, sender.ToString());
    }

    [Fact]
    public async Task Receiver_ends_with_its_standard_input_when_told()
    {
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(
            _folder, "in", ["--exit-with-stdin", .. ReceivingNode.ByAddress]);
        receiver.Process.CloseInput();
        Assert.True(await receiver.Process.WaitForExitAsync() == 130, receiver.Process.ToString());
    }

    // The receiver reports what it verified and wrote.
    private static Task UnderWayAsync(FastShareProcess receiver) =>
        receiver.WaitForEventAsync("progress", e => e.GetProperty("bytes").GetInt64() >= Enough);

    public void Dispose() => _folder.Dispose();
}
