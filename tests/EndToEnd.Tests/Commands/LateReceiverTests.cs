using System.Text.Json;
using FastShare.EndToEnd.Tests.Processes;

namespace FastShare.EndToEnd.Tests.Commands;

/// <summary>Files are queued for a peer that is not there yet, and delivered when discovery finds it.</summary>
public sealed class LateReceiverTests : IDisposable
{
    private readonly TestFolder _folder = new();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Files_for_a_peer_that_comes_later_are_delivered_over_one_dial_as_soon_as_it_is_there(bool byName)
    {
        string file = FileTree.WriteFile(_folder["file.bin"], 3_000_000), other = FileTree.WriteFile(_folder["other.bin"], 10, seed: 2);
        string name = $"late-{Guid.NewGuid():N}";
        string[] receiving = [.. ReceivingNode.ByMdns.Except(["--ephemeral"]), "--identity", _folder["late.key"], "--name", name, "--once", "--yes"];
        await using FastShareProcess id = await FastShareProcess.RunAsync(_folder, "id", "--json", "--identity", _folder["late.key"]);
        string peer = id.Events[0].GetProperty("peer").GetString()!;
        await using FastShareProcess sender = FastShareProcess.Start(
            _folder, ["send", file, other, "--to", byName ? name : peer, "--wait", "50s", .. ReceivingNode.ByMdns]);
        await sender.WaitForEventAsync("listening");

        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", receiving);
        Assert.True(await sender.WaitForExitAsync() == 0, sender.ToString());
        Assert.True(await receiver.Process.WaitForExitAsync() == 0, receiver.Process.ToString());
        FileTree.AssertSameContent(file, _folder["in/file.bin"]);
        FileTree.AssertSameContent(other, _folder["in/other.bin"]);
        Assert.Equal(1, (await sender.WaitForEventAsync("completed")).GetProperty("dials").GetInt32());
        Assert.Single(sender.Events, e => IsAbout(e, "dialing", peer));
        Assert.Single(sender.Events, e => IsAbout(e, "connected", peer));
    }

    [Fact]
    public async Task A_peer_that_does_not_come_is_told_when_the_wait_is_over()
    {
        string file = FileTree.WriteFile(_folder["file.bin"], 10);
        await using FastShareProcess sender = await FastShareProcess.RunAsync(
            _folder, ["send", file, "--to", $"never-{Guid.NewGuid():N}", "--wait", "300ms", .. ReceivingNode.ByMdns]);
        Assert.True(sender.ExitCode == 3, sender.ToString());
        Assert.Equal("peerNotReachable", (await sender.WaitForEventAsync("error")).GetProperty("kind").GetString());
    }

    public void Dispose() => _folder.Dispose();

    private static bool IsAbout(JsonElement e, string kind, string peer) =>
        e.GetProperty("event").GetString() == kind && e.GetProperty("peer").GetString() == peer;
}
