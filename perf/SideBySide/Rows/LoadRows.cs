using System.Globalization;
using System.Text.Json;

namespace FastShare.SideBySide.Rows;

/// <summary>One node under load: several receivers at once, and requests beside bulk. The clients are perf/Load and curl.</summary>
internal static class LoadRows
{
    /// <summary>Title of the figure that says how unequal receivers were: slowest to fastest, relative to the mean rate.</summary>
    public const string Spread = "% between receivers";

    /// <summary>Title of the same for the bytes that each had when the first was done, so that all were active until then.</summary>
    private const string SpreadMeanwhile = "% when the first is done";

    public static readonly int[] Counts = [1, 8, 64];

    /// <summary>Title of a row.</summary>
    public static string Name(string who, int count) => count == 1 ? $"{who}, 1 receiver" : $"{who}, {count} receivers";

    public static void Add(Bench bench)
    {
        AddCurl(bench);
        AddLimit(bench);
        if (FastShareNodes.Find() is not { } fastshare) return; // told by its own rows
        if (Find() is not { } load)
        {
            foreach (int count in Counts) bench.Miss(Name("fastshare", count), "dotnet build -c Release perf/Load");
            bench.Miss(Settings.Requests.Name, "dotnet build -c Release perf/Load");
            return;
        }

        AddReceivers(bench, load, FastShareNodes.Listen(bench, fastshare, "perf", "listen"));
        AddRequests(bench, load);
    }

    private static void AddReceivers(Bench bench, string load, Server sender)
    {
        Scenario scenario = bench.Settings.Receivers;
        foreach (int count in Counts)
        {
            string each = (scenario.Bytes / count).ToString(CultureInfo.InvariantCulture);
            bench.Add(new Contender(Name("fastshare", count), scenario, [sender], async (meter, token) =>
            {
                (string output, _) = await meter.RunAsync(load, ["receivers", sender.Address, $"{count}", each], token);
                return ReadReceivers(output, meter);
            }));
        }
    }

    // With what only the unavoidable costs: see ManyLimitPeer.
    private static void AddLimit(Bench bench)
    {
        Scenario scenario = bench.Settings.Receivers;
        Server sender = DotNetRows.Listen(bench, "many-limit");
        foreach (int count in Counts)
        {
            string each = (scenario.Bytes / count).ToString(CultureInfo.InvariantCulture);
            bench.Add(new Contender(Name(LimitRows.Memory, count), scenario, [sender], async (meter, token) =>
                ReadReceivers(await DotNetRows.RunAsync(meter, ["move", "many-limit", sender.Address, $"{count}", each], token), meter)));
        }
    }

    /// <summary>Seconds until all receivers had everything, of a line of JSON that they tell; the figures go to the meter.</summary>
    private static double ReadReceivers(string output, Meter meter)
    {
        using JsonDocument told = JsonDocument.Parse(output);
        double[] All(string name) => [.. told.RootElement.GetProperty(name).EnumerateArray().Select(value => value.GetDouble())];
        meter.Figures[Spread] = SpreadOf(All("each"));
        meter.Figures[SpreadMeanwhile] = RelativeSpread(All("whenFirstDone"));
        return told.RootElement.GetProperty("seconds").GetDouble();
    }

    private static void AddRequests(Bench bench, string load)
    {
        Server server = bench.Serve("requests' server", async token =>
        {
            ChildProcess process = ChildProcess.Start(load, "serve");
            string ready = await process.WaitForLineAsync(line => line.StartsWith("ready ", StringComparison.Ordinal), token);
            return (process, ready["ready ".Length..].Trim());
        });
        bench.Add(new Contender("fastshare", Settings.Requests, [server], async (meter, token) =>
        {
            (string output, _) = await meter.RunAsync(load, ["latency", server.Address, "2000"], token);
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

    private static void AddCurl(Bench bench)
    {
        const string Who = "nginx + curl -Z, HTTPS";
        if (ChildProcess.Find("curl") is not { } curl || Nginx.Serve(bench, bench.Work, "nginx-receivers") is not { } server)
        {
            foreach (int count in Counts) bench.Miss(Name(Who, count), "nginx and curl");
            return;
        }

        Scenario scenario = bench.Settings.Receivers;
        foreach (int count in Counts)
        {
            // A range of the large file each, or the whole of it for one receiver.
            long each = Math.Min(scenario.Bytes / count, bench.Settings.FileBytes);
            bench.Add(new Contender(Name(Who, count), scenario, [server], async (meter, token) =>
            {
                string[] fetch = ["-o", "/dev/null", "-r", $"0-{each - 1}", Nginx.Secure(server)];
                (string output, _) = await meter.RunAsync(
                    curl,
                    [
                        "-skf", "-Z", "--parallel-immediate", "--parallel-max", $"{count}", "-w", "%{time_total}\n",
                        .. Enumerable.Repeat(fetch, count).SelectMany(words => words),
                    ],
                    token);
                double[] seconds = [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => double.Parse(line, CultureInfo.InvariantCulture))];
                meter.Figures[Spread] = SpreadOf(seconds);
                return seconds.Max() * scenario.Bytes / (each * count);
            })
            { Share = each * count / (double)scenario.Bytes });
        }
    }

    /// <summary>Between the fastest and the slowest receiver, in percent of their mean rate.</summary>
    internal static double SpreadOf(double[] seconds) => RelativeSpread([.. seconds.Select(s => 1 / s)]);

    private static double RelativeSpread(double[] values) => 100 * (values.Max() - values.Min()) / values.Average();

    // As FastShareNodes.Find: the native executable where perf/setup.sh could publish one.
    private static string? Find()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string native = Path.Combine(folder.FullName, "artifacts", "load", "FastShare.Load.Perf");
            if (File.Exists(native)) return native;
            string built = Path.Combine(folder.FullName, "perf", "Load", "bin", "Release", "net10.0", "FastShare.Load.Perf");
            if (File.Exists(built)) return built;
        }

        return null;
    }
}
