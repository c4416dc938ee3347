using System.Globalization;
using System.Text.Json;

namespace FastShare.SideBySide.Rows;

/// <summary>What does nothing but move bytes: the ceiling (iperf3), the floor (cp), and socat between them.</summary>
internal static class PlainRows
{
    private const string Iperf = "iperf3, one stream (plaintext)", Socat = "socat (plaintext, unverified)";

    public static void Add(Bench bench)
    {
        AddIperf(bench);
        bench.AddFileRow("cp", [], destination => ["cp", bench.Source, destination]);
        bench.AddTreeRow("cp -r", [], destination => ["cp", "-r", bench.Tree, destination]);
        AddSocat(bench);
    }

    private static void AddIperf(Bench bench)
    {
        if (ChildProcess.Find("iperf3") is not { } iperf)
        {
            bench.Miss(Iperf, "iperf3");
            return;
        }

        Server server = bench.Serve("iperf3 -s", async token =>
        {
            string port = Ports.Free().ToString(CultureInfo.InvariantCulture);
            ChildProcess process = ChildProcess.Start(iperf, "-s", "-B", "127.0.0.1", "-p", port, "--forceflush");
            await process.WaitForLineAsync(line => line.Contains("listening", StringComparison.OrdinalIgnoreCase), token);
            return (process, port);
        });
        Scenario memory = bench.Settings.Memory;
        bench.Add(new Contender(Iperf, memory, [server], async (meter, token) =>
        {
            (string output, _) = await meter.RunAsync(
                iperf,
                ["-c", "127.0.0.1", "-p", server.Address, "-l", "1M", "-n", memory.Bytes.ToString(CultureInfo.InvariantCulture), "--json"], token);
            using JsonDocument report = JsonDocument.Parse(output);
            JsonElement received = report.RootElement.GetProperty("end").GetProperty("sum_received");
            return memory.Bytes / (received.GetProperty("bits_per_second").GetDouble() / 8);
        }));
    }

    private static void AddSocat(Bench bench)
    {
        if (ChildProcess.Find("socat") is not { } socat)
        {
            bench.Miss(Socat, "socat");
            return;
        }

        // Both ends in one shell, so that both are ended children; the client tries until the server listens.
        bench.AddFileRow(Socat, [], destination =>
        {
            string port = Ports.Free().ToString(CultureInfo.InvariantCulture);
            return
            [
                "sh", "-c",
                $"{socat} -u -b 1048576 OPEN:{bench.Source} TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr & "
                + $"{socat} -u -b 1048576 TCP:127.0.0.1:{port},retry=100,interval=0.01 OPEN:{destination},creat,trunc && wait",
            ];
        });
    }
}
