using FastShare.EndToEnd.Tests.Processes;

namespace FastShare.EndToEnd.Tests.Commands;

/// <summary>Peers that were met before, and those that pretend to be one.</summary>
public sealed class KnownPeersTests : IDisposable
{
    private static readonly string[] _local = ["--ephemeral", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"];

    private readonly TestFolder _folder = new();

    [Fact]
    public async Task Peer_once_taken_for_always_is_not_asked_about_in_a_later_run()
    {
        string first = FileTree.WriteFile(_folder["first.bin"], 1000), second = FileTree.WriteFile(_folder["second.bin"], 1000);
        await using (FastShareProcess receiver = FastShareProcess.StartOnTerminal(_folder, ["receive", "in", "--once", .. _local]))
        {
            await using FastShareProcess sender = FastShareProcess.Start(
                _folder, ["send", first, "--to", await TerminalTests.AddressAsync(receiver), "--name", "laptop", .. ReceivingNode.Known]);
            await TerminalTests.AnswerAsync(receiver, sender, "a");
            Assert.True(await sender.WaitForExitAsync() == 0, $"{sender}\n{receiver}");
            Assert.Equal(0, await receiver.WaitForExitAsync());
        }

        await using ReceivingNode again = await ReceivingNode.StartAsync(_folder, "in", ReceivingNode.ByAddress);
        await using FastShareProcess next = await FastShareProcess.RunAsync(
            _folder, ["send", second, "--to", again.Address, "--name", "laptop", .. ReceivingNode.Known]);
        Assert.True(next.ExitCode == 0, $"{next}\n{again.Process}");
        await using FastShareProcess stranger = await FastShareProcess.RunAsync(
            _folder, ["send", second, "--to", again.Address, .. ReceivingNode.ByAddress]);
        Assert.Equal(4, stranger.ExitCode);
    }

    [Fact]
    public async Task Known_name_with_another_key_is_an_alarm_for_the_receiver()
    {
        string file = FileTree.WriteFile(_folder["file.bin"], 1000);
        await using FastShareProcess receiver = FastShareProcess.StartOnTerminal(_folder, ["receive", "in", .. _local]);
        string address = await TerminalTests.AddressAsync(receiver);
        await using (FastShareProcess sender = FastShareProcess.Start(
            _folder, ["send", file, "--to", address, "--name", "laptop", .. ReceivingNode.ByAddress]))
        {
            await TerminalTests.AnswerAsync(receiver, sender, "y");
            Assert.True(await sender.WaitForExitAsync() == 0, $"{sender}\n{receiver}");
        }

        string other = FileTree.WriteFile(_folder["other.bin"], 1000);
        await using FastShareProcess impostor = FastShareProcess.Start(
            _folder, ["send", other, "--to", address, "--name", "Laptop", .. ReceivingNode.ByAddress]);
        await receiver.WaitForLineAsync(line => line.Contains("WARNING: this 'Laptop' has the key", StringComparison.Ordinal));
        await TerminalTests.AnswerAsync(receiver, impostor, "n");
        Assert.Equal(4, await impostor.WaitForExitAsync());
    }

    [Fact]
    public async Task Known_name_with_another_key_is_not_sent_to()
    {
        string file = FileTree.WriteFile(_folder["file.bin"], 1000), name = $"node-{Guid.NewGuid():N}";
        await using FastShareProcess id = await FastShareProcess.RunAsync(_folder, ["id", "--json"]);
        string real = id.Events.Single().GetProperty("peer").GetString()!;
        await using FastShareProcess trust = await FastShareProcess.RunAsync(_folder, ["known", "trust", real, "--name", name]);
        Assert.Equal(0, trust.ExitCode);
        await using ReceivingNode impostor = await ReceivingNode.StartAsync(
            _folder, "in", ["--yes", "--name", name, .. ReceivingNode.ByMdns]);
        await using FastShareProcess sender = await FastShareProcess.RunAsync(_folder, ["send", file, "--to", name, .. ReceivingNode.ByMdns]);
        Assert.True(sender.ExitCode == 3, sender.ToString());
        string message = sender.Events.Single(e => e.GetProperty("event").GetString() == "error").GetProperty("message").GetString()!;
        Assert.Contains(impostor.Peer, message, StringComparison.Ordinal);
        Assert.Contains($"fastshare known forget {real}", message, StringComparison.Ordinal);
        Assert.False(Path.Exists(_folder["in/file.bin"]));
    }

    [Fact]
    public async Task Name_is_bound_to_the_key_it_was_first_sent_to()
    {
        string file = FileTree.WriteFile(_folder["file.bin"], 1000), name = $"node-{Guid.NewGuid():N}";
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(
            _folder, "in", ["--yes", "--name", name, .. ReceivingNode.ByMdns]);
        await using FastShareProcess sender = await FastShareProcess.RunAsync(_folder, ["send", file, "--to", name, .. ReceivingNode.ByMdns]);
        Assert.True(sender.ExitCode == 0, sender.ToString());
        await using FastShareProcess known = await FastShareProcess.RunAsync(_folder, ["known", "--json"]);
        Assert.Equal((receiver.Peer, name, false), known.Events.Select(e => (
            e.GetProperty("peer").GetString()!, e.GetProperty("name").GetString()!, e.GetProperty("trusted").GetBoolean())).Single());
    }

    [Theory]
    [InlineData("n", 130)]
    [InlineData("y", 0)]
    public async Task Person_is_asked_before_the_first_send_to_a_name(string answer, int code)
    {
        string file = FileTree.WriteFile(_folder["file.bin"], 1000), name = $"node-{Guid.NewGuid():N}";
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(
            _folder, "in", ["--yes", "--name", name, .. ReceivingNode.ByMdns]);
        await using FastShareProcess sender = FastShareProcess.StartOnTerminal(
            _folder, ["send", file, "--to", name, .. ReceivingNode.ByMdns.Except(["--json"])]);
        await sender.WaitForLineAsync(line => line.Contains(receiver.Peer, StringComparison.Ordinal));
        await TerminalTests.AnswerAsync(sender, sender, answer);
        Assert.True(sender.ExitCode == code, sender.ToString());
        Assert.Equal(code == 0, Path.Exists(_folder["in/file.bin"]));
    }

    [Fact]
    public async Task Known_peers_are_listed_trusted_and_forgotten()
    {
        await using FastShareProcess id = await FastShareProcess.RunAsync(_folder, ["id", "--json"]);
        string peer = id.Events.Single().GetProperty("peer").GetString()!;
        Assert.Equal(0, await ExitAsync("known"));
        Assert.Equal(0, await ExitAsync("known", "trust", peer, "--name", "my laptop"));
        Assert.Equal(3, await ExitAsync("known", "trust", "nobody"));
        await using FastShareProcess list = await FastShareProcess.RunAsync(_folder, ["known", "--json"]);
        Assert.True(list.Events.Single().GetProperty("trusted").GetBoolean());
        Assert.Equal(0, await ExitAsync("known", "forget", "MY LAPTOP"));
        Assert.Equal(3, await ExitAsync("known", "forget", "my laptop"));
        await using FastShareProcess empty = await FastShareProcess.RunAsync(_folder, ["known", "--json"]);
        Assert.Empty(empty.Events);
    }

    public void Dispose() => _folder.Dispose();

    private async Task<int?> ExitAsync(params string[] arguments)
    {
        await using FastShareProcess process = await FastShareProcess.RunAsync(_folder, arguments);
        return process.ExitCode;
    }
}
