using System.Diagnostics;
using System.Text.Json;
using FastShare.EndToEnd.Tests.Processes;

namespace FastShare.EndToEnd.Tests.Commands;

public sealed class DemoTests : IDisposable
{
    private readonly TestFolder _folder = new();

    [Fact]
    public async Task Six_transfers_queued_at_once_take_one_dial_and_arrive()
    {
        await using FastShareProcess demo = await FastShareProcess.RunAsync(_folder, "demo", "--size", "32MiB", "--json");
        Assert.True(demo.ExitCode == 0, demo.ToString());
        JsonElement completed = await demo.WaitForEventAsync("completed");
        Assert.Equal(1, completed.GetProperty("dials").GetInt32());
        Assert.Equal(6, completed.GetProperty("files").GetInt64());
        JsonElement[] verified = [.. demo.Events.Where(e => e.GetProperty("event").GetString() == "verified")];
        Assert.Equal(6, verified.Length);
        Assert.All(verified, e => Assert.True(e.GetProperty("matches").GetBoolean()));
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder.Temporary));
    }

    [Fact]
    public async Task Says_how_the_receiver_was_found()
    {
        await using FastShareProcess demo = await FastShareProcess.RunAsync(_folder, "demo", "--size", "1MiB");
        Assert.True(demo.ExitCode == 0, demo.ToString());
        Assert.Contains(demo.Lines, line => line.StartsWith("Found by mdns ", StringComparison.Ordinal));
        Assert.Contains("Dials: 1, shared by all transfers", demo.Lines);
        Assert.Contains("All 6 SHA-256 digests match.", demo.Lines);
    }

    [Fact]
    public async Task Works_without_mdns_and_keeps_the_files_where_told()
    {
        await using FastShareProcess demo = await FastShareProcess.RunAsync(
            _folder, "demo", "--size", "1MiB", "--no-mdns", "--dir", "kept");
        Assert.True(demo.ExitCode == 0, demo.ToString());
        FileTree.AssertEqual(_folder["kept/sent"], _folder["kept/received"]);
        await using FastShareProcess again = await FastShareProcess.RunAsync(
            _folder, "demo", "--size", "1MiB", "--no-mdns", "--dir", "kept");
        Assert.True(again.ExitCode == 6, again.ToString());
    }

    [Fact]
    public async Task Interrupted_demonstration_removes_what_it_made()
    {
        await using FastShareProcess demo = FastShareProcess.Start(_folder, "demo", "--size", "64MiB");
        int receiver = await ReceiverAsync(demo);
        demo.Interrupt();
        Assert.True(await demo.WaitForExitAsync() == 130, demo.ToString());
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder.Temporary));
        await AssertEndsAsync(receiver);
    }

    [Fact]
    public async Task Receiver_ends_when_the_demonstration_is_killed()
    {
        await using FastShareProcess demo = FastShareProcess.Start(_folder, "demo", "--size", "64MiB");
        int receiver = await ReceiverAsync(demo);
        await demo.KillAsync();
        await AssertEndsAsync(receiver);
    }

    // From the line "Receiver: process N, peer …".
    private static async Task<int> ReceiverAsync(FastShareProcess demo)
    {
        const string Start = "Receiver: process ";
        string line = await demo.WaitForLineAsync(text => text.StartsWith(Start, StringComparison.Ordinal));
        return int.Parse(line[Start.Length..].Split(',')[0], System.Globalization.CultureInfo.InvariantCulture);
    }

    private static async Task AssertEndsAsync(int process)
    {
        try
        {
            using var running = Process.GetProcessById(process);
            await running.WaitForExitAsync().WaitAsync(FastShareProcess.HangLimit);
        }
        catch (ArgumentException)
        {
            // it has ended already
        }
    }

    public void Dispose() => _folder.Dispose();
}
