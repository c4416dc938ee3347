using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace FastShare.SideBySide.Tests;

/// <summary>The runner as a process of its own, with programs of the test's before all others on its path. Disposing kills it.</summary>
internal sealed class RunnerProcess : IDisposable
{
    private static readonly TimeSpan _hangLimit = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly StringBuilder _output = new(); // guarded by itself

    private RunnerProcess(Process process)
    {
        _process = process;
        process.OutputDataReceived += (_, e) => Append(e.Data);
        process.ErrorDataReceived += (_, e) => Append(e.Data);
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    public int ExitCode => _process.ExitCode;

    /// <summary>Standard output and standard error so far.</summary>
    public string Output
    {
        get
        {
            lock (_output) return _output.ToString();
        }
    }

    /// <summary>Starts it in a folder, which is also where its files stand.</summary>
    public static RunnerProcess Start(TemporaryFolder folder, params string[] arguments)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "FastShare.SideBySide"), [.. arguments, "--disk", "none", "--folder", folder.Path])
        {
            WorkingDirectory = folder.Path,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["PATH"] = folder.Path + ":" + Environment.GetEnvironmentVariable("PATH");
        return new RunnerProcess(new Process { StartInfo = start });
    }

    public Task WaitAsync() => _process.WaitForExitAsync().WaitAsync(_hangLimit);

    public async Task SignalAsync(string signal)
    {
        // the shell's own: not every system has a program of that name
        using var kill = Process.Start("sh", ["-c", string.Create(CultureInfo.InvariantCulture, $"kill -{signal} {_process.Id}")]);
        await kill.WaitForExitAsync();
    }

    /// <summary>Puts an executable script into the folder.</summary>
    public static void Write(TemporaryFolder folder, string name, string script)
    {
        string path = folder.File(name);
        File.WriteAllText(path, "#!/bin/sh\n" + script);
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserExecute);
    }

    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill(entireProcessTree: true);
        _process.Dispose();
    }

    private void Append(string? line)
    {
        if (line is null) return;
        lock (_output) _output.AppendLine(line);
    }
}
