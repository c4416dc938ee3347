using System.Globalization;

namespace FastShare.SideBySide.Rows;

/// <summary>
/// A file over an emulated link of 1 Gbit/s, made anew for every run: <c>LAB up --rtt MS --rate MBIT --loss PERCENT</c>, <c>LAB exec a|b
/// COMMAND</c>, <c>LAB down</c>, with 10.77.0.1 (a) and 10.77.0.2 (b). Data goes from a to b. Needs root.
/// </summary>
internal static class WanRows
{
    private const int Megabits = 1000, MostRounds = 2, Port = 4401;
    private const string A = "10.77.0.1", B = "10.77.0.2";
    private const string Title = "wide area";

    private static readonly (string RoundTrip, string Loss)[] _paths = [("20", "0"), ("100", "0.1")];

    /// <summary>Whether a scenario is one of these.</summary>
    public static bool IsWide(Scenario scenario) => scenario.Name.StartsWith(Title, StringComparison.Ordinal);

    public static void Add(Bench bench)
    {
        if (bench.Settings.Wan is not { } lab)
        {
            bench.Miss(Title, "a link: --wan perf/netem-lab.sh where the kernel has netem, else --wan with an emulator like that");
            return;
        }

        string source = bench.WanSource, folder = Path.Combine(bench.Work, "wan");
        long bytes = bench.Settings.WanBytes;
        foreach ((string roundTrip, string loss) in _paths)
        {
            var scenario = new Scenario($"{Title}, {roundTrip} ms, {loss} % loss, {Megabits} Mbit/s", bytes, 1);
            if (FastShareNodes.Find() is { } fastshare)
                Row("fastshare, verified", (meter, token) => SendAsync(lab, fastshare, source, folder, meter, token));
            if (ChildProcess.Find("iperf3") is { } iperf)
            {
                Row("iperf3 -P1 (plaintext, no file)", (meter, token) => AgainstAsync(
                    lab, "b", [iperf, "-s", "-1", "--forceflush"], [], [iperf, "-c", B, "-n", $"{bytes}", "--connect-timeout", "5000"], meter, token));
            }

            if (ChildProcess.Find("rsync") is { } rsync)
            {
                Row("rsync daemon (plaintext)", async (meter, token) =>
                {
                    string configuration = Path.Combine(bench.Work, "wan-rsyncd.conf");
                    await File.WriteAllTextAsync(configuration, RsyncRows.Configuration(A, Port, bench.Work), token);
                    string url = $"rsync://{A}:{Port}/bench/";
                    return await AgainstAsync(
                        lab, "a", [rsync, "--daemon", "--no-detach", $"--config={configuration}"], [rsync, url],
                        [rsync, "-a", url + "wan.bin", Path.Combine(folder, "wan.bin")], meter, token);
                });
            }

            if (ChildProcess.Find("nginx") is { } nginx && ChildProcess.Find("curl") is { } curl)
            {
                Row("nginx + curl, HTTPS", async (meter, token) =>
                {
                    string work = Path.Combine(bench.Work, "wan-nginx");
                    Directory.CreateDirectory(work);
                    string[] arguments = await Nginx.ConfigureAsync(work, bench.Work, A, Port + 1, Port, token);
                    string url = $"https://{A}:{Port}/wan.bin";
                    return await AgainstAsync(
                        lab, "a", [nginx, .. arguments], [curl, "-sk", "-r", "0-0", "-o", "/dev/null", url],
                        [curl, "-sk", "-o", Path.Combine(folder, "wan.bin"), url], meter, token);
                });
            }

            void Row(string name, Func<Meter, CancellationToken, Task<double>> run) => bench.Add(new Contender(name, scenario, [], async (meter, token) =>
            {
                Bench.Empty(folder);
                await UpAsync(lab, roundTrip, loss, token);
                try
                {
                    return await run(meter, token);
                }
                finally
                {
                    await ChildProcess.RunAsync(lab, ["down"], CancellationToken.None);
                }
            })
            { IsReference = name.StartsWith("fastshare", StringComparison.Ordinal), MostRounds = MostRounds });
        }
    }

    private static async Task UpAsync(string lab, string roundTrip, string loss, CancellationToken cancellationToken) =>
        await ChildProcess.RunAsync(
            lab, ["up", "--rtt", roundTrip, "--rate", Megabits.ToString(CultureInfo.InvariantCulture), "--loss", loss], cancellationToken);

    private static async Task<double> SendAsync(
        string lab, string fastshare, string source, string folder, Meter meter, CancellationToken cancellationToken)
    {
        await using ChildProcess receiver = ChildProcess.Start(
            lab, "exec", "b", fastshare, "receive", folder, "--yes", "--json", "--ephemeral", "--no-mdns", "--listen", $"/ip4/{B}/tcp/0");
        string address = await FastShareNodes.AddressAsync(receiver, cancellationToken);
        return (await meter.RunAsync(
            lab,
            ["exec", "a", fastshare, "send", source, "--to", address, "--json", "--ephemeral", "--no-mdns", "--listen", $"/ip4/{A}/tcp/0", "--mode", "auto"],
            cancellationToken)).Seconds;
    }

    // The client runs at the other end of the link from the server; probes tell when the server answers.
    private static async Task<double> AgainstAsync(
        string lab, string serverEnd, string[] server, string[] probe, string[] client, Meter meter, CancellationToken cancellationToken)
    {
        string clientEnd = serverEnd == "a" ? "b" : "a";
        await using ChildProcess running = ChildProcess.Start(lab, ["exec", serverEnd, .. server]);
        if (probe.Length == 0)
            await running.WaitForLineAsync(line => line.Contains("listening", StringComparison.OrdinalIgnoreCase), cancellationToken);
        else
            await ChildProcess.RunAsync(lab, ["exec", clientEnd, "sh", "-c", "until \"$@\" >/dev/null 2>&1; do sleep 0.1; done", "sh", .. probe], cancellationToken);
        return (await meter.RunAsync(lab, ["exec", clientEnd, .. client], cancellationToken)).Seconds;
    }
}
