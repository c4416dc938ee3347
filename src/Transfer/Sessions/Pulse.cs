namespace FastShare.Transfer.Sessions;

/// <summary>
/// Wakes whoever waits for a change. Take <see cref="Next"/> first, look at the state, then await: no change is missed. Thread-safe.
/// </summary>
internal sealed class Pulse
{
    private TaskCompletionSource? _next; // interlocked

    /// <summary>Completes with the next <see cref="Signal"/>.</summary>
    public Task Next
    {
        get
        {
            while (true)
            {
                TaskCompletionSource? current = Volatile.Read(ref _next);
                if (current is not null) return current.Task;
                var fresh = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                if (Interlocked.CompareExchange(ref _next, fresh, null) is null) return fresh.Task;
            }
        }
    }

    public void Signal() => Interlocked.Exchange(ref _next, null)?.TrySetResult();
}
