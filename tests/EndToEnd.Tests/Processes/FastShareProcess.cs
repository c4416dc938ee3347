using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace FastShare.EndToEnd.Tests.Processes;

/// <summary>
/// The built <c>fastshare</c> command as a process of its own, with a configuration folder of its own. Disposing kills it.
/// Thread-safe.
/// </summary>
internal sealed partial class FastShareProcess : IAsyncDisposable
{
    /// <summary>Far beyond what any step here takes: only a hang meets it.</summary>
    public static readonly TimeSpan HangLimit = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly Lock _gate = new();
    private readonly List<string> _lines = []; // under _gate
    private readonly StringBuilder _errors = new(); // under _gate
    private readonly Task _output;
    private readonly Task _errorOutput;
    private TaskCompletionSource _more = new(TaskCreationOptions.RunContinuationsAsynchronously); // under _gate

    private FastShareProcess(Process process)
    {
        _process = process;
        _output = ReadAsync(process.StandardOutput, line => _lines.Add(line));
        _errorOutput = ReadAsync(process.StandardError, line => _errors.AppendLine(line));
    }

    /// <summary>The command that <c>FASTSHARE</c> names (a native executable, say), else the one that was built together with these tests.</summary>
    public static string Path { get; } =
        Environment.GetEnvironmentVariable("FASTSHARE") is { Length: > 0 } other ? other : Find("FastShare.Cli", "fastshare");

    /// <summary>The sample <c>queued-files</c> that was built together with these tests.</summary>
    public static string QueuedFiles { get; } = Find("FastShare.Samples.QueuedFiles", "queued-files");

    public int Id => _process.Id;

    /// <summary>Standard output so far.</summary>
    public IReadOnlyList<string> Lines
    {
        get
        {
            lock (_gate) return [.. _lines];
        }
    }

    /// <summary>Standard error so far.</summary>
    public string Errors
    {
        get
        {
            lock (_gate) return _errors.ToString();
        }
    }

    /// <summary>Standard output so far, parsed as JSON lines; fails on a line that is not an object.</summary>
    public IReadOnlyList<JsonElement> Events => [.. Lines.Select(line => JsonDocument.Parse(line).RootElement)];

    /// <summary>Starts the command.</summary>
    /// <param name="folder">Where it runs; holds its configuration folder.</param>
    /// <param name="arguments">Its arguments.</param>
    public static FastShareProcess Start(TestFolder folder, params IEnumerable<string> arguments)
    {
        return Start(folder, new ProcessStartInfo(Path, arguments));
    }

    private static FastShareProcess Start(TestFolder folder, ProcessStartInfo start)
    {
        start.WorkingDirectory = folder.Path;
        start.RedirectStandardInput = true;
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        start.Environment["XDG_CONFIG_HOME"] = folder.Configuration;
        start.Environment["TMPDIR"] = folder.Temporary;
        return new FastShareProcess(Process.Start(start)!);
    }

    /// <summary>Starts another program in the same surroundings.</summary>
    public static FastShareProcess StartProgram(TestFolder folder, string program, params IEnumerable<string> arguments) =>
        Start(folder, new ProcessStartInfo(program, arguments));

    /// <summary>
    /// Starts the command on a terminal of its own, whose screen comes as standard output and whose keyboard is standard input.
    /// </summary>
    public static FastShareProcess StartOnTerminal(TestFolder folder, params IEnumerable<string> arguments)
    {
        const string Script = "/usr/bin/script";
        Assert.SkipUnless(OperatingSystem.IsLinux() && File.Exists(Script), "needs the script command of util-linux to have a terminal");
        string line = string.Join(' ', arguments.Prepend(Path).Select(argument => $"'{argument}'"));
        var start = new ProcessStartInfo(Script, ["-qec", "stty cols 160; exec " + line, "/dev/null"]);
        start.Environment["TERM"] = "xterm-256color";
        return Start(folder, start);
    }

    /// <summary>Runs the command to its end.</summary>
    public static async Task<FastShareProcess> RunAsync(TestFolder folder, params IEnumerable<string> arguments)
    {
        FastShareProcess process = Start(folder, arguments);
        await process.WaitForExitAsync();
        return process;
    }

    public int ExitCode => _process.ExitCode;

    public bool HasExited => _process.HasExited;

    /// <summary>Waits for an event of a kind that satisfies <paramref name="match"/>.</summary>
    public async Task<JsonElement> WaitForEventAsync(string kind, Func<JsonElement, bool>? match = null)
    {
        string line = await WaitForLineAsync(text =>
        {
            using JsonDocument parsed = JsonDocument.Parse(text);
            return parsed.RootElement.GetProperty("event").GetString() == kind && (match is null || match(parsed.RootElement));
        });
        return JsonDocument.Parse(line).RootElement;
    }

    /// <summary>Waits for a line of standard output.</summary>
    public async Task<string> WaitForLineAsync(Func<string, bool> match)
    {
        using var limit = new CancellationTokenSource(HangLimit);
        while (true)
        {
            Task more;
            lock (_gate)
            {
                if (_lines.Find(line => match(line)) is { } line) return line;
                more = _more.Task;
            }

            if (_output.IsCompleted && more == _more.Task) throw new InvalidOperationException($"The awaited line did not come. {this}");
            try
            {
                await Task.WhenAny(more, _output).WaitAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                throw new TimeoutException($"The awaited line did not come. {this}");
            }
        }
    }

    /// <summary>Waits for the end; returns the exit code.</summary>
    public async Task<int> WaitForExitAsync()
    {
        try
        {
            await _process.WaitForExitAsync().WaitAsync(HangLimit);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"The command did not end. {this}");
        }

        await Task.WhenAll(_output, _errorOutput);
        return _process.ExitCode;
    }

    /// <summary>As Ctrl-C.</summary>
    public void Interrupt() => Interrupt(_process.Id);

    /// <summary>As Ctrl-C, for any process.</summary>
    public static void Interrupt(int process)
    {
        const int Sigint = 2;
        Assert.SkipWhen(OperatingSystem.IsWindows(), "signals are a Unix matter");
        if (Kill(process, Sigint) != 0) throw new InvalidOperationException("the signal was not delivered");
    }

    /// <summary>As kill -9: nothing of the command runs after it.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await WaitForExitAsync();
    }

    /// <summary>Types on the command's terminal.</summary>
    public async Task TypeAsync(string keys)
    {
        await _process.StandardInput.WriteAsync(keys);
        await _process.StandardInput.FlushAsync();
    }

    /// <summary>The command's standard input, for bytes.</summary>
    public Stream Input => _process.StandardInput.BaseStream;

    /// <summary>Ends the command's standard input.</summary>
    public void CloseInput() => _process.StandardInput.Close();

    public override string ToString() =>
        $"fastshare {string.Join(' ', _process.StartInfo.ArgumentList)}\n{string.Join('\n', Lines)}\n--- standard error\n{Errors}";

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited) _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync();
        await Task.WhenAll(_output, _errorOutput);
        _process.Dispose();
    }

    private async Task ReadAsync(StreamReader reader, Action<string> add)
    {
        while (await reader.ReadLineAsync() is { } line)
        {
            TaskCompletionSource more;
            lock (_gate)
            {
                add(line);
                more = _more;
                _more = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }

            more.SetResult();
        }
    }

    // bin/CONFIGURATION/net10.0 of these tests, beside the command's own of the same configuration
    private static string Find(string project, string program)
    {
        var output = new DirectoryInfo(AppContext.BaseDirectory.TrimEnd(System.IO.Path.DirectorySeparatorChar));
        string configuration = output.Parent!.Name;
        string name = OperatingSystem.IsWindows() ? $"{program}.exe" : program;
        for (DirectoryInfo? folder = output; folder is not null; folder = folder.Parent)
        {
            string path = System.IO.Path.Combine(
                folder.FullName, "tools", project, "bin", configuration, output.Name, name);
            if (File.Exists(path)) return path;
        }

        throw new FileNotFoundException($"{program} is not built beside {output.FullName}");
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int process, int signal);
}
