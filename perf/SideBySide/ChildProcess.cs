using System.Diagnostics;
using System.Text;

namespace FastShare.SideBySide;

/// <summary>Starts other programs: to their end with their output, or as a server that lives until it is disposed.</summary>
internal sealed class ChildProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly StringBuilder _output = new(); // guarded by itself
    private readonly List<(Func<string, bool> Match, TaskCompletionSource<string> Line)> _waits = []; // guarded by _output

    private ChildProcess(Process process) => _process = process;

    /// <summary>Its process id.</summary>
    public int Id => _process.Id;

    /// <summary>Whether <paramref name="program"/> stands on the path.</summary>
    public static string? Find(string program)
    {
        string path = Environment.GetEnvironmentVariable("PATH") + ":/usr/sbin:/sbin";
        return path.Split(':').Where(folder => folder.Length > 0).Select(folder => Path.Combine(folder, program)).FirstOrDefault(File.Exists);
    }

    /// <summary>Runs a program to its end; returns its standard output and the seconds from start to exit.</summary>
    /// <param name="program">The program.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="cancellationToken">Kills it.</param>
    /// <param name="started">Told its process id.</param>
    /// <exception cref="InvalidOperationException">It ended with an exit code other than 0; the message has its output.</exception>
    public static async Task<(string Output, double Seconds)> RunAsync(
        string program, string[] arguments, CancellationToken cancellationToken, Action<int>? started = null)
    {
        using Process process = Create(program, arguments);
        long start = Stopwatch.GetTimestamp();
        process.Start();
        started?.Invoke(process.Id);
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync(cancellationToken);
        Task<string> errors = process.StandardError.ReadToEndAsync(cancellationToken);
        try
        {
            await process.WaitForExitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }

        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}: {await errors} {await output}");
        return (await output, seconds);
    }

    /// <summary>Starts a program that stays.</summary>
    public static ChildProcess Start(string program, params string[] arguments)
    {
        Process process = Create(program, arguments);
        var child = new ChildProcess(process);
        process.OutputDataReceived += (_, e) => child.Append(e.Data);
        process.ErrorDataReceived += (_, e) => child.Append(e.Data);
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return child;
    }

    /// <summary>Waits for a line of output that satisfies <paramref name="match"/>.</summary>
    public async Task<string> WaitForLineAsync(Func<string, bool> match, CancellationToken cancellationToken)
    {
        var line = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_output)
        {
            foreach (string earlier in _output.ToString().Split('\n'))
            {
                if (match(earlier)) return earlier;
            }

            _waits.Add((match, line));
        }

        return await ArriveAsync(line, cancellationToken);
    }

    /// <summary>Waits for a line that is not there yet.</summary>
    public Task<string> NextLineAsync(Func<string, bool> match, CancellationToken cancellationToken)
    {
        var line = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_output) _waits.Add((match, line));
        return line.Task.WaitAsync(cancellationToken);
    }

    /// <summary>Asks it to end, as Ctrl-C would, and waits until it has.</summary>
    public async Task InterruptAsync()
    {
        using (Process kill = Process.Start("kill", ["-INT", Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]))
            await kill.WaitForExitAsync();
        await _process.WaitForExitAsync();
    }

    private async Task<string> ArriveAsync(TaskCompletionSource<string> line, CancellationToken cancellationToken)
    {
        try
        {
            return await line.Task.WaitAsync(TimeSpan.FromSeconds(20), cancellationToken);
        }
        catch (TimeoutException)
        {
            lock (_output) throw new InvalidOperationException($"{_process.StartInfo.FileName} did not get ready: {_output}");
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
            await _process.WaitForExitAsync();
        }

        _process.Dispose();
    }

    private static Process Create(string program, string[] arguments) => new()
    {
        StartInfo = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        },
    };

    private void Append(string? line)
    {
        if (line is null) return;
        lock (_output)
        {
            _output.Append(line).Append('\n');
            foreach ((Func<string, bool> match, TaskCompletionSource<string> found) in _waits)
            {
                if (match(line)) found.TrySetResult(line);
            }
        }
    }
}
