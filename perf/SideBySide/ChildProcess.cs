using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace FastShare.SideBySide;

/// <summary>
/// Starts other programs: to their end with their output, or as a server that lives until it is disposed. Each leads a session of its own
/// where there is <c>setsid</c>: Ctrl+C reaches this program only, which ends them.
/// </summary>
internal sealed partial class ChildProcess : IAsyncDisposable
{
    private const int SigInt = 2, SigKill = 9;
    private static readonly string? _setsid = Find("setsid");
    private static readonly Dictionary<int, Process> _alive = []; // guarded by itself
    private static Guard? _guard; // set once, before the first child

    private readonly Process _process;
    private readonly bool _session; // leads a session of its own
    private readonly StringBuilder _output = new(); // guarded by itself
    private readonly List<(Func<string, bool> Match, TaskCompletionSource<string> Line)> _waits = []; // guarded by _output

    private ChildProcess(Process process, bool session)
    {
        _process = process;
        _session = session;
    }

    /// <summary>Its process id.</summary>
    public int Id => _process.Id;

    /// <summary>Whether it has ended.</summary>
    public bool HasExited => _process.HasExited;

    /// <summary>Who ends the children if this program cannot.</summary>
    public static void Use(Guard guard) => _guard = guard;

    /// <summary>Where <paramref name="program"/> stands on the path; null: nowhere.</summary>
    public static string? Find(string program)
    {
        string path = Environment.GetEnvironmentVariable("PATH") + ":/usr/sbin:/sbin";
        return path.Split(':').Where(folder => folder.Length > 0).Select(folder => Path.Combine(folder, program)).FirstOrDefault(File.Exists);
    }

    /// <summary>Runs a program to its end; returns its standard output and the seconds from start to exit.</summary>
    /// <param name="program">The program.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="cancellationToken">Kills it and what it started.</param>
    /// <param name="started">Told its process id.</param>
    /// <exception cref="InvalidOperationException">It ended with an exit code other than 0; the message has its output.</exception>
    public static async Task<(string Output, double Seconds)> RunAsync(
        string program, string[] arguments, CancellationToken cancellationToken, Action<int>? started = null)
    {
        cancellationToken.ThrowIfCancellationRequested();
        using Process process = Create(program, arguments, session: true);
        long start = Stopwatch.GetTimestamp();
        Begin(process);
        try
        {
            started?.Invoke(process.Id);
            process.StandardInput.Close();
            Task<string> output = process.StandardOutput.ReadToEndAsync(cancellationToken);
            Task<string> errors = process.StandardError.ReadToEndAsync(cancellationToken);
            await process.WaitForExitAsync(cancellationToken);
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            if (process.ExitCode == 0) return (await output, seconds);
            string said = $"{await errors} {await output}".Trim();
            throw new InvalidOperationException(string.Create(
                CultureInfo.InvariantCulture, $"{program} ended with {process.ExitCode}{(said.Length > 0 ? ": " : "")}{said} ({string.Join(' ', arguments)})"));
        }
        finally
        {
            await EndAsync(process, session: true);
        }
    }

    /// <summary>Starts a program that stays.</summary>
    public static ChildProcess Start(string program, params string[] arguments) => Start(program, arguments, session: true);

    /// <summary>Likewise, without the detour over <c>setsid</c>: for those whose start is timed.</summary>
    public static ChildProcess StartAtOnce(string program, params string[] arguments) => Start(program, arguments, session: false);

    /// <summary>Ends every child that is still there.</summary>
    public static async Task EndAllAsync()
    {
        Process[] left;
        lock (_alive) left = [.. _alive.Values];
        foreach (Process process in left) await EndAsync(process, session: false);
    }

    /// <summary>Waits for a line of output that satisfies <paramref name="match"/>.</summary>
    /// <exception cref="InvalidOperationException">None came within 20 s, or it ended; the message has its output.</exception>
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
        _ = Kill(Id, SigInt); // gone already is as good
        await _process.WaitForExitAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await EndAsync(_process, _session && !_process.HasExited);
        _process.Dispose();
    }

    private static ChildProcess Start(string program, string[] arguments, bool session)
    {
        Process process = Create(program, arguments, session);
        var child = new ChildProcess(process, session);
        process.OutputDataReceived += (_, e) => child.Append(e.Data);
        process.ErrorDataReceived += (_, e) => child.Append(e.Data);
        Begin(process);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return child;
    }

    private static void Begin(Process process)
    {
        process.Start();
        lock (_alive) _alive.Add(process.Id, process);
        _guard?.Started(process.Id);
    }

    // With everything that it started; what its session's group still holds only where its number cannot be another's by now.
    private static async Task EndAsync(Process process, bool session)
    {
        lock (_alive)
        {
            if (!_alive.TryGetValue(process.Id, out Process? known) || known != process) return;
        }

        try
        {
            if (!process.HasExited) process.Kill(entireProcessTree: true);
        }
        catch (Exception e) when (e is InvalidOperationException or Win32Exception or AggregateException)
        {
            // it ended meanwhile
        }

        await process.WaitForExitAsync();
        if (session && _setsid is not null) _ = Kill(-process.Id, SigKill); // nobody left is an error, and fine
        _guard?.Ended(process.Id);
        lock (_alive) _alive.Remove(process.Id);
    }

    private async Task<string> ArriveAsync(TaskCompletionSource<string> line, CancellationToken cancellationToken)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        try
        {
            Task exit = _process.WaitForExitAsync(ended.Token); // its output has come by then
            await Task.WhenAny(line.Task, exit).WaitAsync(TimeSpan.FromSeconds(20), cancellationToken);
            if (line.Task.IsCompleted) return await line.Task;
        }
        catch (TimeoutException)
        {
        }
        finally
        {
            await ended.CancelAsync();
        }

        string what = _process.HasExited ? string.Create(CultureInfo.InvariantCulture, $"ended with {_process.ExitCode}") : "did not get ready";
        lock (_output) throw new InvalidOperationException($"{_process.StartInfo.FileName} {what}: {_output.ToString().Trim()}");
    }

    private static Process Create(string program, string[] arguments, bool session)
    {
        string[] command = session && _setsid is not null ? [_setsid, program, .. arguments] : [program, .. arguments];
        return new Process
        {
            StartInfo = new ProcessStartInfo(command[0], command[1..])
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
                UseShellExecute = false,
            },
        };
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);

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
