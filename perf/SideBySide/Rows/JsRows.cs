using System.Globalization;

namespace FastShare.SideBySide.Rows;

/// <summary>js-libp2p on the perf protocol.</summary>
internal static class JsRows
{
    private const string Row = "js-libp2p, perf protocol";

    public static void Add(Bench bench)
    {
        if (JsLibp2p.Find() is not { } js)
        {
            bench.Miss(Row, "npm ci --ignore-scripts in tests/Interop/js");
            return;
        }

        Server server = bench.Serve("js-libp2p", async token =>
        {
            ChildProcess process = ChildProcess.Start(js.Node, js.Script("perf-listen.mjs"));
            string line = await process.WaitForLineAsync(l => l.Contains("/p2p/", StringComparison.Ordinal), token);
            return (process, line[line.IndexOf("/ip4/", StringComparison.Ordinal)..].TrimEnd().Trim('"', '}', ']'));
        });
        // A quarter of the bytes: it is slow, and the rate does not change.
        Scenario memory = bench.Settings.Memory;
        long bytes = memory.Bytes / 4;
        bench.Add(new Contender(Row, memory, [server], async (meter, token) =>
        {
            (string output, _) = await meter.RunAsync(
                js.Node, [js.Script("perf-dial.mjs"), server.Address, bytes.ToString(CultureInfo.InvariantCulture)], token);
            return double.Parse(output.Trim(), CultureInfo.InvariantCulture) * memory.Bytes / bytes;
        })
        { Share = 0.25 });
    }
}
