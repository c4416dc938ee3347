using System.Threading.Channels;

namespace FastShare.Transport;

/// <summary>Hands events to any number of readers, each at its own pace. Thread-safe.</summary>
internal sealed class SwarmEvents
{
    /// <summary>Events kept for one reader; then its oldest are lost.</summary>
    private const int Capacity = 1024;

    private readonly Lock _lock = new();
    private readonly List<Channel<SwarmEvent>> _readers = []; // _lock
    private bool _completed; // _lock

    public void Publish(SwarmEvent change)
    {
        // Under the lock, so that all readers see one order.
        lock (_lock)
        {
            foreach (Channel<SwarmEvent> reader in _readers) reader.Writer.TryWrite(change);
        }
    }

    /// <summary>Ends every reader behind what it has not read yet.</summary>
    public void Complete()
    {
        lock (_lock)
        {
            _completed = true;
            foreach (Channel<SwarmEvent> reader in _readers) reader.Writer.TryComplete();
            _readers.Clear();
        }
    }

    /// <summary>Events from this call on, not only from the first read.</summary>
    public IAsyncEnumerable<SwarmEvent> WatchAsync(CancellationToken cancellationToken)
    {
        var reader = Channel.CreateBounded<SwarmEvent>(
            new BoundedChannelOptions(Capacity) { FullMode = BoundedChannelFullMode.DropOldest });
        lock (_lock)
        {
            if (_completed) reader.Writer.TryComplete();
            else _readers.Add(reader);
        }

        return ReadAsync(reader, cancellationToken);
    }

    private async IAsyncEnumerable<SwarmEvent> ReadAsync(
        Channel<SwarmEvent> reader, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        try
        {
            await foreach (SwarmEvent change in reader.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false)) yield return change;
        }
        finally
        {
            lock (_lock) _readers.Remove(reader);
        }
    }
}
