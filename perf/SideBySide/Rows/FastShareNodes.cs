using System.Text.Json;

namespace FastShare.SideBySide.Rows;

/// <summary>The <c>fastshare</c> command as a listener of its own, once per way of securing connections.</summary>
internal static class FastShareNodes
{
    /// <summary>The native executable that perf/setup.sh publishes, else the command built beside this program.</summary>
    public static string? Find()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string native = Path.Combine(folder.FullName, "artifacts", "native", "fastshare");
            string built = Path.Combine(folder.FullName, "tools", "FastShare.Cli", "bin", "Release", "net10.0", "fastshare");
            if (File.Exists(native)) return native;
            if (File.Exists(built)) return built;
        }

        return null;
    }

    /// <summary><c>fastshare perf listen</c> or <c>fastshare receive</c> on loopback, at the address that it tells.</summary>
    public static Server Listen(Bench bench, string command, params string[] arguments) => bench.Serve($"fastshare {arguments[0]}", async token =>
    {
        ChildProcess process = ChildProcess.Start(command, [.. arguments, "--json", "--ephemeral", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"]);
        return (process, await AddressAsync(process, token));
    });

    /// <summary><c>fastshare receive</c> as a person runs it, on loopback: without an event for each file.</summary>
    public static Server Receive(Bench bench, string command, string folder, bool insecure) => bench.Serve("fastshare receive", async token =>
    {
        ChildProcess process = ChildProcess.Start(command, ["receive", folder, .. PlainOptions(insecure), "--yes"]);
        string told = await process.WaitForLineAsync(l => l.Contains(" --to /ip4/", StringComparison.Ordinal), token);
        return (process, told.Split(' ').First(word => word.StartsWith("/ip4/", StringComparison.Ordinal)));
    });

    /// <summary>The address at which a node listens.</summary>
    public static async Task<string> AddressAsync(ChildProcess node, CancellationToken cancellationToken)
    {
        string line = await node.WaitForLineAsync(l => l.Contains("\"listening\"", StringComparison.Ordinal), cancellationToken);
        using JsonDocument listening = JsonDocument.Parse(line);
        return listening.RootElement.GetProperty("addresses")[0].GetString()!;
    }

    /// <summary>The arguments every client call ends with.</summary>
    public static string[] ClientOptions(bool insecure) => ["--json", .. PlainOptions(insecure)];

    /// <summary>Likewise, for one that tells people rather than programs.</summary>
    public static string[] PlainOptions(bool insecure) =>
        ["--ephemeral", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0", .. insecure ? (string[])["--insecure"] : []];

    /// <summary>Sends a path; returns the life of the sending process, and tells the meter what both sides say of themselves.</summary>
    public static async Task<double> SendAsync(
        string fastshare, string path, Server receiver, bool insecure, Meter meter, CancellationToken cancellationToken)
    {
        Task<string> received = receiver.Process.NextLineAsync(IsStatistics, cancellationToken);
        (string output, double seconds) = await meter.RunAsync(
            fastshare, ["send", path, "--to", receiver.Address, .. ClientOptions(insecure)], cancellationToken);
        (long allocated, long bytes) = await ReadAsync(output, received, meter.Stages, cancellationToken);
        if (bytes > 0) meter.Figures[Allocated] = KibPerMib(allocated, bytes);
        return seconds;
    }

    /// <summary>Sends a path, unmetered, to a receiver of its own, and tells the meter what both say of themselves.</summary>
    public static async Task SendAndTellAsync(
        string fastshare, string path, string folder, bool insecure, Meter meter, CancellationToken cancellationToken)
    {
        await using ChildProcess receiver = ChildProcess.Start(
            fastshare, ["receive", folder, "--yes", "--once", .. ClientOptions(insecure)]);
        string address = await AddressAsync(receiver, cancellationToken);
        Task<string> received = receiver.NextLineAsync(IsStatistics, cancellationToken);
        (string output, _) = await ChildProcess.RunAsync(fastshare, ["send", path, "--to", address, .. ClientOptions(insecure)], cancellationToken);
        (long allocated, long bytes) = await ReadAsync(output, received, meter.Stages, cancellationToken);
        if (bytes > 0) meter.Figures[Allocated] = KibPerMib(allocated, bytes);
    }

    /// <summary>
    /// Sends a smaller and a larger file, unmetered, and tells what the larger one's further bytes made both ends allocate: what a transfer
    /// takes once, at its start and its end, is in both.
    /// </summary>
    public static async Task SendTwoSizesAsync(
        string fastshare, string small, string large, Server receiver, bool insecure, Meter meter, CancellationToken cancellationToken)
    {
        var sizes = new List<(long Allocated, long Bytes)>();
        foreach (string path in (string[])[small, large])
        {
            Task<string> received = receiver.Process.NextLineAsync(IsStatistics, cancellationToken);
            (string output, _) = await ChildProcess.RunAsync(
                fastshare, ["send", path, "--to", receiver.Address, .. ClientOptions(insecure)], cancellationToken);
            sizes.Add(await ReadAsync(output, received, [], cancellationToken));
        }

        long more = sizes[1].Bytes - sizes[0].Bytes;
        if (more > 0) meter.Figures[AllocatedSteadily] = KibPerMib(sizes[1].Allocated - sizes[0].Allocated, more);
    }

    /// <summary>Title of the figure for managed memory, of both ends, start and end included.</summary>
    public const string Allocated = "KiB allocated per MiB";

    /// <summary>Title of the figure for managed memory, of both ends, in between: the difference of two sizes.</summary>
    public const string AllocatedSteadily = "steady state";

    /// <summary>Bytes to KiB for each MiB.</summary>
    internal static double KibPerMib(long allocated, long bytes) => allocated / 1024.0 / (bytes / (double)(1 << 20));

    private static async Task<(long Allocated, long Bytes)> ReadAsync(
        string sent, Task<string> received, Dictionary<string, double> stages, CancellationToken cancellationToken)
    {
        long bytes = 0, allocated = 0;
        foreach (string line in (string[])[sent.Split('\n').Last(IsStatistics), await received.WaitAsync(TimeSpan.FromSeconds(20), cancellationToken)])
        {
            using JsonDocument statistics = JsonDocument.Parse(line);
            allocated += statistics.RootElement.GetProperty("allocatedBytes").GetInt64();
            foreach (JsonElement stage in statistics.RootElement.GetProperty("stages").EnumerateArray())
            {
                stages[$"{statistics.RootElement.GetProperty("direction").GetString()}: {stage.GetProperty("stage").GetString()}"] =
                    stage.GetProperty("seconds").GetDouble();
                bytes = Math.Max(bytes, stage.GetProperty("bytes").GetInt64());
            }
        }

        return (allocated, bytes);
    }

    private static bool IsStatistics(string line) => line.Contains("\"event\":\"statistics\"", StringComparison.Ordinal);

    /// <summary>The number <paramref name="property"/> of the last event of that name in the output.</summary>
    public static double Told(string output, string name, string property)
    {
        string line = output.Split('\n').Last(l => l.Contains($"\"event\":\"{name}\"", StringComparison.Ordinal));
        using JsonDocument told = JsonDocument.Parse(line);
        return told.RootElement.GetProperty(property).GetDouble();
    }
}
