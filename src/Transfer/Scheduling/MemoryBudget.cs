using System.Runtime.CompilerServices;
using System.Threading.Tasks.Sources;

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
    private readonly Stack<Waiter> _idle = []; // guarded by _gate: as many as ever waited at once
    private long _used; // guarded by _gate

    public long Used
    {
        get
        {
            lock (_gate) return _used;
        }
    }

    /// <summary>Takes bytes; they are to be given back with <see cref="Release"/>. To be awaited once.</summary>
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

            waiter = _idle.TryPop(out Waiter? idle) ? idle : new Waiter(this);
            waiter.Bytes = bytes;
            _waiting.Enqueue(waiter);
        }

        return WaitAsync(waiter, cancellationToken);
    }

    public void Release(int bytes)
    {
        lock (_gate)
        {
            _used -= bytes;
            while (_waiting.TryPeek(out Waiter? next) && (next.IsSettled || Fits(next.Bytes)))
            {
                _waiting.Dequeue();
                // One that was cancelled takes nothing.
                if (next.IsSettled) continue;
                _used += next.Bytes;
                next.Grant();
            }
        }
    }

    private bool Fits(int bytes) => _used == 0 || _used + bytes <= Math.Min(limit, node?.Part ?? limit);

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask WaitAsync(Waiter waiter, CancellationToken cancellationToken)
    {
        try
        {
            // Disposing waits for a cancellation that is just being told: from then on nobody else has the waiter.
            using (cancellationToken.UnsafeRegister(static (waiter, token) => ((Waiter)waiter!).Cancel(token), waiter))
                await waiter.Granted.ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // It may have stood in front of smaller wishes that fit. It may stand there still, so it is not used again.
            Release(0);
            throw;
        }

        lock (_gate)
        {
            waiter.Reset();
            _idle.Push(waiter);
        }
    }

    /// <summary>Who waits: used again, as a sender that is faster than its network waits for every chunk.</summary>
    private sealed class Waiter(MemoryBudget budget) : IValueTaskSource
    {
        private ManualResetValueTaskSourceCore<bool> _granted = new() { RunContinuationsAsynchronously = true };

        public int Bytes { get; set; } // guarded by _gate

        /// <summary>Whether it was granted or cancelled.</summary>
        public bool IsSettled { get; private set; } // guarded by _gate

        public ValueTask Granted => new(this, _granted.Version);

        /// <summary>With the budget's lock held.</summary>
        public void Grant()
        {
            IsSettled = true;
            _granted.SetResult(true);
        }

        public void Cancel(CancellationToken cancellationToken)
        {
            lock (budget._gate)
            {
                if (IsSettled) return;
                IsSettled = true;
            }

            _granted.SetException(new OperationCanceledException(cancellationToken));
        }

        /// <summary>With the budget's lock held.</summary>
        public void Reset()
        {
            IsSettled = false;
            _granted.Reset();
        }

        public void GetResult(short token) => _granted.GetResult(token);

        public ValueTaskSourceStatus GetStatus(short token) => _granted.GetStatus(token);

        public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
            _granted.OnCompleted(continuation, state, token, flags);
    }
}
