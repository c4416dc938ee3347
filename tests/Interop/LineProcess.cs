using System.Diagnostics;
using System.Text;
using System.Text.Json;
using FastShare.Testing;

namespace FastShare.Interop;

/// <summary>
/// A program that writes lines, most of them JSON objects. Lines that arrived are kept, so waiting for one that was written earlier
/// succeeds at once. Thread-safe; disposing ends the program.
/// </summary>
internal sealed class LineProcess : IAsyncDisposable
{
    /// <summary>Far beyond what anything here takes; only a hang reaches it.</summary>
    public static readonly TimeSpan HangLimit = TimeSpan.FromSeconds(60);

    private const string NotJson = "notJson";

    private readonly Process _process;
    private readonly Lock _gate = new();
    private readonly List<JsonElement> _lines = []; // guarded by _gate
    private readonly List<(Func<JsonElement, bool> Match, TaskCompletionSource<JsonElement> Found)> _waits = []; // guarded by _gate
    private readonly StringBuilder _errors = new(); // guarded by _gate
    private readonly Task _reading;
    private bool _ended; // guarded by _gate

    private LineProcess(Process process)
    {
        _process = process;
        _reading = Task.WhenAll(ReadOutputAsync(), ReadErrorsAsync());
    }

    public static LineProcess Start(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment.Remove("FASTSHARE_CI");
        return new LineProcess(Process.Start(start)!);
    }

    /// <summary>The first line, past or to come, that satisfies <paramref name="match"/>.</summary>
    public async Task<JsonElement> WaitForAsync(Func<JsonElement, bool> match, string what)
    {
        Task<JsonElement> found;
        lock (_gate)
        {
            foreach (JsonElement line in _lines)
            {
                if (match(line)) return line;
            }

            if (_ended) throw new InvalidOperationException($"{Describe()} ended before it told of {what}");
            var wait = new TaskCompletionSource<JsonElement>(TaskCreationOptions.RunContinuationsAsynchronously);
            _waits.Add((match, wait));
            found = wait.Task;
        }

        try
        {
            return await found.WaitAsync(HangLimit, TestContext.Current.CancellationToken);
        }
        catch (TimeoutException)
        {
            lock (_gate) throw new TimeoutException($"{Describe()} never told of {what}; it told: {string.Join('\n', _lines)}");
        }
    }

    /// <summary>The first event of this name that satisfies <paramref name="match"/>.</summary>
    public Task<JsonElement> EventAsync(string name, Func<JsonElement, bool>? match = null) =>
        WaitForAsync(line => line.TryGetProperty("event", out JsonElement found) && found.GetString() == name && (match is null || match(line)), $"'{name}'");

    /// <summary>Every event of this name so far.</summary>
    public IReadOnlyList<JsonElement> Events(string name)
    {
        lock (_gate) return [.. _lines.Where(line => line.TryGetProperty("event", out JsonElement found) && found.GetString() == name)];
    }

    /// <summary>Lines so far that were not JSON.</summary>
    public IReadOnlyList<string> OtherLines()
    {
        lock (_gate) return [.. _lines.Where(line => line.TryGetProperty(NotJson, out _)).Select(line => line.GetProperty(NotJson).GetString()!)];
    }

    /// <summary>Waits until a text stands in what it wrote to standard error.</summary>
    public Task ErrorTextAsync(string text) => Eventually.BecomesTrueAsync(
        () =>
        {
            lock (_gate) return _errors.ToString().Contains(text, StringComparison.Ordinal);
        },
        $"'{text}' in the errors of {Describe()}");

    public async Task WriteLineAsync(string line)
    {
        await _process.StandardInput.WriteLineAsync(line);
        await _process.StandardInput.FlushAsync();
    }

    /// <summary>Waits for the program's end by itself; the exit code and what it wrote to standard error.</summary>
    public async Task<(int ExitCode, string Errors)> ExitAsync()
    {
        await _process.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(HangLimit);
        await _reading;
        lock (_gate) return (_process.ExitCode, _errors.ToString());
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            _process.StandardInput.Close(); // a js peer ends by this
            await _process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(2));
        }
        catch (Exception e) when (e is TimeoutException or IOException)
        {
            _process.Kill(entireProcessTree: true);
            await _process.WaitForExitAsync();
        }

        await _reading;
        _process.Dispose();
    }

    private string Describe() => $"{Path.GetFileName(_process.StartInfo.FileName)} {string.Join(' ', _process.StartInfo.ArgumentList)} (standard error: {_errors})";

    private async Task ReadOutputAsync()
    {
        while (await _process.StandardOutput.ReadLineAsync() is { } text)
        {
            JsonElement line = Parse(text);
            lock (_gate)
            {
                _lines.Add(line);
                for (int i = _waits.Count - 1; i >= 0; i--)
                {
                    if (!_waits[i].Match(line)) continue;
                    _waits[i].Found.SetResult(line);
                    _waits.RemoveAt(i);
                }
            }
        }

        lock (_gate)
        {
            _ended = true;
            foreach ((_, TaskCompletionSource<JsonElement> found) in _waits) found.SetException(new InvalidOperationException($"{Describe()} ended"));
            _waits.Clear();
        }
    }

    private async Task ReadErrorsAsync()
    {
        while (await _process.StandardError.ReadLineAsync() is { } line)
        {
            lock (_gate) _errors.AppendLine(line);
        }
    }

    private JsonElement Parse(string text)
    {
        try
        {
            return JsonElement.Parse(text);
        }
        catch (JsonException)
        {
            return JsonSerializer.SerializeToElement(new Dictionary<string, string> { [NotJson] = text });
        }
    }
}
