using System.Globalization;
using System.Text.Json;

namespace FastShare.SideBySide;

/// <summary>Sets up every server and names every way to move the bytes; what is missing on the machine is told.</summary>
internal sealed class Contenders(Settings settings, string work) : IAsyncDisposable
{
    private readonly List<ChildProcess> _servers = [];
    private readonly List<Contender> _all = [];
    private readonly List<string> _missing = [];

    public IReadOnlyList<Contender> All => _all;

    public IReadOnlyList<string> Missing => _missing;

    private string Source => Path.Combine(work, "source.bin");

    public async Task SetUpAsync(CancellationToken cancellationToken)
    {
        await WriteSourceAsync(cancellationToken);
        await AddIperfAsync(cancellationToken);
        await AddNginxAsync(cancellationToken);
        await AddFastShareAsync(cancellationToken);
        await AddJsLibp2pAsync(cancellationToken);
        await AddScpAsync(cancellationToken);
        _all.Add(FileRow("cp", destination => ["cp", Source, destination]));
    }

    public async ValueTask DisposeAsync()
    {
        foreach (ChildProcess server in _servers) await server.DisposeAsync();
    }

    private async Task WriteSourceAsync(CancellationToken cancellationToken)
    {
        byte[] block = new byte[4 << 20];
        var random = new Random(7);
        await using FileStream file = File.Create(Source);
        for (long written = 0; written < settings.FileBytes; written += block.Length)
        {
            random.NextBytes(block);
            await file.WriteAsync(block.AsMemory(0, (int)Math.Min(block.Length, settings.FileBytes - written)), cancellationToken);
        }
    }

    private async Task AddIperfAsync(CancellationToken cancellationToken)
    {
        if (ChildProcess.Find("iperf3") is not { } iperf)
        {
            _missing.Add("iperf3");
            return;
        }

        string port = Ports.Free().ToString(CultureInfo.InvariantCulture);
        ChildProcess server = ChildProcess.Start(iperf, "-s", "-B", "127.0.0.1", "-p", port, "--forceflush");
        _servers.Add(server);
        await server.WaitForLineAsync(line => line.Contains("listening", StringComparison.OrdinalIgnoreCase), cancellationToken);
        _all.Add(new Contender("iperf3, one stream (plaintext)", Scenarios.Memory, async token =>
        {
            (string output, _) = await ChildProcess.RunAsync(
                iperf, ["-c", "127.0.0.1", "-p", port, "-l", "1M", "-n", settings.MemoryBytes.ToString(CultureInfo.InvariantCulture), "--json"], token);
            using JsonDocument report = JsonDocument.Parse(output);
            JsonElement received = report.RootElement.GetProperty("end").GetProperty("sum_received");
            return settings.MemoryBytes / (received.GetProperty("bits_per_second").GetDouble() / 8);
        }));
    }

    private async Task AddNginxAsync(CancellationToken cancellationToken)
    {
        int http = Ports.Free(), https = Ports.Free();
        if (ChildProcess.Find("curl") is not { } curl || await Nginx.StartAsync(work, work, http, https, cancellationToken) is not { } server)
        {
            _missing.Add("nginx and curl");
            return;
        }

        _servers.Add(server);
        _all.Add(new Contender("nginx + curl, HTTPS", Scenarios.Memory, async token =>
        {
            (string output, _) = await ChildProcess.RunAsync(
                curl, ["-sk", "-o", "/dev/null", "-w", "%{time_total}", $"https://127.0.0.1:{https}/source.bin"], token);
            // The file is read from the page cache; its size is scaled to the scenario's.
            return double.Parse(output, CultureInfo.InvariantCulture) * settings.MemoryBytes / settings.FileBytes;
        }));
        _all.Add(FileRow("nginx + curl, HTTPS", destination => [curl, "-sk", "-o", destination, $"https://127.0.0.1:{https}/source.bin"]));
        _all.Add(FileRow("nginx + curl, HTTP (plaintext)", destination => [curl, "-s", "-o", destination, $"http://127.0.0.1:{http}/source.bin"]));
    }

    private async Task AddFastShareAsync(CancellationToken cancellationToken)
    {
        if (FastShareNodes.Find() is not { } fastshare)
        {
            _missing.Add("fastshare (dotnet build -c Release tools/FastShare.Cli)");
            return;
        }

        foreach (bool insecure in (bool[])[false, true])
        {
            string[] security = insecure ? ["--insecure"] : [];
            string name = insecure ? "fastshare (plaintext)" : "fastshare";
            (ChildProcess perf, string perfAddress) = await FastShareNodes.ListenAsync(fastshare, ["perf", "listen", .. security], cancellationToken);
            _servers.Add(perf);
            _all.Add(new Contender(name, Scenarios.Memory, async token =>
            {
                (string output, _) = await ChildProcess.RunAsync(
                    fastshare,
                    ["perf", perfAddress, "--upload-bytes", settings.MemoryBytes.ToString(CultureInfo.InvariantCulture), .. FastShareNodes.ClientOptions(insecure)],
                    token);
                return settings.MemoryBytes / FastShareNodes.Completed(output, "bytesPerSecond");
            }));

            string folder = Path.Combine(work, insecure ? "in-plain" : "in-noise");
            Directory.CreateDirectory(folder);
            (ChildProcess receive, string address) = await FastShareNodes.ListenAsync(fastshare, ["receive", folder, "--yes", .. security], cancellationToken);
            _servers.Add(receive);
            _all.Add(new Contender(name + ", verified", Scenarios.File, async token =>
            {
                File.Delete(Path.Combine(folder, "source.bin"));
                (_, double seconds) = await ChildProcess.RunAsync(fastshare, ["send", Source, "--to", address, .. FastShareNodes.ClientOptions(insecure)], token);
                return seconds;
            }));
        }
    }

    private async Task AddJsLibp2pAsync(CancellationToken cancellationToken)
    {
        if (JsLibp2p.Find() is not { } js)
        {
            _missing.Add("js-libp2p (npm ci --ignore-scripts in tests/Interop/js)");
            return;
        }

        ChildProcess server = ChildProcess.Start(js.Node, js.Script("perf-listen.mjs"));
        _servers.Add(server);
        string line = await server.WaitForLineAsync(l => l.Contains("/p2p/", StringComparison.Ordinal), cancellationToken);
        string address = line[line.IndexOf("/ip4/", StringComparison.Ordinal)..].TrimEnd().Trim('"', '}', ']');
        // A quarter of the bytes: it is slow, and the rate does not change.
        long bytes = settings.MemoryBytes / 4;
        _all.Add(new Contender("js-libp2p, perf protocol", Scenarios.Memory, async token =>
        {
            (string output, _) = await ChildProcess.RunAsync(
                js.Node, [js.Script("perf-dial.mjs"), address, bytes.ToString(CultureInfo.InvariantCulture)], token);
            return double.Parse(output.Trim(), CultureInfo.InvariantCulture) * settings.MemoryBytes / bytes;
        }));
    }

    private async Task AddScpAsync(CancellationToken cancellationToken)
    {
        int port = Ports.Free();
        if (await Sshd.StartAsync(work, port, cancellationToken) is not { } server)
        {
            _missing.Add("sshd, ssh-keygen and scp");
            return;
        }

        _servers.Add(server);
        string[] options =
        [
            "scp", "-q", "-P", port.ToString(CultureInfo.InvariantCulture), "-i", Path.Combine(work, "user"),
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
        ];
        string remote = $"{Environment.UserName}@127.0.0.1:{Source}";
        _all.Add(FileRow("scp, default cipher", destination => [.. options, remote, destination]));
        _all.Add(FileRow("scp, aes128-gcm", destination => [.. options, "-c", "aes128-gcm@openssh.com", remote, destination]));
    }

    private Contender FileRow(string name, Func<string, string[]> command) => new(name, Scenarios.File, async token =>
    {
        string destination = Path.Combine(work, "destination.bin");
        File.Delete(destination);
        string[] words = command(destination);
        (_, double seconds) = await ChildProcess.RunAsync(words[0], words[1..], token);
        long length = new FileInfo(destination).Length;
        return length == settings.FileBytes ? seconds : throw new InvalidOperationException($"{name} delivered {length} bytes of {settings.FileBytes}");
    });
}
