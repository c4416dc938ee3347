namespace FastShare.EndToEnd.Tests.KillStorm;

/// <summary>
/// Looks at a destination while files arrive: whatever stands under a final name has its full content, mode and time from the first moment
/// on. Each file is read when it is first seen, and all again on <see cref="LookAtAll"/>. Disposing ends the watch.
/// </summary>
internal sealed class DestinationWatcher : IAsyncDisposable
{
    private static readonly TimeSpan _pause = TimeSpan.FromMilliseconds(10);

    private readonly StormTree _tree;
    private readonly string _destination;
    private readonly HashSet<string> _seen = new(StringComparer.Ordinal); // the watching task's
    private readonly CancellationTokenSource _end = new();
    private readonly Task _watching;
    private volatile string? _fault; // the first

    public DestinationWatcher(StormTree tree, string destination)
    {
        _tree = tree;
        _destination = destination;
        _watching = Task.Run(WatchAsync);
    }

    /// <summary>The first thing seen that should not have been; null: nothing.</summary>
    public string? Fault => _watching.IsFaulted ? _watching.Exception.ToString() : _fault;

    /// <summary>Reads everything that stands there under a final name.</summary>
    /// <returns>How many files do.</returns>
    public int LookAtAll()
    {
        int files = 0;
        foreach (string file in StormTree.FinalFiles(_destination))
        {
            files++;
            if (_tree.FaultOf(_destination, file) is { } fault) _fault ??= fault;
        }

        return files;
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        await _watching;
        _end.Dispose();
    }

    private async Task WatchAsync()
    {
        while (!_end.IsCancellationRequested)
        {
            foreach (string file in StormTree.FinalFiles(_destination))
            {
                if (_seen.Add(file) && _tree.FaultOf(_destination, file) is { } fault) _fault ??= fault;
            }

            await Task.Delay(_pause, _end.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }
}
