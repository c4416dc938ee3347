using System.Runtime.CompilerServices;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Watching.Internal;

/// <summary>
/// The state of every peer, for those who watch. Whoever reports a change never waits for a reader: a reader that is slow sees the
/// latest state of each peer, and not what lay between. Thread-safe.
/// </summary>
/// <remarks>Bounded: by what is open and under way, by <see cref="MaxDiscovered"/>, and by <see cref="MaxPast"/>.</remarks>
internal sealed class PeerStates(TimeProvider time)
{
    /// <summary>Peers known by discovery; it is unauthenticated, so anybody on the network can make them up.</summary>
    public const int MaxDiscovered = 4096;

    /// <summary>Announced addresses of one peer.</summary>
    public const int MaxAddresses = 32;

    /// <summary>Peers with which there is nothing now; those whose last change is longest ago are forgotten.</summary>
    public const int MaxPast = 1024;

    private readonly Lock _lock = new();
    private readonly Dictionary<PeerId, PeerRecord> _peers = []; // _lock
    private readonly LinkedList<PeerRecord> _past = []; // _lock; latest change last
    private readonly List<PeerStateReader> _readers = []; // _lock
    private int _discovered; // _lock
    private bool _completed; // _lock

    /// <summary>A discovery announces addresses. False: too many peers are announced, this one is left out.</summary>
    public bool Found(PeerId peer, IReadOnlyList<Multiaddr> addresses)
    {
        lock (_lock)
        {
            bool isKnown = _peers.TryGetValue(peer, out PeerRecord? record) && record.IsAnnounced;
            if (addresses.Count == 0 || (!isKnown && _discovered >= MaxDiscovered)) return false;
            record ??= RecordOf(peer);
            if (!isKnown) _discovered++;
            if (record.Announce(addresses, MaxAddresses)) Changed(record);
            return true;
        }
    }

    /// <summary>A discovery announces addresses no longer.</summary>
    public void Expired(PeerId peer, IReadOnlyList<Multiaddr> addresses)
    {
        lock (_lock)
        {
            if (!_peers.TryGetValue(peer, out PeerRecord? record) || !record.Expire(addresses)) return;
            if (!record.IsAnnounced) _discovered--;
            Changed(record);
        }
    }

    /// <summary>A dial began; <see cref="DialEnded"/> follows.</summary>
    public void DialStarted(PeerId peer) => Change(peer, static (record, _) => record.DialStarted(), 0);

    /// <summary>A dial ended, whichever way.</summary>
    /// <param name="peer">The peer.</param>
    /// <param name="error">Why it failed; null: it did not fail, or was given up.</param>
    public void DialEnded(PeerId peer, TransportException? error) =>
        Change(peer, static (record, error) => record.DialEnded(error, error is not null), error);

    /// <summary>The peer is left alone for <paramref name="pause"/>; null: no longer.</summary>
    public void BackingOff(PeerId peer, TimeSpan? pause, TransportException? reason)
    {
        PeerBackoff? backoff = pause is { } length && reason is not null ? new PeerBackoff(time.GetUtcNow() + length, reason) : null;
        Change(peer, static (record, backoff) => record.BackOff(backoff), backoff);
    }

    /// <summary>A connection was listed.</summary>
    public void Up(PeerConnection connection) => Change(connection.Peer, static (record, connection) => record.Up(connection), connection);

    /// <summary>Something about a listed connection changed: its round-trip time.</summary>
    public void Touch(PeerConnection connection)
    {
        lock (_lock)
        {
            if (_peers.TryGetValue(connection.Peer, out PeerRecord? record) && record.IsPresent) Changed(record);
        }
    }

    /// <summary>A listed connection is over.</summary>
    public void Down(PeerConnection connection, DisconnectCause cause, TransportException? error)
    {
        lock (_lock)
        {
            if (_peers.TryGetValue(connection.Peer, out PeerRecord? record)
                && record.Down(connection, new PeerDisconnect(time.GetUtcNow(), cause, error))) Changed(record);
        }
    }

    /// <summary>No more changes: readers end behind the latest states.</summary>
    public void Complete()
    {
        lock (_lock)
        {
            _completed = true;
            foreach (PeerStateReader reader in _readers) reader.News.Set();
        }
    }

    /// <summary>The latest states, then changes, from this call on.</summary>
    /// <param name="only">The peer to watch, whose state is shown at once even if nothing is known of it; null: all.</param>
    /// <param name="cancellationToken">Ends the watching.</param>
    public IAsyncEnumerable<PeerState> WatchAsync(PeerId? only, CancellationToken cancellationToken)
    {
        var reader = new PeerStateReader(only);
        lock (_lock)
        {
            if (only is not null) reader.Add(only);
            else foreach (PeerId peer in _peers.Keys) reader.Add(peer);
            _readers.Add(reader);
        }

        return ReadAsync(reader, cancellationToken);
    }

    private async IAsyncEnumerable<PeerState> ReadAsync(
        PeerStateReader reader, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                PeerState? state;
                while ((state = Next(reader, out bool ended)) is null)
                {
                    if (ended) yield break;
                    await reader.News.WaitAsync(cancellationToken).ConfigureAwait(false);
                }

                cancellationToken.ThrowIfCancellationRequested();
                yield return state;
            }
        }
        finally
        {
            lock (_lock) _readers.Remove(reader);
        }
    }

    private PeerState? Next(PeerStateReader reader, out bool ended)
    {
        lock (_lock)
        {
            ended = _completed;
            if (!reader.TryTake(out PeerId? peer)) return null;
            return _peers.TryGetValue(peer!, out PeerRecord? record) ? record.ToState(time.GetUtcNow()) : new PeerState(peer!);
        }
    }

    private void Change<T>(PeerId peer, Action<PeerRecord, T> change, T argument)
    {
        lock (_lock)
        {
            PeerRecord record = RecordOf(peer);
            change(record, argument);
            Changed(record);
        }
    }

    private PeerRecord RecordOf(PeerId peer)
    {
        if (!_peers.TryGetValue(peer, out PeerRecord? record)) _peers.Add(peer, record = new PeerRecord(peer));
        return record;
    }

    private void Changed(PeerRecord record)
    {
        foreach (PeerStateReader reader in _readers) reader.Add(record.Peer);
        if (record.PastPlace is { } place) _past.Remove(place);
        record.PastPlace = record.IsPresent ? null : _past.AddLast(record);
        if (_past.Count <= MaxPast) return;
        PeerRecord oldest = _past.First!.Value;
        _past.RemoveFirst();
        _peers.Remove(oldest.Peer);
        foreach (PeerStateReader reader in _readers) reader.Remove(oldest.Peer);
    }
}
