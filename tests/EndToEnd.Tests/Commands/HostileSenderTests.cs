using System.Text.Json;
using FastShare.EndToEnd.Tests.Processes;
using FastShare.Testing.Transfer;
using FastShare.Transfer;

namespace FastShare.EndToEnd.Tests.Commands;

public sealed class HostileSenderTests : IDisposable
{
    private readonly TestFolder _folder = new();

    [Theory]
    [InlineData("../escaped")]
    [InlineData("/tmp/escaped")]
    [InlineData("a/../../escaped")]
    [InlineData("a\\..\\escaped")]
    [InlineData("CON")]
    [InlineData("file:stream")]
    [InlineData("esc\u001b[2J")]
    public async Task Unsafe_name_refuses_the_whole_manifest_and_ends_with_6(string path)
    {
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ["--yes", "--once", .. ReceivingNode.ByAddress]);
        (_, TransferError reason) = await HostileSender.OfferAsync(receiver.Address, "honest", "innocent", path);
        Assert.Equal(TransferError.UnsafeName, reason);
        Assert.True(await receiver.Process.WaitForExitAsync() == 6, receiver.Process.ToString());
        JsonElement error = await receiver.Process.WaitForEventAsync("error");
        Assert.Equal("unsafeName", error.GetProperty("kind").GetString());
        Assert.DoesNotContain(receiver.Process.Events, e => e.GetProperty("event").GetString() == "offer");
        Assert.Empty(FileTree.Published(_folder["in"]));
    }

    [Fact]
    public async Task Unsafe_name_from_an_unknown_peer_does_not_end_the_receiver()
    {
        string file = FileTree.WriteFile(_folder["file.bin"], 1000);
        string[] known = ["--identity", _folder["known.key"], "--json", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"];
        await using FastShareProcess id = await FastShareProcess.RunAsync(_folder, ["id", .. known]);
        string peer = id.Events[0].GetProperty("peer").GetString()!;
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(
            _folder, "in", ["--trust", peer, "--once", .. ReceivingNode.ByAddress]);
        await HostileSender.OfferAsync(receiver.Address, "honest", "../escaped");

        await using FastShareProcess sender = await FastShareProcess.RunAsync(_folder, ["send", file, "--to", receiver.Address, .. known]);
        Assert.True(sender.ExitCode == 0, sender.ToString());
        Assert.Equal(0, await receiver.Process.WaitForExitAsync());
    }

    [Fact]
    public async Task Names_reach_the_terminal_escaped_and_hidden_ones_are_pointed_out()
    {
        await using FastShareProcess receiver = FastShareProcess.StartOnTerminal(
            _folder, "receive", "in", "--ephemeral", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0");
        string line = await receiver.WaitForLineAsync(text => text.Contains("--to /ip4/127.0.0.1/", StringComparison.Ordinal));
        Task<(string Message, TransferError Reason)> offer = HostileSender.OfferAsync(
            line.Trim().Split(' ')[^1], "\u202eevil", "home/.ssh/authorized_keys", new string('x', 200));
        await receiver.WaitForLineAsync(text => text.Contains("'\\u{202E}evil' (peer ", StringComparison.Ordinal));
        await receiver.WaitForLineAsync(text => text.Contains("Look twice: 1 hidden name", StringComparison.Ordinal));
        await receiver.WaitForLineAsync(text => text.Contains("home/.ssh/authorized_keys", StringComparison.Ordinal));
        await receiver.WaitForLineAsync(text => text.Contains("xxx…xxx", StringComparison.Ordinal) && text.Length < 100);
        while (!offer.IsCompleted)
        {
            await receiver.TypeAsync("n");
            await Task.WhenAny(offer, Task.Delay(100));
        }

        Assert.Equal(("Refuse", TransferError.Refused), await offer);
        Assert.DoesNotContain('\u202e', string.Join('\n', receiver.Lines));
        Assert.False(Path.Exists(_folder["in"]));
    }

    public void Dispose() => _folder.Dispose();
}
