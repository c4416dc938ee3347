using System.Globalization;

namespace FastShare.SideBySide.Rows;

/// <summary>js-libp2p on the perf protocol.</summary>
internal static class JsRows
{
    public static async Task AddAsync(Bench bench, CancellationToken cancellationToken)
    {
        if (JsLibp2p.Find() is not { } js)
        {
            bench.Miss("js-libp2p (npm ci --ignore-scripts in tests/Interop/js)");
            return;
        }

        ChildProcess server = bench.Own(ChildProcess.Start(js.Node, js.Script("perf-listen.mjs")));
        string line = await server.WaitForLineAsync(l => l.Contains("/p2p/", StringComparison.Ordinal), cancellationToken);
        string address = line[line.IndexOf("/ip4/", StringComparison.Ordinal)..].TrimEnd().Trim('"', '}', ']');
        // A quarter of the bytes: it is slow, and the rate does not change.
        Scenario memory = bench.Settings.Memory;
        long bytes = memory.Bytes / 4;
        bench.Add(new Contender("js-libp2p, perf protocol", memory, [server], async (meter, token) =>
        {
            (string output, _) = await meter.RunAsync(
                js.Node, [js.Script("perf-dial.mjs"), address, bytes.ToString(CultureInfo.InvariantCulture)], token);
            return double.Parse(output.Trim(), CultureInfo.InvariantCulture) * memory.Bytes / bytes;
        })
        { Share = 0.25 });
    }
}
