using System.Globalization;
using System.Text.Json;

namespace FastShare.SideBySide.Rows;

/// <summary>What does nothing but move bytes: the ceiling (iperf3), the floor (cp), and socat between them.</summary>
internal static class PlainRows
{
    public static async Task AddAsync(Bench bench, CancellationToken cancellationToken)
    {
        bench.AddFileRow("cp", [], destination => ["cp", bench.Source, destination]);
        bench.AddTreeRow("cp -r", [], destination => ["cp", "-r", bench.Tree, destination]);
        await AddIperfAsync(bench, cancellationToken);
        AddSocat(bench);
    }

    private static async Task AddIperfAsync(Bench bench, CancellationToken cancellationToken)
    {
        if (ChildProcess.Find("iperf3") is not { } iperf)
        {
            bench.Miss("iperf3");
            return;
        }

        string port = Ports.Free().ToString(CultureInfo.InvariantCulture);
        ChildProcess server = bench.Own(ChildProcess.Start(iperf, "-s", "-B", "127.0.0.1", "-p", port, "--forceflush"));
        await server.WaitForLineAsync(line => line.Contains("listening", StringComparison.OrdinalIgnoreCase), cancellationToken);
        Scenario memory = bench.Settings.Memory;
        string[] arguments =
            ["-c", "127.0.0.1", "-p", port, "-l", "1M", "-n", memory.Bytes.ToString(CultureInfo.InvariantCulture), "--json"];
        bench.Add(new Contender("iperf3, one stream (plaintext)", memory, [server], async (meter, token) =>
        {
            (string output, _) = await meter.RunAsync(iperf, arguments, token);
            using JsonDocument report = JsonDocument.Parse(output);
            JsonElement received = report.RootElement.GetProperty("end").GetProperty("sum_received");
            return memory.Bytes / (received.GetProperty("bits_per_second").GetDouble() / 8);
        }));
    }

    private static void AddSocat(Bench bench)
    {
        if (ChildProcess.Find("socat") is not { } socat)
        {
            bench.Miss("socat");
            return;
        }

        string port = Ports.Free().ToString(CultureInfo.InvariantCulture);
        // Both ends in one shell, so that both are ended children; the client tries until the server listens.
        bench.AddFileRow("socat (plaintext, unverified)", [], destination =>
        [
            "sh", "-c",
            $"{socat} -u -b 1048576 OPEN:{bench.Source} TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr & "
            + $"{socat} -u -b 1048576 TCP:127.0.0.1:{port},retry=100,interval=0.01 OPEN:{destination},creat,trunc && wait",
        ]);
    }
}
