using FastShare.Transport.Identity;
using Microsoft.Extensions.Logging;

namespace FastShare.Transport;

/// <summary>
/// Tells observers what happens to connections: to each one call at a time, in one order, and under no lock. A caller that finds an
/// observer busy leaves its news behind, and the busy thread delivers it. Thread-safe.
/// </summary>
internal sealed class ConnectionObservers(ILogger logger)
{
    private readonly Lock _lock = new();
    private readonly HashSet<PeerConnection> _up = []; // _lock
    private readonly List<Subscription> _subscriptions = []; // _lock

    private sealed class Subscription(ConnectionObservers owner, IConnectionObserver observer) : IDisposable
    {
        private bool _disposed; // volatile

        public Queue<Action<IConnectionObserver>> Calls { get; } = []; // owner._lock

        public bool IsBusy { get; set; } // owner._lock

        public void Call(Action<IConnectionObserver> call)
        {
            if (Volatile.Read(ref _disposed)) return;
            try
            {
                call(observer);
            }
            catch (Exception e)
            {
                // It is the observer's defect; connections and other observers must not suffer from it.
                SwarmLog.ObserverFailed(owner.Logger, e);
            }
        }

        public void Dispose()
        {
            Volatile.Write(ref _disposed, true);
            lock (owner._lock) owner._subscriptions.Remove(this);
        }
    }

    private ILogger Logger { get; } = logger;

    /// <summary>Reports what is up, then what changes, until the result is disposed (a call under way may still end after that).</summary>
    public IDisposable Add(IConnectionObserver observer)
    {
        var subscription = new Subscription(this, observer);
        lock (_lock)
        {
            _subscriptions.Add(subscription);
            foreach (PeerConnection connection in _up) subscription.Calls.Enqueue(o => o.ConnectionUp(connection));
        }

        Deliver([subscription]);
        return subscription;
    }

    public void Up(PeerConnection connection) => Tell(() => _up.Add(connection), observer => observer.ConnectionUp(connection));

    /// <summary>Nothing is told of a connection that was not reported up.</summary>
    public void Down(PeerConnection connection, TransportException? reason) =>
        Tell(() => _up.Remove(connection), observer => observer.ConnectionDown(connection, reason));

    public void Found(PeerId peer) => Tell(static () => true, observer => observer.PeerFound(peer));

    private void Tell(Func<bool> isNews, Action<IConnectionObserver> call)
    {
        Subscription[] told;
        lock (_lock)
        {
            if (!isNews()) return;
            told = [.. _subscriptions];
            foreach (Subscription subscription in told) subscription.Calls.Enqueue(call);
        }

        Deliver(told);
    }

    private void Deliver(Subscription[] told)
    {
        foreach (Subscription subscription in told)
        {
            bool first = true;
            while (Take(subscription, first) is { } call)
            {
                subscription.Call(call);
                first = false;
            }
        }
    }

    // The next call to make; null if there is none, or another thread is at it.
    private Action<IConnectionObserver>? Take(Subscription subscription, bool first)
    {
        lock (_lock)
        {
            if (first && subscription.IsBusy) return null;
            subscription.IsBusy = subscription.Calls.TryDequeue(out Action<IConnectionObserver>? call);
            return call;
        }
    }
}
