using System.Text.Json;
using FastShare.EndToEnd.Tests.Processes;

namespace FastShare.EndToEnd.Tests.Commands;

public sealed class TransferTests : IDisposable
{
    private readonly TestFolder _folder = new();

    [Fact]
    public async Task Tree_sent_to_an_address_arrives_equal()
    {
        string tree = FileTree.Write(_folder["tree"]);
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ["--yes", "--once", .. ReceivingNode.ByAddress]);
        await using FastShareProcess sender = await FastShareProcess.RunAsync(
            _folder, ["send", tree, "--to", receiver.Address, .. ReceivingNode.ByAddress]);

        Assert.True(sender.ExitCode == 0, sender.ToString());
        Assert.Equal(0, await receiver.Process.WaitForExitAsync());
        FileTree.AssertEqual(tree, _folder["in/tree"]);
        Assert.Equal(["tree"], Directory.EnumerateFileSystemEntries(_folder["in"]).Select(Path.GetFileName));
    }

    [Fact]
    public async Task Both_sides_tell_where_the_time_went_before_they_are_done()
    {
        const int Bytes = 3_000_000;
        string file = FileTree.WriteFile(_folder["file.bin"], Bytes);
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ["--yes", "--once", .. ReceivingNode.ByAddress]);
        await using FastShareProcess sender = await FastShareProcess.RunAsync(
            _folder, ["send", file, "--to", receiver.Address, .. ReceivingNode.ByAddress]);
        Assert.True(sender.ExitCode == 0, sender.ToString());
        Assert.Equal(0, await receiver.Process.WaitForExitAsync());
        AssertTold(sender, "send", ["reading", "hashing", "sending"], ["sealing", "socketSending"]);
        AssertTold(receiver.Process, "receive", ["storing"], ["socketReceiving", "opening"]);

        static void AssertTold(FastShareProcess process, string direction, string[] exact, string[] atLeast)
        {
            string[] order = [.. process.Events.Select(e => e.GetProperty("event").GetString()!)];
            Assert.Equal(order.IndexOf("completed"), order.IndexOf("statistics") + 1);
            JsonElement told = process.Events[order.IndexOf("statistics")];
            Assert.Equal(direction, told.GetProperty("direction").GetString());
            Dictionary<string, long> bytes = told.GetProperty("stages").EnumerateArray().ToDictionary(
                stage => stage.GetProperty("stage").GetString()!, stage => stage.GetProperty("bytes").GetInt64());
            Assert.All(exact, stage => Assert.Equal(Bytes, bytes[stage]));
            Assert.All(atLeast, stage => Assert.InRange(bytes[stage], Bytes, Bytes + 200_000));
            Assert.InRange(told.GetProperty("allocatedBytes").GetInt64(), 1, 1 << 30);
            Assert.True(told.GetProperty("processorSeconds").GetDouble() > 0);
        }
    }

    [Fact]
    public async Task Verbose_says_where_the_time_went()
    {
        string file = FileTree.WriteFile(_folder["file.bin"], 100_000);
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ["--yes", "--once", .. ReceivingNode.ByAddress]);
        await using FastShareProcess sender = await FastShareProcess.RunAsync(
            _folder, "send", file, "--to", receiver.Address, "--verbose", "--ephemeral", "--no-mdns");
        Assert.True(sender.ExitCode == 0, sender.ToString());
        Assert.Matches(@"(?m)^send reading +\d+\.\d{3} s  97\.7 KiB$", sender.Errors);
        Assert.Matches(@"(?m)^send processor +\d+\.\d{3} s, .* allocated, \d+ collections?$", sender.Errors);
    }

    [Fact]
    public async Task Several_paths_arrive_under_their_last_names()
    {
        string one = FileTree.WriteFile(_folder["a/one.bin"], 100_000), two = FileTree.WriteFile(_folder["b/two.bin"], 5, seed: 2);
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ["--yes", .. ReceivingNode.ByAddress]);
        await using FastShareProcess sender = await FastShareProcess.RunAsync(
            _folder, ["send", one, two, "--to", receiver.Address, "--mode", "parallel", "--streams", "2", .. ReceivingNode.ByAddress]);

        Assert.True(sender.ExitCode == 0, sender.ToString());
        FileTree.AssertSameContent(one, _folder["in/one.bin"]);
        FileTree.AssertSameContent(two, _folder["in/two.bin"]);
    }

    [Fact]
    public async Task Peer_id_is_found_by_mdns_on_the_loopback_interface()
    {
        string file = FileTree.WriteFile(_folder["file.bin"], 100_000);
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ["--yes", .. ReceivingNode.ByMdns]);
        await using FastShareProcess sender = await FastShareProcess.RunAsync(
            _folder, ["send", file, "--to", receiver.Peer, .. ReceivingNode.ByMdns]);

        Assert.True(sender.ExitCode == 0, sender.ToString());
        FileTree.AssertSameContent(file, _folder["in/file.bin"]);
        Assert.Contains(
            sender.Events, e => e.GetProperty("event").GetString() == "peerFound" && e.GetProperty("peer").GetString() == receiver.Peer);
    }

    [Fact]
    public async Task Name_is_found_by_mdns_on_the_loopback_interface()
    {
        string file = FileTree.WriteFile(_folder["file.bin"], 100_000), name = $"node-{Guid.NewGuid():N}";
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(
            _folder, "in", ["--yes", "--name", name, .. ReceivingNode.ByMdns]);
        await using FastShareProcess sender = await FastShareProcess.RunAsync(
            _folder, ["send", file, "--to", name, .. ReceivingNode.ByMdns]);

        Assert.True(sender.ExitCode == 0, sender.ToString());
        FileTree.AssertSameContent(file, _folder["in/file.bin"]);
    }

    [Fact]
    public async Task Offer_without_consent_is_refused_and_nothing_is_written()
    {
        string file = FileTree.WriteFile(_folder["file.bin"], 1000);
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ReceivingNode.ByAddress);
        await using FastShareProcess sender = await FastShareProcess.RunAsync(
            _folder, ["send", file, "--to", receiver.Address, .. ReceivingNode.ByAddress]);

        Assert.Equal(4, sender.ExitCode);
        JsonElement error = await sender.WaitForEventAsync("error");
        Assert.Equal("refused", error.GetProperty("kind").GetString());
        Assert.Equal(receiver.Peer, error.GetProperty("peer").GetString());
        Assert.Contains("start 'fastshare receive' with --trust 12D3KooW", error.GetProperty("message").GetString(), StringComparison.Ordinal);
        Assert.Equal("refused", (await receiver.Process.WaitForEventAsync("error")).GetProperty("kind").GetString());
        Assert.False(Path.Exists(_folder["in"]));
    }

    [Fact]
    public async Task Trusted_peer_is_taken_and_another_is_refused()
    {
        string file = FileTree.WriteFile(_folder["file.bin"], 1000);
        string[] known = ["--identity", _folder["known.key"], "--json", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"];
        await using FastShareProcess id = await FastShareProcess.RunAsync(_folder, ["id", .. known]);
        string peer = id.Events[0].GetProperty("peer").GetString()!;
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(
            _folder, "in", ["--trust", peer, "--once", .. ReceivingNode.ByAddress]);

        await using FastShareProcess stranger = await FastShareProcess.RunAsync(
            _folder, ["send", file, "--to", receiver.Address, .. ReceivingNode.ByAddress]);
        Assert.Equal(4, stranger.ExitCode);

        // a refused offer did not use up --once
        await using FastShareProcess sender = await FastShareProcess.RunAsync(_folder, ["send", file, "--to", receiver.Address, .. known]);
        Assert.True(sender.ExitCode == 0, sender.ToString());
        Assert.Equal(0, await receiver.Process.WaitForExitAsync());
        FileTree.AssertSameContent(file, _folder["in/file.bin"]);
    }

    [Fact]
    public async Task Existing_file_is_kept_unless_replacing_is_asked_for()
    {
        string file = FileTree.WriteFile(_folder["file.bin"], 1000);
        string there = FileTree.WriteFile(_folder["in/file.bin"], 10, seed: 2);
        byte[] before = await File.ReadAllBytesAsync(there);
        await using (ReceivingNode keeping = await ReceivingNode.StartAsync(_folder, "in", ["--yes", "--once", .. ReceivingNode.ByAddress]))
        {
            await using FastShareProcess sender = await FastShareProcess.RunAsync(
                _folder, ["send", file, "--to", keeping.Address, .. ReceivingNode.ByAddress]);
            Assert.True(sender.ExitCode == 6, sender.ToString());
            Assert.Equal(6, await keeping.Process.WaitForExitAsync());
            Assert.Equal(before, await File.ReadAllBytesAsync(there));
        }

        await using ReceivingNode replacing = await ReceivingNode.StartAsync(
            _folder, "in", ["--yes", "--replace", .. ReceivingNode.ByAddress]);
        await using FastShareProcess again = await FastShareProcess.RunAsync(
            _folder, ["send", file, "--to", replacing.Address, .. ReceivingNode.ByAddress]);
        Assert.True(again.ExitCode == 0, again.ToString());
        FileTree.AssertSameContent(file, there);
    }

    [Fact]
    public async Task Offer_above_the_quota_is_refused()
    {
        string file = FileTree.WriteFile(_folder["file.bin"], 100_001);
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(
            _folder, "in", ["--yes", "--quota", "100kB", .. ReceivingNode.ByAddress]);
        await using FastShareProcess sender = await FastShareProcess.RunAsync(
            _folder, ["send", file, "--to", receiver.Address, .. ReceivingNode.ByAddress]);

        Assert.True(sender.ExitCode is 4 or 6, sender.ToString());
        Assert.Empty(FileTree.Published(_folder["in"]));
    }

    [Fact]
    public async Task Plaintext_needs_both_sides_and_warns_on_each_run()
    {
        string file = FileTree.WriteFile(_folder["file.bin"], 1000);
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(
            _folder, "in", ["--yes", "--insecure", .. ReceivingNode.ByAddress]);
        await using FastShareProcess secure = await FastShareProcess.RunAsync(
            _folder, ["send", file, "--to", receiver.Address, "--wait", "1s", .. ReceivingNode.ByAddress]);
        Assert.True(secure.ExitCode == 3, secure.ToString());

        await using FastShareProcess insecure = await FastShareProcess.RunAsync(
            _folder, ["send", file, "--to", receiver.Address, "--insecure", .. ReceivingNode.ByAddress]);
        Assert.True(insecure.ExitCode == 0, insecure.ToString());
        Assert.Contains("WARNING: --insecure", insecure.Errors, StringComparison.Ordinal);
        Assert.Contains("WARNING: --insecure", receiver.Process.Errors, StringComparison.Ordinal);
        FileTree.AssertSameContent(file, _folder["in/file.bin"]);
    }

    [Theory]
    [InlineData("12D3KooWGRUbA5pSNDXg4kKLUUuqgzEgNDMRYVTyuRoT9MnSNCZz")]
    [InlineData("/ip4/127.0.0.1/tcp/9/p2p/12D3KooWGRUbA5pSNDXg4kKLUUuqgzEgNDMRYVTyuRoT9MnSNCZz")]
    [InlineData("nobody-is-called-this")]
    public async Task Peer_that_does_not_appear_is_reported_as_not_reachable(string peer)
    {
        string file = FileTree.WriteFile(_folder["file.bin"], 10);
        await using FastShareProcess sender = await FastShareProcess.RunAsync(
            _folder, ["send", file, "--to", peer, "--wait", "300ms", .. ReceivingNode.ByMdns]);
        Assert.True(sender.ExitCode == 3, sender.ToString());
        Assert.Equal("peerNotReachable", (await sender.WaitForEventAsync("error")).GetProperty("kind").GetString());
    }

    [Fact]
    public async Task Missing_source_is_reported_before_the_peer_is_looked_for()
    {
        await using FastShareProcess sender = await FastShareProcess.RunAsync(
            _folder, ["send", "missing", "--to", "nobody", .. ReceivingNode.ByAddress]);
        Assert.True(sender.ExitCode == 6, sender.ToString());
        Assert.Equal("missing", (await sender.WaitForEventAsync("error")).GetProperty("path").GetString());
    }

    [Fact]
    public async Task Plain_output_tells_what_to_type_and_ends_when_told()
    {
        string file = FileTree.WriteFile(_folder["file.bin"], 1000);
        await using FastShareProcess receiver = FastShareProcess.Start(
            _folder, "receive", "in", "--yes", "--once", "--ephemeral", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0");
        string typed = await receiver.WaitForLineAsync(
            line => line.StartsWith("  fastshare send FILE --to /ip4/127.0.0.1/tcp/", StringComparison.Ordinal));
        await using FastShareProcess sender = await FastShareProcess.RunAsync(
            _folder, "send", file, "--to", typed.Split(' ')[^1], "--ephemeral", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0");

        Assert.True(sender.ExitCode == 0, sender.ToString());
        Assert.Contains(sender.Lines, line => line.StartsWith("Done: 1 file, 1000 B in ", StringComparison.Ordinal));
        Assert.Equal(0, await receiver.WaitForExitAsync());
        Assert.Contains(receiver.Lines, line => line.StartsWith("Done: 1 file, 1000 B in ", StringComparison.Ordinal));
    }

    public void Dispose() => _folder.Dispose();
}
