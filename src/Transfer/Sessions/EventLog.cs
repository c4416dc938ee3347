using System.Runtime.CompilerServices;
using System.Threading.Channels;

namespace FastShare.Transfer.Sessions;

/// <summary>
/// The last events of something, for any number of readers, each from the oldest kept event on. Adding never waits; a slow
/// reader loses the oldest. Thread-safe.
/// </summary>
/// <param name="capacity">How many are kept for readers to come.</param>
/// <param name="waiting">How many wait for a reader; at least <paramref name="capacity"/>.</param>
internal sealed class EventLog<T>(int capacity, int waiting)
{
    private readonly Lock _gate = new();
    private readonly Queue<T> _kept = new(); // guarded by _gate
    private readonly List<ChannelWriter<T>> _readers = []; // guarded by _gate
    private bool _ended; // guarded by _gate

    /// <summary>Adds an event; after <see cref="End"/> it is dropped.</summary>
    public void Add(T item)
    {
        lock (_gate)
        {
            if (_ended) return;
            if (_kept.Count == capacity) _kept.Dequeue();
            _kept.Enqueue(item);
            foreach (ChannelWriter<T> reader in _readers) reader.TryWrite(item);
        }
    }

    /// <summary>Forgets an event: those who start to read from now on do not see it.</summary>
    public void Forget(Predicate<T> which)
    {
        lock (_gate)
        {
            T[] left = [.. _kept.Where(item => !which(item))];
            _kept.Clear();
            foreach (T item in left) _kept.Enqueue(item);
        }
    }

    /// <summary>Readers end after the events they have not read yet.</summary>
    public void End()
    {
        lock (_gate)
        {
            _ended = true;
            foreach (ChannelWriter<T> reader in _readers) reader.TryComplete();
        }
    }

    /// <summary>The events kept, then every later one.</summary>
    public async IAsyncEnumerable<T> ReadAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        Channel<T> channel = Channel.CreateBounded<T>(
            new BoundedChannelOptions(waiting) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });
        lock (_gate)
        {
            foreach (T item in _kept) channel.Writer.TryWrite(item);
            if (_ended) channel.Writer.TryComplete();
            else _readers.Add(channel.Writer);
        }

        try
        {
            await foreach (T item in channel.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false)) yield return item;
        }
        finally
        {
            lock (_gate) _readers.Remove(channel.Writer);
        }
    }
}
