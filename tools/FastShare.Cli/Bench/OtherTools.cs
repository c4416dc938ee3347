using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using FastShare.Cli.Hosting;

namespace FastShare.Cli.Bench;

/// <summary>What another program on this machine did with the same amount.</summary>
/// <param name="Name">The program, and how it was used.</param>
/// <param name="IsFile">From file to file; otherwise from memory to memory.</param>
/// <param name="BytesPerSecond">Null: it is not there, or failed.</param>
/// <param name="Problem">Why there is no figure; null: there is one.</param>
internal sealed record OtherTool(string Name, bool IsFile, double? BytesPerSecond, string? Problem);

/// <summary>
/// <c>bench --compare</c>: what people would otherwise use, where it is installed, on the same machine, folder and amount, once each. A look
/// aside, no measurement to publish: perf/SideBySide in FastShare's repository is that.
/// </summary>
/// <param name="folder">Where files stand.</param>
/// <param name="bytes">Size of the file, and amount from memory to memory.</param>
/// <param name="context">What the command runs with.</param>
internal sealed class OtherTools(string folder, long bytes, CommandContext context)
{
    private static readonly TimeSpan _patience = TimeSpan.FromMinutes(2);

    public async Task<IReadOnlyList<OtherTool>> RunAsync()
    {
        string place = Path.Combine(folder, BenchFile.NamePrefix + Guid.NewGuid().ToString("N")[..8]);
        Directory.CreateDirectory(place);
        try
        {
            var file = new Demo.DemoFile("source.bin", bytes);
            await Demo.DemoFiles.CreateAsync(place, [file], context.Output, context.TimeProvider, context.Stop);
            string source = Path.Combine(place, file.Name), copy = Path.Combine(place, "copy.bin");
            return
            [
                await TryAsync("iperf3, one stream, plaintext", false, "iperf3", IperfAsync),
                await TryAsync("cp", true, "cp", cp => CopyAsync(copy, cp, source, copy)),
                await TryAsync("rsync, local copy", true, "rsync", rsync => CopyAsync(copy, rsync, "--whole-file", source, copy)),
            ];
        }
        finally
        {
            Directory.Delete(place, recursive: true);
        }
    }

    private async Task<OtherTool> TryAsync(string name, bool isFile, string program, Func<string, Task<double>> runAsync)
    {
        string? path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Where(entry => entry.Length > 0)
            .Select(entry => Path.Combine(entry, program)).FirstOrDefault(File.Exists);
        if (path is null) return new OtherTool(name, isFile, null, $"{program} is not installed");
        try
        {
            double seconds = await runAsync(path);
            return seconds > 0 ? new OtherTool(name, isFile, bytes / seconds, null) : new OtherTool(name, isFile, null, "it was over at once");
        }
        catch (Exception e) when (e is IOException or InvalidOperationException or JsonException or KeyNotFoundException or TimeoutException or System.ComponentModel.Win32Exception)
        {
            return new OtherTool(name, isFile, null, e.Message);
        }
    }

    private async Task<double> CopyAsync(string copy, string program, params string[] arguments)
    {
        File.Delete(copy);
        long start = context.TimeProvider.GetTimestamp();
        await RunAsync(program, arguments);
        double seconds = context.TimeProvider.GetElapsedTime(start).TotalSeconds;
        if (new FileInfo(copy).Length != bytes) throw new InvalidOperationException("it did not copy everything");
        File.Delete(copy);
        return seconds;
    }

    private async Task<double> IperfAsync(string iperf)
    {
        string port = FreePort();
        await using Background server = Background.Start(iperf, "-s", "-1", "-B", "127.0.0.1", "-p", port);
        for (int attempt = 0; ; attempt++)
        {
            try
            {
                string output = await RunAsync(iperf, "-c", "127.0.0.1", "-p", port, "-n", Text(bytes), "-l", "1M", "--json");
                using JsonDocument report = JsonDocument.Parse(output);
                double bits = report.RootElement.GetProperty("end").GetProperty("sum_received").GetProperty("bits_per_second").GetDouble();
                return bits > 0 ? bytes * 8 / bits : 0;
            }
            catch (InvalidOperationException) when (attempt < 20 && !server.HasExited)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(50), context.TimeProvider, context.Stop); // it does not listen yet
            }
        }
    }

    private async Task<string> RunAsync(string program, params string[] arguments)
    {
        await using Background process = Background.Start(program, arguments);
        return await process.EndAsync(_patience, context.Stop);
    }

    private static string FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return Text(((IPEndPoint)socket.LocalEndPoint!).Port);
    }

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    /// <summary>Another program, ended with everything that it started when it is disposed.</summary>
    private sealed class Background(Process process) : IAsyncDisposable
    {
        public bool HasExited => process.HasExited;

        public static Background Start(string program, params string[] arguments) => new(
            Process.Start(new ProcessStartInfo(program, arguments)
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            }) ?? throw new InvalidOperationException($"{program} did not start"));

        /// <summary>Waits for its end; returns its standard output.</summary>
        public async Task<string> EndAsync(TimeSpan patience, CancellationToken cancellationToken)
        {
            Task<string> output = process.StandardOutput.ReadToEndAsync(cancellationToken);
            Task<string> errors = process.StandardError.ReadToEndAsync(cancellationToken);
            await process.WaitForExitAsync(cancellationToken).WaitAsync(patience, cancellationToken);
            return process.ExitCode == 0
                ? await output
                : throw new InvalidOperationException($"it ended with {process.ExitCode.ToString(CultureInfo.InvariantCulture)}: {(await errors).Trim()}");
        }

        public async ValueTask DisposeAsync()
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
                await process.WaitForExitAsync();
            }

            process.Dispose();
        }
    }
}
