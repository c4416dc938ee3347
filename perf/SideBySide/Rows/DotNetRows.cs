using System.Globalization;

namespace FastShare.SideBySide.Rows;

/// <summary>.NET libraries that one would otherwise build on.</summary>
internal static class DotNetRows
{
    private static readonly string _self = Environment.ProcessPath!;

    public static async Task AddAsync(Bench bench, CancellationToken cancellationToken)
    {
        await AddMemoryAsync(bench, "SslStream, TLS 1.3", "ssl", "ssl", cancellationToken);
        await AddMemoryAsync(bench, "Kestrel + HttpClient, HTTP/1.1 TLS", "kestrel", "http1", cancellationToken);
        await AddMemoryAsync(bench, "Kestrel + HttpClient, HTTP/2 TLS", "kestrel", "http2", cancellationToken);
        await AddMemoryAsync(bench, "Nerdbank.Streams, one channel (plaintext)", "nerdbank", "nerdbank", cancellationToken);
    }

    /// <summary>A row that runs this program with other arguments.</summary>
    public static Contender FileRow(Bench bench, string name, IReadOnlyList<ChildProcess> servers, Func<string, string[]> arguments) =>
        new(name, bench.Settings.File, servers, async (meter, token) =>
        {
            string destination = Path.Combine(bench.Work, "destination.bin");
            File.Delete(destination);
            (_, double seconds) = await meter.RunAsync(_self, arguments(destination), token);
            bench.CheckFile(name, destination);
            return seconds;
        });

    private static async Task AddMemoryAsync(Bench bench, string name, string listen, string move, CancellationToken cancellationToken)
    {
        ChildProcess server = bench.Own(ChildProcess.Start(_self, "listen", listen));
        string ready = await server.WaitForLineAsync(line => line.StartsWith("ready ", StringComparison.Ordinal), cancellationToken);
        Scenario memory = bench.Settings.Memory;
        string[] arguments = ["move", move, ready["ready ".Length..].Trim(), memory.Bytes.ToString(CultureInfo.InvariantCulture)];
        bench.Add(new Contender(name, memory, [server], async (meter, token) =>
        {
            (string output, _) = await meter.RunAsync(_self, arguments, token);
            return double.Parse(output, CultureInfo.InvariantCulture);
        }));
    }
}
