using System.Globalization;

namespace FastShare.SideBySide.Rows;

/// <summary>nginx, fetched from with curl and aria2.</summary>
internal static class HttpRows
{
    private const string Curl = "nginx + curl, HTTPS", CurlPlain = "nginx + curl, HTTP (plaintext)", Aria = "nginx + aria2c -x4, HTTPS";

    public static void Add(Bench bench)
    {
        if (Nginx.Serve(bench, bench.Work, "nginx") is not { } server)
        {
            foreach (string row in (string[])[Curl, CurlPlain, Aria]) bench.Miss(row, "nginx");
            return;
        }

        AddCurl(bench, server);
        AddAria(bench, server);
    }

    private static void AddCurl(Bench bench, Server server)
    {
        if (ChildProcess.Find("curl") is not { } curl)
        {
            foreach (string row in (string[])[Curl, CurlPlain]) bench.Miss(row, "curl");
            return;
        }

        // The file is read from the page cache, again and again until the scenario's bytes are through.
        long times = Math.Max(1, bench.Settings.MemoryBytes / bench.Settings.FileBytes);
        Scenario memory = bench.Settings.Memory;
        bench.Add(new Contender(Curl, memory, [server], async (meter, token) =>
        {
            IEnumerable<string> fetches = Enumerable.Repeat<string[]>(["-o", "/dev/null", Nginx.Secure(server)], (int)times).SelectMany(words => words);
            (string output, _) = await meter.RunAsync(curl, ["-skf", "-w", "%{time_total}\n", .. fetches], token);
            double seconds = output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Sum(line => double.Parse(line, CultureInfo.InvariantCulture));
            return seconds * memory.Bytes / (times * bench.Settings.FileBytes);
        })
        { Share = times * bench.Settings.FileBytes / (double)memory.Bytes });
        bench.AddFileRow(Curl, [server], destination => [curl, "-skf", "-o", destination, Nginx.Secure(server)]);
        bench.AddFileRow(CurlPlain, [server], destination => [curl, "-sf", "-o", destination, Nginx.Plain(server)]);
    }

    private static void AddAria(Bench bench, Server server)
    {
        if (ChildProcess.Find("aria2c") is not { } aria)
        {
            bench.Miss(Aria, "aria2c");
            return;
        }

        bench.AddFileRow(Aria, [server], destination =>
        [
            aria, "-q", "-x4", "-s4", "--check-certificate=false", "--file-allocation=none", "--allow-overwrite=true",
            "-d", Path.GetDirectoryName(destination)!, "-o", Path.GetFileName(destination), Nginx.Secure(server),
        ]);
    }
}
