namespace FastShare.Transport.Requests.Internal;

/// <summary>Counts work under way, so that its owner can wait for the end of all of it. Thread-safe.</summary>
internal sealed class ActivityCount
{
    private readonly TaskCompletionSource _none = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _count = 1; // interlocked; the owner counts until it drains

    public void Enter() => Interlocked.Increment(ref _count);

    public void Leave()
    {
        if (Interlocked.Decrement(ref _count) == 0) _none.TrySetResult();
    }

    /// <summary>Waits until all work has ended. Called once.</summary>
    public Task DrainAsync()
    {
        Leave();
        return _none.Task;
    }
}
