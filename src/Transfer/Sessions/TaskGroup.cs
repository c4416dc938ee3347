namespace FastShare.Transfer.Sessions;

/// <summary>
/// Tasks that live and end together: the first that fails stops all, and whoever owns the group awaits every one of them.
/// Thread-safe.
/// </summary>
internal sealed class TaskGroup : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly List<Task> _running = []; // guarded by _gate
    private readonly CancellationTokenSource _stop;
    private readonly TaskCompletionSource<Exception> _failed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _stopped; // guarded by _gate
    private bool _disposed; // guarded by _gate

    public TaskGroup(CancellationToken cancellationToken) => _stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);

    /// <summary>Fires when the group stops.</summary>
    public CancellationToken Stopping => _stop.Token;

    /// <summary>Completes with the first failure; never faults.</summary>
    public Task<Exception> Failed => _failed.Task;

    /// <summary>Starts a task on the thread pool; once the group stops, nothing is started any more.</summary>
    /// <returns>Completes when the task ended, however it ended.</returns>
    public Task Run(Func<CancellationToken, Task> work)
    {
        lock (_gate)
        {
            if (_stopped) return Task.CompletedTask;
            Task task = Task.Run(() => GuardAsync(work));
            _running.RemoveAll(static t => t.IsCompleted);
            _running.Add(task);
            return task;
        }
    }

    /// <summary>Stops every task and waits for all. May be called again.</summary>
    public async ValueTask StopAsync()
    {
        Task[] running;
        lock (_gate)
        {
            if (_disposed) return;
            _stopped = true;
            running = [.. _running];
        }

        await _stop.CancelAsync().ConfigureAwait(false);
        await Task.WhenAll(running).ConfigureAwait(false);
    }

    /// <summary>Stops every task and waits for all. By the owner, once nobody starts tasks or stops them any more.</summary>
    public async ValueTask DisposeAsync()
    {
        await StopAsync().ConfigureAwait(false);
        lock (_gate)
        {
            if (_disposed) return;
            _disposed = true;
        }

        _stop.Dispose();
    }

    private async Task GuardAsync(Func<CancellationToken, Task> work)
    {
        CancellationToken stopping = _stop.Token;
        try
        {
            await work(stopping).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // The group is stopping; its reason is told elsewhere.
        }
        catch (Exception e)
        {
            // What fails once the group stops is a consequence of stopping.
            if (!stopping.IsCancellationRequested && _failed.TrySetResult(e)) await _stop.CancelAsync().ConfigureAwait(false);
        }
    }
}
