using FastShare.Transport.Identity;

namespace FastShare.Transport.Discovery;

/// <summary>A fixed list of peers, reported once at the start: for networks that multicast does not reach. Thread-safe.</summary>
public sealed class StaticDiscovery : IPeerDiscovery
{
    private readonly List<(PeerId Peer, List<Multiaddr> Addresses)> _peers = []; // not changed after construction
    private readonly Lock _gate = new(); // held while the list is reported, so that disposal waits for that
    private bool _started;  // guarded by _gate
    private bool _disposed; // guarded by _gate

    /// <summary>Takes the addresses of any number of peers.</summary>
    /// <param name="addresses">Addresses that end in <c>/p2p/…</c>.</param>
    /// <exception cref="TransportException"><see cref="TransportError.InvalidAddress"/>: an address does not name its peer.</exception>
    public StaticDiscovery(IEnumerable<Multiaddr> addresses)
    {
        ArgumentNullException.ThrowIfNull(addresses);
        foreach (Multiaddr address in addresses)
        {
            if (!address.EndsInPeerId || address.PeerId is not { } peer)
            {
                throw new TransportException(TransportError.InvalidAddress,
                    $"'{address}' does not say whose address it is: add /p2p/ and the peer id");
            }

            int known = _peers.FindIndex(p => p.Peer == peer);
            if (known < 0) _peers.Add((peer, [address]));
            else if (!_peers[known].Addresses.Contains(address)) _peers[known].Addresses.Add(address);
        }
    }

    /// <inheritdoc/>
    public ValueTask StartAsync(
        PeerId self, IReadOnlyList<Multiaddr> listenAddresses, Action<DiscoveryEvent> sink, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(self);
        ArgumentNullException.ThrowIfNull(listenAddresses);
        ArgumentNullException.ThrowIfNull(sink);
        cancellationToken.ThrowIfCancellationRequested();
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_started) throw new InvalidOperationException("this list was started before; make one for each node");
            _started = true;
            foreach ((PeerId peer, List<Multiaddr> addresses) in _peers)
            {
                if (_disposed) break; // by the sink
                if (peer != self) sink(new DiscoveryEvent(DiscoveryEventKind.Found, peer, addresses, "static"));
            }
        }

        return ValueTask.CompletedTask;
    }

    /// <summary>Nothing is reported after it.</summary>
    public ValueTask DisposeAsync()
    {
        lock (_gate) _disposed = true;
        return ValueTask.CompletedTask;
    }
}
