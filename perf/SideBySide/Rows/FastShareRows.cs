using System.Globalization;

namespace FastShare.SideBySide.Rows;

/// <summary>FastShare's own command, encrypted and plaintext.</summary>
internal static class FastShareRows
{
    private const long LeastForSteadyState = 1L << 30;

    public static void Add(Bench bench)
    {
        if (FastShareNodes.Find() is not { } fastshare)
        {
            bench.Miss("fastshare", "dotnet build -c Release tools/FastShare.Cli");
            return;
        }

        foreach (bool insecure in (bool[])[false, true])
        {
            AddMemory(bench, fastshare, insecure);
            AddFiles(bench, fastshare, insecure);
        }

        AddSynced(bench, fastshare);
    }

    private static string[] Security(bool insecure) => insecure ? ["--insecure"] : [];

    private static void AddMemory(Bench bench, string fastshare, bool insecure)
    {
        Server server = FastShareNodes.Listen(bench, fastshare, ["perf", "listen", .. Security(insecure)]);
        Scenario memory = bench.Settings.Memory;
        bench.Add(new Contender(insecure ? "fastshare (plaintext)" : "fastshare", memory, [server], async (meter, token) =>
        {
            Task<string> served = server.Process.NextLineAsync(line => line.Contains("\"event\":\"served\"", StringComparison.Ordinal), token);
            (string output, _) = await meter.RunAsync(
                fastshare,
                [
                    "perf", server.Address, "--upload-bytes", memory.Bytes.ToString(CultureInfo.InvariantCulture),
                    .. FastShareNodes.ClientOptions(insecure),
                ],
                token);
            double allocated = FastShareNodes.Told(output, "perf", "allocatedBytes")
                + FastShareNodes.Told(await served.WaitAsync(TimeSpan.FromSeconds(20), token), "served", "allocatedBytes");
            meter.Figures[FastShareNodes.Allocated] = FastShareNodes.KibPerMib((long)allocated, memory.Bytes);
            return memory.Bytes / FastShareNodes.Told(output, "completed", "bytesPerSecond");
        })
        { IsReference = !insecure });
    }

    private static void AddFiles(Bench bench, string fastshare, bool insecure)
    {
        string name = insecure ? "fastshare, verified (plaintext)" : "fastshare, verified";
        string folder = Path.Combine(bench.Work, insecure ? "in-plain" : "in-noise");
        Server server = FastShareNodes.Listen(bench, fastshare, ["receive", folder, "--yes", .. Security(insecure)]);
        bench.Add(new Contender(name, bench.Settings.File, [server], async (meter, token) =>
        {
            Bench.Empty(folder);
            double seconds = await FastShareNodes.SendAsync(fastshare, bench.Source, server, insecure, meter, token);
            bench.CheckFile(name, Path.Combine(folder, "source.bin"));
            return seconds;
        })
        {
            IsReference = !insecure,
            Leaves = folder,
            // Of less, what the second half adds is still the pool filling up.
            AfterwardsAsync = bench.Settings.FileBytes < LeastForSteadyState ? null : (meter, token) =>
            {
                Bench.Empty(folder);
                return FastShareNodes.SendTwoSizesAsync(fastshare, bench.Half, bench.Source, server, insecure, meter, token);
            },
        });
        if (bench.Settings.SmallFiles > 0) AddTree(bench, fastshare, name, insecure);
    }

    // Nobody else's row tells a line for each file to whoever reads it, on the same two cores.
    private static void AddTree(Bench bench, string fastshare, string name, bool insecure)
    {
        string folder = Path.Combine(bench.Work, insecure ? "in-tree-plain" : "in-tree-noise");
        Server server = FastShareNodes.Receive(bench, fastshare, folder, insecure);
        bench.Add(new Contender(name, bench.Settings.Small, [server], async (meter, token) =>
        {
            Bench.Empty(folder);
            (_, double seconds) = await meter.RunAsync(
                fastshare, ["send", bench.Tree, "--to", server.Address, .. FastShareNodes.PlainOptions(insecure)], token);
            bench.CheckTree(name, folder);
            return seconds;
        })
        {
            IsReference = !insecure,
            Leaves = folder,
            AfterwardsAsync = async (meter, token) =>
            {
                Bench.Empty(folder);
                await FastShareNodes.SendAndTellAsync(fastshare, bench.Tree, folder, insecure, meter, token);
            },
        });
    }

    // The receiver syncs every file before it gets its name, and its folder after, wherever it stands.
    private static void AddSynced(Bench bench, string fastshare)
    {
        if (bench.Settings.Disk is null) return;
        const string Name = "fastshare, verified";
        string folder = Path.Combine(bench.Disk, "in");
        Server server = FastShareNodes.Listen(bench, fastshare, ["receive", folder, "--yes"]);
        bench.Add(new Contender(Name, bench.Settings.Synced, [server], async (meter, token) =>
        {
            Bench.Empty(folder);
            double seconds = await FastShareNodes.SendAsync(fastshare, bench.Source, server, insecure: false, meter, token);
            bench.CheckFile(Name, Path.Combine(folder, "source.bin"));
            return seconds;
        })
        { IsReference = true, Leaves = folder });
    }
}
