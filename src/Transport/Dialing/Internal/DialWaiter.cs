namespace FastShare.Transport.Dialing.Internal;

/// <summary>
/// One caller that waits for a connection. Guarded by its <see cref="PendingConnections{TConnection}"/>'s lock unless stated
/// otherwise.
/// </summary>
/// <param name="takesAny">Whether any shared connection will do, not only one of the dial that it waits for.</param>
internal sealed class DialWaiter<TConnection>(bool takesAny)
    where TConnection : class
{
    // Immutable; continuations never run under the lock.
    private readonly TaskCompletionSource<TConnection> _result = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public bool TakesAny { get; } = takesAny;

    /// <summary>What it waits for; null once it has its result or has left.</summary>
    public PendingDial<TConnection>? Dial { get; set; }

    /// <summary>What was tried by dials that failed while another one could still serve this caller.</summary>
    public IReadOnlyList<DialAttempt> EarlierAttempts { get; set; } = [];

    /// <summary>The connection, or why there is none. Thread-safe.</summary>
    public Task<TConnection> Result => _result.Task;

    public void Complete(TConnection connection)
    {
        Dial = null;
        _result.SetResult(connection);
    }

    public void Fail(TransportException error)
    {
        Dial = null;
        _result.SetException(error);
        _ = _result.Task.Exception; // observed: the caller may be about to leave
    }
}
