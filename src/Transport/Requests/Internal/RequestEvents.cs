using System.Runtime.CompilerServices;
using System.Threading.Channels;

namespace FastShare.Transport.Requests.Internal;

/// <summary>Hands events to any number of readers, each at its own pace; costs nothing while there is none. Thread-safe.</summary>
internal sealed class RequestEvents
{
    /// <summary>Events kept for one reader; then its oldest are lost.</summary>
    private const int Capacity = 4096;

    private readonly Lock _lock = new();
    private Channel<RequestEvent>[] _readers = []; // replaced as a whole under _lock
    private bool _completed; // _lock

    /// <summary>Whether anybody listens: otherwise events need not be made.</summary>
    public bool IsWatched => Volatile.Read(ref _readers).Length > 0;

    public void Publish(RequestEvent change)
    {
        // Under the lock, so that all readers see one order.
        lock (_lock)
        {
            foreach (Channel<RequestEvent> reader in _readers) reader.Writer.TryWrite(change);
        }
    }

    /// <summary>Ends every reader behind what it has not read yet.</summary>
    public void Complete()
    {
        lock (_lock)
        {
            _completed = true;
            foreach (Channel<RequestEvent> reader in _readers) reader.Writer.TryComplete();
            _readers = [];
        }
    }

    /// <summary>Events from this call on, not only from the first read.</summary>
    public IAsyncEnumerable<RequestEvent> WatchAsync(CancellationToken cancellationToken)
    {
        var reader = Channel.CreateBounded<RequestEvent>(
            new BoundedChannelOptions(Capacity) { FullMode = BoundedChannelFullMode.DropOldest });
        lock (_lock)
        {
            if (_completed) reader.Writer.TryComplete();
            else _readers = [.. _readers, reader];
        }

        return ReadAsync(reader, cancellationToken);
    }

    private async IAsyncEnumerable<RequestEvent> ReadAsync(
        Channel<RequestEvent> reader, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        try
        {
            await foreach (RequestEvent change in reader.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false)) yield return change;
        }
        finally
        {
            lock (_lock) _readers = [.. _readers.Where(r => r != reader)];
        }
    }
}
