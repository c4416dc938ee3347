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

    /// <summary>Starts <c>fastshare perf listen</c> or <c>fastshare receive</c> on loopback; returns it with its address.</summary>
    public static async Task<(ChildProcess Process, string Address)> ListenAsync(string command, string[] arguments, CancellationToken cancellationToken)
    {
        ChildProcess process = ChildProcess.Start(command, [.. arguments, "--json", "--ephemeral", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"]);
        string line = await process.WaitForLineAsync(l => l.Contains("\"listening\"", StringComparison.Ordinal), cancellationToken);
        using JsonDocument listening = JsonDocument.Parse(line);
        return (process, listening.RootElement.GetProperty("addresses")[0].GetString()!);
    }

    /// <summary>The arguments every client call ends with.</summary>
    public static string[] ClientOptions(bool insecure) =>
        ["--json", "--ephemeral", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0", .. insecure ? (string[])["--insecure"] : []];

    /// <summary>Sends a path; returns the life of the sending process, and tells the meter what both sides say of themselves.</summary>
    public static async Task<double> SendAsync(
        string fastshare, string path, ChildProcess receiver, string address, bool insecure, Meter meter, CancellationToken cancellationToken)
    {
        Task<string> received = receiver.NextLineAsync(IsStatistics, cancellationToken);
        (string output, double seconds) = await meter.RunAsync(
            fastshare, ["send", path, "--to", address, .. ClientOptions(insecure)], cancellationToken);
        long bytes = 0, allocated = 0;
        foreach (string line in (string[])[output.Split('\n').Last(IsStatistics), await received.WaitAsync(TimeSpan.FromSeconds(20), cancellationToken)])
        {
            using JsonDocument statistics = JsonDocument.Parse(line);
            allocated += statistics.RootElement.GetProperty("allocatedBytes").GetInt64();
            foreach (JsonElement stage in statistics.RootElement.GetProperty("stages").EnumerateArray())
            {
                meter.Stages[$"{statistics.RootElement.GetProperty("direction").GetString()}: {stage.GetProperty("stage").GetString()}"] =
                    stage.GetProperty("seconds").GetDouble();
                bytes = Math.Max(bytes, stage.GetProperty("bytes").GetInt64());
            }
        }

        if (bytes > 0) meter.Figures[Allocated] = allocated / 1024.0 / (bytes / (double)(1 << 20));
        return seconds;
    }

    /// <summary>Title of the figure for managed memory, of both ends, start and end included.</summary>
    public const string Allocated = "KiB allocated per MiB";

    private static bool IsStatistics(string line) => line.Contains("\"event\":\"statistics\"", StringComparison.Ordinal);

    /// <summary>The number <paramref name="property"/> of the last <c>completed</c> event in the output.</summary>
    public static double Completed(string output, string property)
    {
        string line = output.Split('\n').Last(l => l.Contains("\"completed\"", StringComparison.Ordinal));
        using JsonDocument completed = JsonDocument.Parse(line);
        return completed.RootElement.GetProperty(property).GetDouble();
    }
}
