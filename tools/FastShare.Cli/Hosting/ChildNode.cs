using System.Diagnostics;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using FastShare.Cli.Output;
using FastShare.Transfer;
using FastShare.Transport.Identity;

namespace FastShare.Cli.Hosting;

/// <summary>
/// Another node on this machine, for this one to work with: this program with <c>--json</c> in a process of its own. It ends when its
/// standard input does, so also when this process dies. Disposing it ends it.
/// </summary>
internal sealed class ChildNode : IAsyncDisposable
{
    private static readonly TimeSpan _startLimit = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan _endLimit = TimeSpan.FromSeconds(10);

    private readonly Process _process;
    private readonly StringBuilder _diagnostics = new(); // under its own lock
    private readonly TaskCompletionSource<ListeningEvent> _listening = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Channel<StatisticsEvent> _statistics = Channel.CreateBounded<StatisticsEvent>(
        new BoundedChannelOptions(16) { FullMode = BoundedChannelFullMode.DropOldest });

    private readonly long _started = TimeProvider.System.GetTimestamp();
    private readonly Task _output;
    private readonly Task _errors;

    private ChildNode(Process process)
    {
        _process = process;
        _output = ReadOutputAsync();
        _errors = ReadErrorsAsync();
    }

    public int ProcessId => _process.Id;

    /// <summary>Processor time that it has used.</summary>
    public TimeSpan ProcessorTime
    {
        get
        {
            _process.Refresh();
            return _process.HasExited ? TimeSpan.Zero : _process.TotalProcessorTime;
        }
    }

    /// <summary>The time since the process started.</summary>
    public TimeSpan Age => TimeProvider.System.GetElapsedTime(_started);

    /// <summary>Starts the process, which listens on the loopback interface with a fresh identity.</summary>
    /// <param name="command">A command that ends with its standard input, with its arguments and options.</param>
    public static ChildNode Start(params IEnumerable<string> command)
    {
        string[] arguments = [.. command, "--listen", "/ip4/127.0.0.1/tcp/0", "--ephemeral", "--json", "--exit-with-stdin"];
        string program = Environment.ProcessPath ?? throw new InvalidOperationException("the path of this program is not known");
        // `dotnet fastshare.dll`: the process is the host, and the program its first argument
        if (Path.GetFileNameWithoutExtension(program).Equals("dotnet", StringComparison.OrdinalIgnoreCase))
            arguments = [Path.Combine(AppContext.BaseDirectory, "fastshare.dll"), .. arguments];
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        return new ChildNode(Process.Start(start) ?? throw new InvalidOperationException($"'{program}' did not start"));
    }

    /// <summary>Waits until the process listens; returns its peer and addresses.</summary>
    public async Task<(PeerId Peer, IReadOnlyList<Multiaddr> Addresses)> WaitUntilListeningAsync(CancellationToken cancellationToken)
    {
        try
        {
            ListeningEvent listening = await _listening.Task.WaitAsync(_startLimit, cancellationToken);
            return (PeerId.Parse(listening.Peer), [.. listening.Addresses.Select(Multiaddr.Parse)]);
        }
        catch (Exception e) when (e is TimeoutException or EndOfStreamException)
        {
            string said;
            lock (_diagnostics) said = _diagnostics.ToString().Trim();
            string what = _process.HasExited ? "ended at once" : "did not get ready";
            throw new TransferException(TransferError.PeerNotReachable, $"the other process {what}: {said}", e);
        }
    }

    /// <summary>The next statistics that it tells of a transfer, or those that nobody asked for yet; null: none come in time.</summary>
    public async Task<StatisticsEvent?> NextStatisticsAsync(TimeSpan patience, CancellationToken cancellationToken)
    {
        try
        {
            return await _statistics.Reader.ReadAsync(cancellationToken).AsTask().WaitAsync(patience, cancellationToken);
        }
        catch (Exception e) when (e is TimeoutException or ChannelClosedException)
        {
            return null;
        }
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            _process.StandardInput.Close();
            await _process.WaitForExitAsync().WaitAsync(_endLimit);
        }
        catch (Exception e) when (e is TimeoutException or IOException)
        {
            _process.Kill(entireProcessTree: true);
            await _process.WaitForExitAsync();
        }

        await Task.WhenAll(_output, _errors);
        _process.Dispose();
    }

    private async Task ReadOutputAsync()
    {
        while (await _process.StandardOutput.ReadLineAsync() is { } line)
        {
            using JsonDocument parsed = JsonDocument.Parse(line);
            switch (parsed.RootElement.GetProperty("event").GetString())
            {
                case "listening":
                    _listening.TrySetResult(JsonSerializer.Deserialize(line, CliEventContext.Default.ListeningEvent)!);
                    break;
                case "statistics":
                    _statistics.Writer.TryWrite(JsonSerializer.Deserialize(line, CliEventContext.Default.StatisticsEvent)!);
                    break;
                case "error" when !_listening.Task.IsCompleted:
                    Note(parsed.RootElement.GetProperty("message").GetString());
                    break;
            }
        }

        _statistics.Writer.TryComplete();
        _listening.TrySetException(new EndOfStreamException());
    }

    private async Task ReadErrorsAsync()
    {
        while (await _process.StandardError.ReadLineAsync() is { } line) Note(line);
    }

    private void Note(string? line)
    {
        // enough to say why it did not start
        lock (_diagnostics)
        {
            if (_diagnostics.Length < 4000) _diagnostics.AppendLine(line);
        }
    }
}
