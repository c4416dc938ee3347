using System.Globalization;

namespace FastShare.SideBySide.Rows;

/// <summary>FastShare's own command, encrypted and plaintext.</summary>
internal static class FastShareRows
{
    public static async Task AddAsync(Bench bench, CancellationToken cancellationToken)
    {
        if (FastShareNodes.Find() is not { } fastshare)
        {
            bench.Miss("fastshare (dotnet build -c Release tools/FastShare.Cli)");
            return;
        }

        foreach (bool insecure in (bool[])[false, true])
        {
            await AddMemoryAsync(bench, fastshare, insecure, cancellationToken);
            await AddFilesAsync(bench, fastshare, insecure, cancellationToken);
        }
    }

    private static async Task AddMemoryAsync(Bench bench, string fastshare, bool insecure, CancellationToken cancellationToken)
    {
        string[] security = insecure ? ["--insecure"] : [];
        (ChildProcess server, string address) = await FastShareNodes.ListenAsync(fastshare, ["perf", "listen", .. security], cancellationToken);
        bench.Own(server);
        Scenario memory = bench.Settings.Memory;
        string[] arguments =
            ["perf", address, "--upload-bytes", memory.Bytes.ToString(CultureInfo.InvariantCulture), .. FastShareNodes.ClientOptions(insecure)];
        bench.Add(new Contender(insecure ? "fastshare (plaintext)" : "fastshare", memory, [server], async (meter, token) =>
        {
            (string output, _) = await meter.RunAsync(fastshare, arguments, token);
            return memory.Bytes / FastShareNodes.Completed(output, "bytesPerSecond");
        })
        { IsReference = !insecure });
    }

    private static async Task AddFilesAsync(Bench bench, string fastshare, bool insecure, CancellationToken cancellationToken)
    {
        string name = insecure ? "fastshare, verified (plaintext)" : "fastshare, verified";
        string folder = Path.Combine(bench.Work, insecure ? "in-plain" : "in-noise");
        string[] security = insecure ? ["--insecure"] : [];
        (ChildProcess server, string address) = await FastShareNodes.ListenAsync(
            fastshare, ["receive", folder, "--yes", .. security], cancellationToken);
        bench.Own(server);
        bench.Add(new Contender(name, bench.Settings.File, [server], async (meter, token) =>
        {
            Bench.Empty(folder);
            double seconds = await SendAsync(bench.Source, meter, token);
            bench.CheckFile(name, Path.Combine(folder, "source.bin"));
            return seconds;
        })
        { IsReference = !insecure });
        if (bench.Settings.Disk is not null && !insecure) await AddSyncedAsync(bench, fastshare, name, cancellationToken);
        if (bench.Settings.SmallFiles == 0) return;
        bench.Add(new Contender(name, bench.Settings.Small, [server], async (meter, token) =>
        {
            Bench.Empty(folder);
            double seconds = await SendAsync(bench.Tree, meter, token);
            bench.CheckTree(name, folder);
            return seconds;
        })
        { IsReference = !insecure });

        Task<double> SendAsync(string path, Meter meter, CancellationToken token) =>
            FastShareNodes.SendAsync(fastshare, path, server, address, insecure, meter, token);
    }

    // The receiver syncs every file before it gets its name, and its folder after, wherever it stands.
    private static async Task AddSyncedAsync(Bench bench, string fastshare, string name, CancellationToken cancellationToken)
    {
        string folder = Path.Combine(bench.Disk, "in");
        (ChildProcess server, string address) = await FastShareNodes.ListenAsync(fastshare, ["receive", folder, "--yes"], cancellationToken);
        bench.Own(server);
        bench.Add(new Contender(name, bench.Settings.Synced, [server], async (meter, token) =>
        {
            Bench.Empty(folder);
            double seconds = await FastShareNodes.SendAsync(fastshare, bench.Source, server, address, insecure: false, meter, token);
            bench.CheckFile(name, Path.Combine(folder, "source.bin"));
            return seconds;
        })
        { IsReference = true });
    }
}
