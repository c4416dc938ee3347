namespace FastShare.Transfer.Scheduling;

/// <summary>
/// Bytes that a transfer's chunks may take between disk and connection. Who wants more than is left waits, in the order of coming.
/// Thread-safe.
/// </summary>
/// <param name="limit">How many bytes; a single larger wish is granted when nothing else is taken.</param>
/// <param name="node">Its part of this is a limit, too. What was taken before the part became smaller stays taken.</param>
internal sealed class MemoryBudget(long limit, NodeMemory? node = null)
{
    private readonly Lock _gate = new();
    private readonly Queue<Waiter> _waiting = []; // guarded by _gate
    private long _used; // guarded by _gate

    public long Used
    {
        get
        {
            lock (_gate) return _used;
        }
    }

    /// <summary>Takes bytes; they are to be given back with <see cref="Release"/>.</summary>
    public ValueTask TakeAsync(int bytes, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested) return ValueTask.FromCanceled(cancellationToken);
        Waiter waiter;
        lock (_gate)
        {
            if (_waiting.Count == 0 && Fits(bytes))
            {
                _used += bytes;
                return default;
            }

            waiter = new Waiter(bytes);
            _waiting.Enqueue(waiter);
        }

        return WaitAsync(waiter, cancellationToken);
    }

    public void Release(int bytes)
    {
        lock (_gate)
        {
            _used -= bytes;
            while (_waiting.TryPeek(out Waiter? next) && (next.Task.IsCompleted || Fits(next.Bytes)))
            {
                _waiting.Dequeue();
                // One that was cancelled takes nothing.
                if (next.TrySetResult()) _used += next.Bytes;
            }
        }
    }

    private bool Fits(int bytes) => _used == 0 || _used + bytes <= Math.Min(limit, node?.Part ?? limit);

    private async ValueTask WaitAsync(Waiter waiter, CancellationToken cancellationToken)
    {
        using (cancellationToken.UnsafeRegister(
            static (waiter, token) => ((Waiter)waiter!).TrySetCanceled(token), waiter))
        {
            try
            {
                await waiter.Task.ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                // It may have stood in front of smaller wishes that fit.
                Release(0);
                throw;
            }
        }
    }

    private sealed class Waiter(int bytes) : TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        public int Bytes => bytes;
    }
}
