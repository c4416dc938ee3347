using System.Threading.Tasks.Sources;

namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>
/// Wakes one loop when there is work. Setting is remembered once; waiting clears it. Setting is thread-safe, never runs the loop
/// inline, and allocates nothing; one waiter at a time.
/// </summary>
internal sealed class WakeSignal : IValueTaskSource
{
    private const int Idle = 0;
    private const int Set = 1;
    private const int Waiting = 2;

    private ManualResetValueTaskSourceCore<bool> _core = new() { RunContinuationsAsynchronously = true };
    private int _state; // interlocked: one of the above

    /// <summary>Wakes the waiter, or the next one to come.</summary>
    public void Wake()
    {
        // Whoever replaces Waiting owes the waiter its result.
        if (Interlocked.CompareExchange(ref _state, Set, Idle) != Waiting) return;
        if (Interlocked.CompareExchange(ref _state, Idle, Waiting) == Waiting) _core.SetResult(true);
        else Wake();
    }

    /// <summary>Completes at once if the signal is set, otherwise with the next <see cref="Wake"/>.</summary>
    public ValueTask WaitAsync()
    {
        _core.Reset();
        if (Interlocked.CompareExchange(ref _state, Waiting, Idle) == Idle) return new ValueTask(this, _core.Version);
        Volatile.Write(ref _state, Idle);
        return ValueTask.CompletedTask;
    }

    void IValueTaskSource.GetResult(short token) => _core.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);
}
