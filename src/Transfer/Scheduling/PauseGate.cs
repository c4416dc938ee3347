namespace FastShare.Transfer.Scheduling;

/// <summary>Lets chunks pass, or makes them wait while a transfer is paused. Thread-safe.</summary>
internal sealed class PauseGate
{
    private TaskCompletionSource? _closed; // interlocked

    public bool IsClosed => Volatile.Read(ref _closed) is not null;

    /// <summary>False: it was closed already.</summary>
    public bool Close() =>
        Interlocked.CompareExchange(ref _closed, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously), null) is null;

    /// <summary>False: it was open already.</summary>
    public bool Open()
    {
        TaskCompletionSource? closed = Interlocked.Exchange(ref _closed, null);
        closed?.TrySetResult();
        return closed is not null;
    }

    /// <summary>Waits while the gate is closed.</summary>
    public ValueTask PassAsync(CancellationToken cancellationToken) => IsClosed ? WaitAsync(cancellationToken) : default;

    private async ValueTask WaitAsync(CancellationToken cancellationToken)
    {
        while (Volatile.Read(ref _closed) is { } closed) await closed.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
    }
}
