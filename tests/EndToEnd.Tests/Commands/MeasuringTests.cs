using System.Text.Json;
using FastShare.EndToEnd.Tests.Processes;
using FastShare.Testing;
using FastShare.Testing.Transfer;
using FastShare.Transfer;

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
        Assert.True(measured.GetProperty("allocatedBytes").GetInt64() > 0);
        Assert.True((await listener.WaitForEventAsync("served")).GetProperty("allocatedBytes").GetInt64() > 0);
        Assert.Equal(5_000_000, (await perf.WaitForEventAsync("completed")).GetProperty("bytes").GetInt64());
        listener.Interrupt();
        Assert.Equal(130, await listener.WaitForExitAsync());
    }

    [Fact]
    public async Task Perf_with_a_peer_that_does_not_serve_it_says_what_to_start_there()
    {
        await using ReceivingNode receiver = await ReceivingNode.StartAsync(_folder, "in", ReceivingNode.ByAddress);
        await using FastShareProcess perf = await FastShareProcess.RunAsync(_folder, ["perf", receiver.Address, .. ReceivingNode.ByAddress]);
        Assert.True(perf.ExitCode == 1, perf.ToString());
        JsonElement error = await perf.WaitForEventAsync("error");
        Assert.Equal("unsupportedProtocol", error.GetProperty("kind").GetString());
        Assert.Contains("type: fastshare perf listen", error.GetProperty("message").GetString(), StringComparison.Ordinal);
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
        // how much moves in that time is not promised, and the clock starts a moment after the timer
        Assert.InRange(measured.GetProperty("uploadSeconds").GetDouble(), 0.2, FastShareProcess.HangLimit.TotalSeconds);
        Assert.InRange(measured.GetProperty("downloadSeconds").GetDouble(), 0.2, FastShareProcess.HangLimit.TotalSeconds);
    }

    [Fact]
    public async Task Bench_measures_both_directions_over_one_connection_and_several_and_names_what_limits_them()
    {
        string file = Path.Combine(_folder.Path, "file");
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

        // that listener takes no files
        Assert.Equal(JsonValueKind.Null, measured.GetProperty("file").ValueKind);
        Assert.Equal(JsonValueKind.Null, measured.GetProperty("fileToFile").ValueKind);
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
    public async Task Bench_sends_a_file_from_disk_to_disk_tells_the_stages_of_both_sides_and_leaves_nothing()
    {
        string place = Path.Combine(_folder.Path, "place"), report = Path.Combine(_folder.Path, "report.html");
        Directory.CreateDirectory(place);
        await using FastShareProcess bench = await FastShareProcess.RunAsync(
            _folder, ["bench", "--size", "4MB", "--seconds", "10s", "--dir", place, "--report", report, .. ReceivingNode.ByAddress]);
        Assert.True(bench.ExitCode == 0, bench.ToString());
        JsonElement measured = await bench.WaitForEventAsync("bench"), file = measured.GetProperty("file");
        Assert.Equal(4_000_000, file.GetProperty("bytes").GetInt64());
        Assert.True(file.GetProperty("bytesPerSecond").GetDouble() > 0);
        Assert.True(file.GetProperty("sender").GetProperty("reading").GetDouble() > 0);
        Assert.True(file.GetProperty("receiver").GetProperty("storing").GetDouble() > 0);
        Assert.NotEmpty(measured.GetProperty("fileToFile").GetProperty("bottleneck").GetString()!);
        Assert.Empty(measured.GetProperty("others").EnumerateArray());
        Assert.Empty(Directory.EnumerateFileSystemEntries(place));
        string html = await File.ReadAllTextAsync(report, TestContext.Current.CancellationToken);
        Assert.Contains("A file from disk to disk", html, StringComparison.Ordinal);
        Assert.Contains("here: reading", html, StringComparison.Ordinal);
        Assert.DoesNotContain("://", html, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Bench_with_another_node_sends_a_file_only_where_that_is_wanted_and_takes_nothing_else()
    {
        string file = Path.Combine(_folder.Path, "other.bin");
        await File.WriteAllBytesAsync(file, new byte[1000], TestContext.Current.CancellationToken);
        await using FastShareProcess listener = Accepting(out string place);
        string address = await AddressOfAsync(listener);

        await using FastShareProcess send = await FastShareProcess.RunAsync(_folder, ["send", file, "--to", address, .. ReceivingNode.ByAddress]);
        Assert.True(send.ExitCode == 4, send.ToString());
        Assert.Contains(
            "only 'fastshare bench' may send files here", (await send.WaitForEventAsync("error")).GetProperty("message").GetString(), StringComparison.Ordinal);

        await using FastShareProcess bench = await FastShareProcess.RunAsync(
            _folder, ["bench", address, "--size", "2MB", "--seconds", "10s", .. ReceivingNode.ByAddress]);
        Assert.True(bench.ExitCode == 0, bench.ToString());
        JsonElement measured = await bench.WaitForEventAsync("bench");
        Assert.Equal(2_000_000, measured.GetProperty("file").GetProperty("bytes").GetInt64());
        Assert.Equal(JsonValueKind.Null, measured.GetProperty("file").GetProperty("receiver").ValueKind);
        await listener.WaitForEventAsync("completed", e => e.GetProperty("bytes").GetInt64() == 2_000_000);
        listener.Interrupt();
        Assert.Equal(130, await listener.WaitForExitAsync());
        Assert.Empty(Directory.EnumerateFileSystemEntries(place));
    }

    [Fact]
    public async Task What_takes_the_file_of_bench_takes_no_folder_that_could_not_be_removed()
    {
        await using FastShareProcess listener = Accepting(out string place);
        string address = await AddressOfAsync(listener);
        Assert.Equal(
            ("Refuse", TransferError.Refused), await HostileSender.OfferAsync(address, "hostile", "fastshare-bench-x/", "fastshare-bench-x/file"));
        Assert.Empty(Directory.EnumerateFileSystemEntries(place));
    }

    [Fact]
    public async Task A_stranger_cannot_have_two_files_of_bench_taken_at_once()
    {
        await using FastShareProcess listener = Accepting(out string place);
        await using HostileSender sender = await HostileSender.ConnectAsync(await AddressOfAsync(listener));
        Assert.Equal("Accept", (await sender.OfferAnotherAsync("hostile", "fastshare-bench-1")).Message);
        // one that fails by itself frees nothing
        Assert.Equal(("Refuse", TransferError.UnsafeName), await sender.OfferAnotherAsync("hostile", "../fastshare-bench-2"));
        await listener.WaitForEventAsync("error", e => e.GetProperty("kind").GetString() == "unsafeName");
        Assert.Equal(("Refuse", TransferError.Refused), await sender.OfferAnotherAsync("hostile", "fastshare-bench-3"));
        Assert.Single(Directory.EnumerateFileSystemEntries(place));
    }

    [Fact]
    public async Task A_file_of_bench_that_its_sender_refuses_is_over_like_any_other()
    {
        await using FastShareProcess listener = Accepting(out string place);
        string address = await AddressOfAsync(listener);
        await using (HostileSender sender = await HostileSender.ConnectAsync(address))
        {
            Assert.Equal("Accept", (await sender.OfferAnotherAsync("hostile", "fastshare-bench-1")).Message);
            await sender.CancelAsync(TransferError.Refused);
            await Eventually.BecomesTrueAsync(() => !Directory.EnumerateFileSystemEntries(place).Any(), "the file is removed");
        }

        // removed first, then free
        string message = "";
        for (int i = 0; i < 50 && message != "Accept"; i++)
        {
            await Task.Delay(20, TestContext.Current.CancellationToken);
            (message, _) = await HostileSender.OfferAsync(address, "next", "fastshare-bench-2");
        }

        Assert.Equal("Accept", message);
    }

    private FastShareProcess Accepting(out string place)
    {
        place = Path.Combine(_folder.Path, "there");
        Directory.CreateDirectory(place);
        return FastShareProcess.Start(_folder, ["perf", "listen", "--accept", place, .. ReceivingNode.ByAddress]);
    }

    private static async Task<string> AddressOfAsync(FastShareProcess listener) =>
        (await listener.WaitForEventAsync("listening")).GetProperty("addresses")[0].GetString()!;

    [Fact]
    public async Task Bench_compares_with_other_programs_on_this_machine()
    {
        await using FastShareProcess bench = await FastShareProcess.RunAsync(
            _folder, ["bench", "--size", "4MB", "--seconds", "10s", "--compare", .. ReceivingNode.ByAddress]);
        Assert.True(bench.ExitCode == 0, bench.ToString());
        JsonElement[] others = [.. (await bench.WaitForEventAsync("bench")).GetProperty("others").EnumerateArray()];
        JsonElement cp = Assert.Single(others, tool => tool.GetProperty("name").GetString() == "cp");
        Assert.True(cp.GetProperty("bytesPerSecond").GetDouble() > 0);
        // whoever is not there says so
        Assert.All(others, tool => Assert.NotEqual(
            tool.GetProperty("bytesPerSecond").ValueKind == JsonValueKind.Null, tool.GetProperty("problem").ValueKind == JsonValueKind.Null));
    }

    [Theory]
    [InlineData("--compare", "--to", "12D3KooWGRUbA5pSNDXg4kKLUUuqgzEgNDMRYVTyuRoT9MnSNCZz")]
    [InlineData("12D3KooWGRUbA5pSNDXg4kKLUUuqgzEgNDMRYVTyuRoT9MnSNCZz", "--to", "12D3KooWGRUbA5pSNDXg4kKLUUuqgzEgNDMRYVTyuRoT9MnSNCZz")]
    [InlineData("--no-file", "--dir", ".")]
    public async Task Bench_refuses_what_makes_no_sense(params string[] arguments)
    {
        await using FastShareProcess bench = await FastShareProcess.RunAsync(_folder, ["bench", .. arguments]);
        Assert.True(bench.ExitCode == 2, bench.ToString());
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
            _folder, "peers", "--seconds", "5", "--json", "--ephemeral", "--interface", "lo");
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
