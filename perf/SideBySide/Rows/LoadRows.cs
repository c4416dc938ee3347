using System.Globalization;
using System.Text.Json;

namespace FastShare.SideBySide.Rows;

/// <summary>One node under load: several receivers at once, and requests beside bulk. The clients are perf/Load and curl.</summary>
internal static class LoadRows
{
    /// <summary>Title of the figure that says how unequal receivers were: slowest to fastest, relative to the mean rate.</summary>
    public const string Spread = "% between receivers";

    public static readonly int[] Counts = [1, 8, 64];

    /// <summary>Title of a row.</summary>
    public static string Name(string who, int count) => count == 1 ? $"{who}, 1 receiver" : $"{who}, {count} receivers";

    public static async Task AddAsync(Bench bench, CancellationToken cancellationToken)
    {
        await AddCurlAsync(bench, cancellationToken);
        if (FastShareNodes.Find() is not { } fastshare) return; // told by its own rows
        if (Find() is not { } load)
        {
            bench.Miss("receivers and requests (dotnet build -c Release perf/Load)");
            return;
        }

        (ChildProcess sender, string address) = await FastShareNodes.ListenAsync(fastshare, ["perf", "listen"], cancellationToken);
        bench.Own(sender);
        Scenario scenario = bench.Settings.Receivers;
        foreach (int count in Counts)
        {
            string each = (scenario.Bytes / count).ToString(CultureInfo.InvariantCulture);
            bench.Add(new Contender(Name("fastshare", count), scenario, [sender], async (meter, token) =>
            {
                (string output, _) = await meter.RunAsync(load, ["receivers", address, $"{count}", each], token);
                using JsonDocument told = JsonDocument.Parse(output);
                meter.Figures[Spread] = SpreadOf([.. told.RootElement.GetProperty("each").EnumerateArray().Select(e => e.GetDouble())]);
                return told.RootElement.GetProperty("seconds").GetDouble();
            }));
        }

        ChildProcess server = bench.Own(ChildProcess.Start(load, "serve"));
        string ready = await server.WaitForLineAsync(line => line.StartsWith("ready ", StringComparison.Ordinal), cancellationToken);
        bench.Add(new Contender("fastshare", Settings.Requests, [server], async (meter, token) =>
        {
            (string output, _) = await meter.RunAsync(load, ["latency", ready["ready ".Length..].Trim(), "1000"], token);
            using JsonDocument told = JsonDocument.Parse(output);
            double Of(string name) => told.RootElement.GetProperty(name).GetDouble();
            meter.Figures["idle p50 ms"] = Of("idleP50Ms");
            meter.Figures["idle p99 ms"] = Of("idleP99Ms");
            meter.Figures["loaded p50 ms"] = Of("loadedP50Ms");
            meter.Figures["loaded p99 ms"] = Of("loadedP99Ms");
            meter.Figures["p99 loaded ÷ idle"] = Of("loadedP99Ms") / Of("idleP99Ms");
            meter.Figures["bulk GB/s"] = Of("bulkBytesPerSecond") / 1e9;
            return Of("loadedP99Ms") / 1000;
        })
        { IsReference = true });
    }

    private static async Task AddCurlAsync(Bench bench, CancellationToken cancellationToken)
    {
        int http = Ports.Free(), https = Ports.Free();
        string folder = Path.Combine(bench.Work, "receivers");
        Directory.CreateDirectory(folder);
        if (ChildProcess.Find("curl") is not { } curl || await Nginx.StartAsync(folder, bench.Work, http, https, cancellationToken) is not { } server)
            return; // told by their own rows
        bench.Own(server);
        Scenario scenario = bench.Settings.Receivers;
        foreach (int count in Counts)
        {
            // A range of the large file each, or the whole of it several times over for one receiver.
            long each = Math.Min(scenario.Bytes / count, bench.Settings.FileBytes);
            string[] fetch = ["-o", "/dev/null", "-r", $"0-{each - 1}", $"https://127.0.0.1:{https}/source.bin"];
            bench.Add(new Contender(Name("nginx + curl -Z, HTTPS", count), scenario, [server], async (meter, token) =>
            {
                (string output, _) = await meter.RunAsync(
                    curl,
                    ["-sk", "-Z", "--parallel-immediate", "--parallel-max", $"{count}", "-w", "%{time_total}\n", .. Enumerable.Repeat(fetch, count).SelectMany(words => words)],
                    token);
                double[] seconds = [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => double.Parse(line, CultureInfo.InvariantCulture))];
                meter.Figures[Spread] = SpreadOf(seconds);
                return seconds.Max() * scenario.Bytes / (each * count);
            })
            { Share = each * count / (double)scenario.Bytes });
        }
    }

    private static double SpreadOf(double[] seconds)
    {
        double[] rates = [.. seconds.Select(s => 1 / s)];
        return 100 * (rates.Max() - rates.Min()) / rates.Average();
    }

    private static string? Find()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string built = Path.Combine(folder.FullName, "perf", "Load", "bin", "Release", "net10.0", "FastShare.Load.Perf");
            if (File.Exists(built)) return built;
        }

        return null;
    }
}
