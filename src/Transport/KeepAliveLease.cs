namespace FastShare.Transport;

/// <summary>
/// Keeps a connection from being closed for idleness; follows its streams when another connection takes its place. Thread-safe.
/// </summary>
internal sealed class KeepAliveLease : IDisposable
{
    private readonly Lock _lock = new();
    private PeerConnection? _connection; // _lock; null: not held any more
    private bool _disposed; // _lock

    /// <summary>Takes a lease on <paramref name="connection"/>, or on what took its place.</summary>
    public static KeepAliveLease On(PeerConnection connection)
    {
        var lease = new KeepAliveLease();
        lease.MoveTo(connection);
        return lease;
    }

    /// <summary>Holds <paramref name="connection"/>, or what took its place, instead of what it held before.</summary>
    public void MoveTo(PeerConnection connection)
    {
        lock (_lock)
        {
            if (_disposed) return;
            PeerConnection? next = connection;
            while (next is not null && !next.TryEnter(this, out next))
            {
                // That one was surplus: the lease goes where its streams go.
            }

            _connection?.Leave(this);
            _connection = next;
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            _connection?.Leave(this);
            _connection = null;
        }
    }
}
