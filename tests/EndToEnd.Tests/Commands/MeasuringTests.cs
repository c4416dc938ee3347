using System.Text.Json;
using FastShare.EndToEnd.Tests.Processes;

namespace FastShare.EndToEnd.Tests.Commands;

public sealed class MeasuringTests : IDisposable
{
    private readonly TestFolder _folder = new();

    [Fact]
    public async Task Ping_reports_each_echo()
    {
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ReceivingNode.ByAddress);
        await using FastShareProcess ping = await FastShareProcess.RunAsync(
            _folder, ["ping", receiver.Address, "--count", "2", "--json", "--ephemeral", "--no-mdns"]);
        Assert.True(ping.ExitCode == 0, ping.ToString());
        JsonElement[] echoes = [.. ping.Events.Where(e => e.GetProperty("event").GetString() == "ping")];
        Assert.Equal([1, 2], echoes.Select(e => e.GetProperty("sequence").GetInt32()));
        Assert.All(echoes, e => Assert.True(e.GetProperty("rttMs").GetDouble() > 0));
    }

    [Fact]
    public async Task Ping_of_a_peer_that_is_not_there_ends_with_3()
    {
        await using FastShareProcess ping = await FastShareProcess.RunAsync(
            _folder,
            "ping", "/ip4/127.0.0.1/tcp/9/p2p/12D3KooWGRUbA5pSNDXg4kKLUUuqgzEgNDMRYVTyuRoT9MnSNCZz",
            "--wait", "300ms", "--ephemeral", "--no-mdns");
        Assert.True(ping.ExitCode == 3, ping.ToString());
    }

    [Fact]
    public async Task Perf_moves_the_bytes_asked_for_in_both_directions()
    {
        await using FastShareProcess listener = FastShareProcess.Start(_folder, ["perf", "listen", .. ReceivingNode.ByAddress]);
        string address = (await listener.WaitForEventAsync("listening")).GetProperty("addresses")[0].GetString()!;
        await using FastShareProcess perf = await FastShareProcess.RunAsync(
            _folder, ["perf", address, "--upload-bytes", "3MB", "--download-bytes", "2MB", .. ReceivingNode.ByAddress]);
        Assert.True(perf.ExitCode == 0, perf.ToString());
        JsonElement measured = await perf.WaitForEventAsync("perf");
        Assert.Equal(3_000_000, measured.GetProperty("uploadBytes").GetInt64());
        Assert.Equal(2_000_000, measured.GetProperty("downloadBytes").GetInt64());
        Assert.Equal(5_000_000, (await perf.WaitForEventAsync("completed")).GetProperty("bytes").GetInt64());
        listener.Interrupt();
        Assert.Equal(130, await listener.WaitForExitAsync());
    }

    [Fact]
    public async Task Perf_ends_after_its_duration()
    {
        await using FastShareProcess listener = FastShareProcess.Start(_folder, ["perf", "listen", .. ReceivingNode.ByAddress]);
        string address = (await listener.WaitForEventAsync("listening")).GetProperty("addresses")[0].GetString()!;
        await using FastShareProcess perf = await FastShareProcess.RunAsync(
            _folder, ["perf", address, "--duration", "300ms", .. ReceivingNode.ByAddress]);
        Assert.True(perf.ExitCode == 0, perf.ToString());
        JsonElement measured = await perf.WaitForEventAsync("perf");
        // how much moves in that time is not promised
        Assert.InRange(measured.GetProperty("uploadSeconds").GetDouble(), 0.3, FastShareProcess.HangLimit.TotalSeconds);
        Assert.InRange(measured.GetProperty("downloadSeconds").GetDouble(), 0.3, FastShareProcess.HangLimit.TotalSeconds);
    }

    [Fact]
    public async Task Bench_measures_both_directions_over_one_connection_and_several_and_names_what_limits_them()
    {
        string file = System.IO.Path.Combine(_folder.Path, "file");
        await File.WriteAllBytesAsync(file, new byte[3 << 20], TestContext.Current.CancellationToken);
        await using FastShareProcess listener = FastShareProcess.Start(_folder, ["perf", "listen", .. ReceivingNode.ByAddress]);
        string address = (await listener.WaitForEventAsync("listening")).GetProperty("addresses")[0].GetString()!;
        await using FastShareProcess bench = await FastShareProcess.RunAsync(
            _folder, ["bench", "--to", address, "--size", "8MB", "--seconds", "10s", "--connections", "3", "--file", file, .. ReceivingNode.ByAddress]);
        Assert.True(bench.ExitCode == 0, bench.ToString());
        JsonElement measured = await bench.WaitForEventAsync("bench");
        (string?, int)[] runs =
        [
            .. measured.GetProperty("runs").EnumerateArray().Select(
                run => (run.GetProperty("direction").GetString(), run.GetProperty("connections").GetInt32())),
        ];
        Assert.Equal([("download", 1), ("download", 3), ("upload", 1), ("upload", 3)], runs);
        foreach (JsonElement run in measured.GetProperty("runs").EnumerateArray())
        {
            Assert.InRange(run.GetProperty("bytes").GetInt64(), 1, 8_000_000);
            Assert.True(run.GetProperty("bytesPerSecond").GetDouble() > 0);
            Assert.InRange(run.GetProperty("waitingForPath").GetDouble(), 0, 1);
        }

        foreach (string figure in new[] { "rttMs", "hashBytesPerSecond", "cipherBytesPerSecond", "diskBytesPerSecond" })
            Assert.True(measured.GetProperty(figure).GetDouble() > 0, figure);
        foreach (string direction in new[] { "sending", "receiving" })
        {
            JsonElement limit = measured.GetProperty(direction)[0];
            Assert.NotEmpty(limit.GetProperty("bottleneck").GetString()!);
            Assert.NotEmpty(limit.GetProperty("why").GetString()!);
            Assert.NotEmpty(limit.GetProperty("advice").GetString()!);
        }
    }

    [Fact]
    public async Task Bench_against_a_node_that_does_not_serve_perf_says_what_to_start_there()
    {
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ReceivingNode.ByAddress);
        await using FastShareProcess bench = await FastShareProcess.RunAsync(
            _folder, "bench", "--to", receiver.Address, "--ephemeral", "--no-mdns");
        Assert.True(bench.ExitCode == 1, bench.ToString());
        Assert.Contains("fastshare perf listen", bench.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Bench_without_a_peer_measures_this_machine_with_a_second_process()
    {
        await using FastShareProcess bench = await FastShareProcess.RunAsync(
            _folder, "bench", "--size", "4MB", "--seconds", "10s", "--ephemeral", "--no-mdns");
        Assert.True(bench.ExitCode == 0, bench.ToString());
        Assert.Equal(2, bench.Lines.Count(line => line.StartsWith("download ", StringComparison.Ordinal)));
        Assert.Equal(2, bench.Lines.Count(line => line.StartsWith("upload ", StringComparison.Ordinal)));
        Assert.Single(bench.Lines, line => line.StartsWith("Sending", StringComparison.Ordinal));
        Assert.Single(bench.Lines, line => line.StartsWith("Receiving", StringComparison.Ordinal));
        Assert.Contains(bench.Lines, line => line.StartsWith("  -> ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Bench_of_files_that_are_not_there_ends_with_6()
    {
        await using FastShareProcess bench = await FastShareProcess.RunAsync(
            _folder, "bench", "--to", "/ip4/127.0.0.1/tcp/9/p2p/12D3KooWGRUbA5pSNDXg4kKLUUuqgzEgNDMRYVTyuRoT9MnSNCZz",
            "--file", "nothing-here", "--ephemeral", "--no-mdns");
        Assert.True(bench.ExitCode == 6, bench.ToString());
    }

    [Fact]
    public async Task Peers_lists_the_nodes_on_the_loopback_interface_with_their_names()
    {
        string name = $"node-{Guid.NewGuid():N}";
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ["--name", name, .. ReceivingNode.ByMdns]);
        await using FastShareProcess peers = await FastShareProcess.RunAsync(
            _folder, "peers", "--seconds", "2", "--json", "--ephemeral", "--interface", "lo");
        Assert.True(peers.ExitCode == 0, peers.ToString());
        JsonElement row = await peers.WaitForEventAsync("peer", e => e.GetProperty("peer").GetString() == receiver.Peer);
        Assert.Equal(name, row.GetProperty("name").GetString());
        Assert.True(row.GetProperty("rttMs").GetDouble() > 0);
        Assert.StartsWith("/ip4/127.0.0.1/tcp/", row.GetProperty("addresses")[0].GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Watching_peers_tells_of_one_that_comes_and_goes()
    {
        await using FastShareProcess peers = FastShareProcess.Start(
            _folder, "peers", "--watch", "--json", "--ephemeral", "--interface", "lo");
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ReceivingNode.ByMdns);
        await peers.WaitForEventAsync("peerFound", e => e.GetProperty("peer").GetString() == receiver.Peer);
        receiver.Process.Interrupt();
        await receiver.Process.WaitForExitAsync();
        await peers.WaitForEventAsync("peerExpired", e => e.GetProperty("peer").GetString() == receiver.Peer);
        peers.Interrupt();
        Assert.Equal(130, await peers.WaitForExitAsync());
    }

    public void Dispose() => _folder.Dispose();
}
