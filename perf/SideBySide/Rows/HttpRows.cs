using System.Globalization;

namespace FastShare.SideBySide.Rows;

/// <summary>nginx, fetched from with curl and aria2.</summary>
internal static class HttpRows
{
    public static async Task AddAsync(Bench bench, CancellationToken cancellationToken)
    {
        int http = Ports.Free(), https = Ports.Free();
        if (await Nginx.StartAsync(bench.Work, bench.Work, http, https, cancellationToken) is not { } server)
        {
            bench.Miss("nginx");
            return;
        }

        bench.Own(server);
        string plain = $"http://127.0.0.1:{http}/source.bin", secure = $"https://127.0.0.1:{https}/source.bin";
        AddCurl(bench, server, plain, secure);
        AddAria(bench, server, secure);
    }

    private static void AddCurl(Bench bench, ChildProcess server, string plain, string secure)
    {
        if (ChildProcess.Find("curl") is not { } curl)
        {
            bench.Miss("curl");
            return;
        }

        // The file is read from the page cache, again and again until the scenario's bytes are through.
        long times = Math.Max(1, bench.Settings.MemoryBytes / bench.Settings.FileBytes);
        Scenario memory = bench.Settings.Memory;
        string[] fetches = [.. Enumerable.Repeat<string[]>(["-o", "/dev/null", secure], (int)times).SelectMany(words => words)];
        bench.Add(new Contender("nginx + curl, HTTPS", memory, [server], async (meter, token) =>
        {
            (string output, _) = await meter.RunAsync(curl, ["-sk", "-w", "%{time_total}\n", .. fetches], token);
            double seconds = output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Sum(line => double.Parse(line, CultureInfo.InvariantCulture));
            return seconds * memory.Bytes / (times * bench.Settings.FileBytes);
        }));
        bench.AddFileRow("nginx + curl, HTTPS", [server], destination => [curl, "-sk", "-o", destination, secure]);
        bench.AddFileRow("nginx + curl, HTTP (plaintext)", [server], destination => [curl, "-s", "-o", destination, plain]);
    }

    private static void AddAria(Bench bench, ChildProcess server, string secure)
    {
        if (ChildProcess.Find("aria2c") is not { } aria)
        {
            bench.Miss("aria2c");
            return;
        }

        bench.AddFileRow("nginx + aria2c -x4, HTTPS", [server], destination =>
        [
            aria, "-q", "-x4", "-s4", "--check-certificate=false", "--file-allocation=none", "--allow-overwrite=true",
            "-d", Path.GetDirectoryName(destination)!, "-o", Path.GetFileName(destination), secure,
        ]);
    }
}
