using System.Globalization;

namespace FastShare.SideBySide.Rows;

/// <summary>.NET libraries that one would otherwise build on, and what else this program runs as two processes of itself.</summary>
internal static class DotNetRows
{
    // Where it is not started by a host of its own, as in tests, by the one that runs it.
    private static readonly string _assembly = typeof(DotNetRows).Assembly.Location, _host = Path.ChangeExtension(_assembly, null);

    private static readonly string[] _self = File.Exists(_host) ? [_host] : ["dotnet", _assembly];

    public static void Add(Bench bench)
    {
        AddMemory(bench, "SslStream, TLS 1.3", "ssl", "ssl");
        Server kestrel = Listen(bench, "kestrel");
        AddMemory(bench, "Kestrel + HttpClient, HTTP/1.1 TLS", kestrel, "http1");
        AddMemory(bench, "Kestrel + HttpClient, HTTP/2 TLS", kestrel, "http2");
        AddMemory(bench, "Nerdbank.Streams, one channel (plaintext)", "nerdbank", "nerdbank");
    }

    private const string Served = "served ";

    /// <summary>This program as a server that says <c>ready</c> and its port; that is its address.</summary>
    public static Server Listen(Bench bench, params string[] what) => bench.Serve($"listen {string.Join(' ', what)}", async token =>
    {
        ChildProcess process = ChildProcess.Start(_self[0], [.. _self[1..], "listen", .. what]);
        string ready = await process.WaitForLineAsync(line => line.StartsWith("ready ", StringComparison.Ordinal), token);
        return (process, ready["ready ".Length..].Trim());
    });

    /// <summary>This program as a client of a server of its own; returns the seconds it took, and tells what both allocated.</summary>
    public static async Task<double> MoveAsync(Server server, Scenario scenario, Meter meter, string[] arguments, CancellationToken cancellationToken)
    {
        Task<string> served = server.Process.NextLineAsync(line => line.StartsWith(Served, StringComparison.Ordinal), cancellationToken);
        (string output, _) = await meter.RunAsync(_self[0], [.. _self[1..], "move", .. arguments], cancellationToken);
        (double seconds, long allocated) = Read(output);
        string there = await served.WaitAsync(TimeSpan.FromSeconds(20), cancellationToken);
        allocated += long.Parse(there.AsSpan(Served.Length), CultureInfo.InvariantCulture);
        meter.Figures[FastShareNodes.Allocated] = FastShareNodes.KibPerMib(allocated, scenario.Bytes);
        return seconds;
    }

    /// <summary>What this program tells with other arguments.</summary>
    public static async Task<string> RunAsync(Meter meter, string[] arguments, CancellationToken cancellationToken) =>
        (await meter.RunAsync(_self[0], [.. _self[1..], .. arguments], cancellationToken)).Output;

    private static (double Seconds, long Allocated) Read(string output)
    {
        string[] words = output.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        return (double.Parse(words[0], CultureInfo.InvariantCulture), long.Parse(words[1], CultureInfo.InvariantCulture));
    }

    /// <summary>A row that runs this program with other arguments, against a server that is not managed; the life of its process counts.</summary>
    public static Contender FileRow(Bench bench, string name, IReadOnlyList<Server> servers, Func<string, string[]> arguments)
    {
        string destination = Path.Combine(bench.Work, "destination.bin");
        return new Contender(name, bench.Settings.File, servers, async (meter, token) =>
        {
            File.Delete(destination);
            (string output, double seconds) = await meter.RunAsync(_self[0], [.. _self[1..], .. arguments(destination)], token);
            bench.CheckFile(name, destination);
            meter.Figures[FastShareNodes.Allocated] = FastShareNodes.KibPerMib(Read(output).Allocated, bench.Settings.FileBytes);
            return seconds;
        })
        { Leaves = destination };
    }

    /// <summary>A row from memory to memory: <c>listen</c> and <c>move</c>.</summary>
    public static void AddMemory(Bench bench, string name, string listen, string move) => AddMemory(bench, name, Listen(bench, listen), move);

    private static void AddMemory(Bench bench, string name, Server server, string move)
    {
        Scenario memory = bench.Settings.Memory;
        string bytes = memory.Bytes.ToString(CultureInfo.InvariantCulture);
        bench.Add(new Contender(name, memory, [server], (meter, token) =>
            MoveAsync(server, memory, meter, [move, server.Address, bytes], token)));
    }
}
