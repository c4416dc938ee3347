using System.Runtime.CompilerServices;
using FastShare.Transport.Dialing.Internal;

namespace FastShare.Transport;

/// <summary>
/// Hands events to any number of readers, each at its own pace; costs nothing while there is none. Publishing never waits. Thread-safe.
/// </summary>
/// <param name="capacity">Events kept for one reader; then its oldest are lost.</param>
internal sealed class EventFeed<T>(int capacity)
    where T : class
{
    private readonly Lock _lock = new();
    private Reader[] _readers = []; // replaced as a whole under _lock, read without
    private bool _closing; // _lock
    private bool _completed; // _lock

    /// <summary>Whether anybody listens: otherwise events need not be made.</summary>
    public bool IsWatched => Volatile.Read(ref _readers).Length > 0;

    public void Publish(T change)
    {
        // Under the lock, so that all readers see one order.
        lock (_lock)
        {
            foreach (Reader reader in _readers)
            {
                if (!_closing && reader.Events.Count >= capacity) reader.Events.Dequeue();
                reader.Events.Enqueue(change);
                reader.News.Set();
            }
        }
    }

    /// <summary>
    /// What comes now is the end of what is open, and so bounded by it: no event is lost any more. <see cref="Complete"/> follows.
    /// </summary>
    public void BeginClosing()
    {
        lock (_lock) _closing = true;
    }

    /// <summary>Ends every reader behind what it has not read yet.</summary>
    public void Complete()
    {
        lock (_lock)
        {
            _completed = true;
            foreach (Reader reader in _readers) reader.News.Set();
        }
    }

    /// <summary>Events from this call on, not only from the first read.</summary>
    public IAsyncEnumerable<T> WatchAsync(CancellationToken cancellationToken)
    {
        var reader = new Reader();
        lock (_lock) Volatile.Write(ref _readers, [.. _readers, reader]);
        return ReadAsync(reader, cancellationToken);
    }

    private async IAsyncEnumerable<T> ReadAsync(Reader reader, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                T? change;
                bool ended;
                lock (_lock)
                {
                    reader.Events.TryDequeue(out change);
                    ended = _completed;
                }

                cancellationToken.ThrowIfCancellationRequested();
                if (change is not null) yield return change;
                else if (ended) yield break;
                else await reader.News.WaitAsync(cancellationToken).ConfigureAwait(false);
            }
        }
        finally
        {
            lock (_lock) Volatile.Write(ref _readers, [.. _readers.Where(r => r != reader)]);
        }
    }

    /// <summary>What one reader has not read yet.</summary>
    private sealed class Reader
    {
        /// <summary>Guarded by the lock.</summary>
        public Queue<T> Events { get; } = [];

        /// <summary>Pulses when there is an event, or the end. Thread-safe.</summary>
        public AsyncPulse News { get; } = new();
    }
}
