using System.Runtime.CompilerServices;
using FastShare.Transport.Dialing.Internal;

namespace FastShare.Transport;

/// <summary>Hands events to any number of readers, each at its own pace. Thread-safe.</summary>
internal sealed class SwarmEvents
{
    /// <summary>Events kept for one reader; then its oldest are lost.</summary>
    public const int Capacity = 1024;

    private readonly Lock _lock = new();
    private readonly List<Reader> _readers = []; // _lock
    private bool _closing; // _lock
    private bool _completed; // _lock

    public void Publish(SwarmEvent change)
    {
        // Under the lock, so that all readers see one order.
        lock (_lock)
        {
            foreach (Reader reader in _readers)
            {
                if (!_closing && reader.Events.Count >= Capacity) reader.Events.Dequeue();
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
    public IAsyncEnumerable<SwarmEvent> WatchAsync(CancellationToken cancellationToken)
    {
        var reader = new Reader();
        lock (_lock) _readers.Add(reader);
        return ReadAsync(reader, cancellationToken);
    }

    private async IAsyncEnumerable<SwarmEvent> ReadAsync(Reader reader, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                SwarmEvent? change;
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
            lock (_lock) _readers.Remove(reader);
        }
    }

    /// <summary>What one reader has not read yet.</summary>
    private sealed class Reader
    {
        /// <summary>Guarded by the lock.</summary>
        public Queue<SwarmEvent> Events { get; } = [];

        /// <summary>Pulses when there is an event, or the end. Thread-safe.</summary>
        public AsyncPulse News { get; } = new();
    }
}
