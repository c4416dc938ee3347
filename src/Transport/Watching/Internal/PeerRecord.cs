using FastShare.Transport.Identity;

namespace FastShare.Transport.Watching.Internal;

/// <summary>What is known of one peer. Guarded by the lock of its <see cref="PeerStates"/>.</summary>
internal sealed class PeerRecord(PeerId peer)
{
    private readonly List<PeerConnection> _connections = []; // oldest first
    private readonly List<Multiaddr> _announced = [];
    private int _dials;
    private PeerBackoff? _backoff;
    private TransportException? _dialError;
    private PeerDisconnect? _lastDisconnect;
    private PeerStatus _past = PeerStatus.Unknown; // what it is when nothing of the present holds

    public PeerId Peer { get; } = peer;

    /// <summary>Its place among the records that speak of the past only; null: it is not one.</summary>
    public LinkedListNode<PeerRecord>? PastPlace { get; set; }

    /// <summary>Whether anything of it holds now, so that it must not be forgotten.</summary>
    public bool IsPresent => _connections.Count > 0 || _dials > 0 || _announced.Count > 0;

    public bool IsAnnounced => _announced.Count > 0;

    /// <summary>Takes announced addresses; false: nothing new.</summary>
    public bool Announce(IReadOnlyList<Multiaddr> addresses, int most)
    {
        bool changed = false;
        foreach (Multiaddr address in addresses)
        {
            if (_announced.Count >= most || _announced.Contains(address)) continue;
            _announced.Add(address);
            changed = true;
        }

        return changed;
    }

    /// <summary>Addresses are announced no longer; false: they were not.</summary>
    public bool Expire(IReadOnlyList<Multiaddr> addresses)
    {
        if (_announced.RemoveAll(addresses.Contains) == 0) return false;
        if (_announced.Count == 0) _past = PeerStatus.Expired;
        return true;
    }

    public void DialStarted()
    {
        _dials++;
        _backoff = null;
    }

    /// <summary>A dial ended; <paramref name="failed"/>: it counts as news that the peer cannot be reached.</summary>
    public void DialEnded(TransportException? error, bool failed)
    {
        _dials--;
        if (!failed) return;
        _dialError = error;
        if (_past == PeerStatus.Unknown) _past = PeerStatus.Disconnected;
    }

    public void BackOff(PeerBackoff? backoff) => _backoff = backoff;

    public void Up(PeerConnection connection)
    {
        _connections.Add(connection);
        _dialError = null;
        _backoff = null;
    }

    public bool Down(PeerConnection connection, PeerDisconnect how)
    {
        if (!_connections.Remove(connection)) return false;
        _lastDisconnect = how;
        _past = PeerStatus.Disconnected;
        return true;
    }

    public PeerState ToState(DateTimeOffset now)
    {
        PeerBackoff? backoff = _backoff?.Until > now ? _backoff : null;
        TimeSpan? fastest = null;
        foreach (PeerConnection connection in _connections)
        {
            if (connection.RoundTripTime is { } time && !(time >= fastest)) fastest = time;
        }

        return new PeerState(Peer)
        {
            Status = _connections.Count > 0 ? PeerStatus.Connected
                : _dials > 0 ? PeerStatus.Dialing
                : backoff is not null ? PeerStatus.BackingOff
                : _announced.Count > 0 ? PeerStatus.Discovered
                : _past,
            DiscoveredAddresses = [.. _announced],
            IsDialing = _dials > 0,
            Connections = _connections.Count,
            RoundTripTime = fastest,
            Security = _connections.Count > 0 ? _connections[0].Security : null,
            Backoff = backoff,
            DialError = _dialError,
            LastDisconnect = _lastDisconnect,
        };
    }
}
