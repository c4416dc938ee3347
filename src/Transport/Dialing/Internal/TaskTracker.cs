namespace FastShare.Transport.Dialing.Internal;

/// <summary>Owns background tasks until they end, so that somebody awaits each. Thread-safe.</summary>
internal sealed class TaskTracker
{
    private readonly Lock _lock = new();
    private readonly HashSet<Task> _tasks = []; // _lock; running, or faulted and not yet reported

    /// <summary>Tasks running now.</summary>
    public int Count
    {
        get
        {
            lock (_lock) return _tasks.Count(t => !t.IsCompleted);
        }
    }

    /// <summary>Starts work on the thread pool. Errors that it does not handle itself show in <see cref="DrainAsync"/>.</summary>
    public void Run(Func<Task> work)
    {
        Task task = Task.Run(work);
        lock (_lock) _tasks.Add(task);
        task.ContinueWith(
            static (done, state) =>
            {
                var tracker = (TaskTracker)state!;
                lock (tracker._lock) tracker._tasks.Remove(done);
            },
            this,
            CancellationToken.None,
            TaskContinuationOptions.OnlyOnRanToCompletion | TaskContinuationOptions.ExecuteSynchronously,
            TaskScheduler.Default);
    }

    /// <summary>Waits until every task has ended, those added meanwhile included. Throws what a task did not handle.</summary>
    public async Task DrainAsync()
    {
        while (true)
        {
            Task[] tasks;
            lock (_lock) tasks = [.. _tasks.Where(t => !t.IsCompletedSuccessfully)];
            if (tasks.Length == 0) return;
            await Task.WhenAll(tasks).ConfigureAwait(false);
        }
    }
}
