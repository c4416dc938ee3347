using System.Globalization;
using FastShare.SideBySide.DotNet;

namespace FastShare.SideBySide.Rows;

/// <summary>Programs that do only the unavoidable: how far a goal can be reached on this machine at all. See <see cref="LimitPeer"/>.</summary>
internal static class LimitRows
{
    public const string Memory = "limit: AES-256-GCM and socket", File = "limit: read, AES-256-GCM, socket, XXH128, write";

    private static readonly string _self = Environment.ProcessPath!;

    public static async Task AddAsync(Bench bench, CancellationToken cancellationToken)
    {
        Scenario memory = bench.Settings.Memory;
        (ChildProcess server, string port) = await ListenAsync(bench, [], cancellationToken);
        bench.Add(new Contender(Memory, memory, [server], async (meter, token) =>
        {
            (string output, _) = await meter.RunAsync(_self, ["move", "limit", port, memory.Bytes.ToString(CultureInfo.InvariantCulture)], token);
            return double.Parse(output, CultureInfo.InvariantCulture);
        }));

        string destination = Path.Combine(bench.Work, "limit.bin");
        (ChildProcess writer, string filePort) = await ListenAsync(bench, [destination], cancellationToken);
        string bytes = bench.Settings.FileBytes.ToString(CultureInfo.InvariantCulture);
        bench.Add(new Contender(File, bench.Settings.File, [writer], async (meter, token) =>
        {
            System.IO.File.Delete(destination);
            // Its own time, not its process's: starting the runtime is no part of the limit.
            (string output, _) = await meter.RunAsync(_self, ["move", "limit", filePort, bytes, bench.Source], token);
            bench.CheckFile(File, destination);
            return double.Parse(output, CultureInfo.InvariantCulture);
        }));
    }

    private static async Task<(ChildProcess Server, string Port)> ListenAsync(Bench bench, string[] more, CancellationToken cancellationToken)
    {
        ChildProcess server = bench.Own(ChildProcess.Start(_self, ["listen", "limit", .. more]));
        string ready = await server.WaitForLineAsync(line => line.StartsWith("ready ", StringComparison.Ordinal), cancellationToken);
        return (server, ready["ready ".Length..].Trim());
    }
}
