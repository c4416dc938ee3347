namespace FastShare.SideBySide;

/// <summary>
/// A program that stays while rows use it: started when the first row that is wanted needs it, and again if it died meanwhile, so that what
/// does not start fails its own rows only. Not thread-safe: rows run one after the other.
/// </summary>
/// <param name="name">What it is called where it fails.</param>
/// <param name="start">Starts it and waits until it answers; returns it with what its clients connect to.</param>
internal sealed class Server(string name, Func<CancellationToken, Task<(ChildProcess Process, string Address)>> start) : IAsyncDisposable
{
    private (ChildProcess Process, string Address)? _running;

    /// <summary>Its process.</summary>
    /// <exception cref="InvalidOperationException">It does not run.</exception>
    public ChildProcess Process => Running.Process;

    /// <summary>What its clients connect to: an address or a port, as it told.</summary>
    /// <exception cref="InvalidOperationException">It does not run.</exception>
    public string Address => Running.Address;

    private (ChildProcess Process, string Address) Running => _running ?? throw new InvalidOperationException($"{name} does not run");

    /// <summary>Starts it unless it runs.</summary>
    public async Task EnsureAsync(CancellationToken cancellationToken)
    {
        if (_running is { Process.HasExited: false }) return;
        await DisposeAsync();
        try
        {
            _running = await start(cancellationToken);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            throw new InvalidOperationException($"{name} did not start: {e.Message}", e);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_running is { } running) await running.Process.DisposeAsync();
        _running = null;
    }
}
