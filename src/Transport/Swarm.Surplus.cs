using FastShare.Transport.Identity;
using FastShare.Transport.Protocols;
using FastShare.Transport.Protocols.Internal;

namespace FastShare.Transport;

// What becomes of connections that nobody needs because both sides dialed at the same time.
public sealed partial class Swarm
{
    private static readonly TimeSpan LongestRetirePause = TimeSpan.FromMinutes(2);

    private readonly Lock _retiring = new(); // serialises decisions, so that no chain of successors closes on itself
    private readonly HashSet<PeerConnection> _asked = []; // _retiring; connections that the other side was asked about
    private TaskCompletionSource _established = NewSignal(); // volatile; completed and replaced when a connection is listed

    /// <summary>Whether no connection is being made, in either direction; those that were are listed.</summary>
    internal bool IsSettled => _dialer.IsQuiet && _inbound.Count == 0;

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>A connection to the peer was listed: some of those that this side dialed may be surplus now.</summary>
    private void RetireSurplus(PeerId peer)
    {
        Interlocked.Exchange(ref _established, NewSignal()).SetResult();
        IReadOnlyList<PeerConnection> usable = _table.ConnectionsTo(peer);
        if (usable.Count < 2) return;
        foreach (PeerConnection connection in usable)
        {
            if (Retirement.FindSuccessor(LocalPeer, connection, usable) is null) continue;
            lock (_retiring)
            {
                if (!_asked.Add(connection)) continue;
            }

            _connections.Run(() => RetireAsync(connection));
        }
    }

    // Never faults: where it comes to nothing, both connections stay, and the other side is asked again after a pause.
    private async Task RetireAsync(PeerConnection connection)
    {
        TimeSpan pause = _options.UpgradeTimeout;
        while (!await TryRetireAsync(connection).ConfigureAwait(false))
        {
            try
            {
                await connection.Closed.WaitAsync(pause, _options.TimeProvider).ConfigureAwait(false);
            }
            catch (TimeoutException)
            {
                if (pause < LongestRetirePause) pause *= 2;
            }
        }
    }

    /// <summary>Asks the other side once. True: that was all, and the connection is not in <see cref="_asked"/> any more.</summary>
    private async Task<bool> TryRetireAsync(PeerConnection connection)
    {
        using var deadline = new CancellationTokenSource(2 * _options.UpgradeTimeout, _options.TimeProvider);
        try
        {
            // Whom it could not be learnt from is asked all the same.
            await connection.IdentifySettled.WaitAsync(deadline.Token).ConfigureAwait(false);
            if (connection.Description is { } description && !description.Protocols.Contains(ProtocolIds.Retire))
                return await OverAsync(connection).ConfigureAwait(false);
            PeerConnection? successor;
            lock (_retiring)
            {
                // Over, or no longer surplus: if it is again, that comes with a new connection.
                successor = Retirement.FindSuccessor(LocalPeer, connection, _table.ConnectionsTo(connection.Peer));
                if (successor is null)
                {
                    _asked.Remove(connection);
                    return true;
                }
            }

            PeerStream stream = await connection.OpenStreamAsync(ProtocolIds.Retire, deadline.Token).ConfigureAwait(false);
            await using (stream.ConfigureAwait(false))
            {
                Replacement kind = successor.IsInbound ? Replacement.DialedByYou : Replacement.DialedByMe;
                if (!await Retirement.AskAsync(stream, kind, deadline.Token).ConfigureAwait(false))
                {
                    SwarmLog.NotRetired(_logger, connection.Peer, connection.RemoteAddress, "the peer has nothing to keep instead");
                    return false;
                }
            }

            lock (_retiring)
            {
                // What was to be kept may have gone meanwhile. The other side opens no more streams here all the same, so this
                // connection goes too once its streams have ended; the next caller dials.
                successor = Retirement.FindSuccessor(LocalPeer, connection, _table.ConnectionsTo(connection.Peer)) ?? successor;
                connection.Retire(successor);
            }

            SwarmLog.Retired(_logger, connection.Peer, connection.RemoteAddress);
            connection.CloseWhenUnused();
            return await OverAsync(connection).ConfigureAwait(false);
        }
        catch (Exception e) when (e is TransportException or OperationCanceledException)
        {
            SwarmLog.NotRetired(_logger, connection.Peer, connection.RemoteAddress, e.Message);
            return e is TransportException { Error: TransportError.UnsupportedProtocol } && await OverAsync(connection).ConfigureAwait(false);
        }
    }

    // There is nothing more to ask about a connection, however long it lives.
    private async Task<bool> OverAsync(PeerConnection connection)
    {
        await connection.Closed.ConfigureAwait(false);
        lock (_retiring) _asked.Remove(connection);
        return true;
    }

    internal async Task ServeRetireAsync(PeerStream stream, CancellationToken cancellationToken)
    {
        PeerConnection connection = stream.Connection;
        using var deadline = new CancellationTokenSource(_options.UpgradeTimeout, _options.TimeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, deadline.Token);
        Replacement? kind = await Retirement.ReadAsync(stream, either.Token).ConfigureAwait(false);
        bool agreed = false;
        try
        {
            if (kind is not null)
            {
                await YieldAsync(connection, kind.Value, either.Token).ConfigureAwait(false);
                agreed = true;
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // What the other side wants to keep did not come up here.
        }

        await Retirement.AnswerAsync(stream, agreed, cancellationToken).ConfigureAwait(false);
    }

    // The other side may have seen the connection that is to be kept before this one has: its own handshake ends a moment later.
    private async Task YieldAsync(PeerConnection connection, Replacement kind, CancellationToken cancellationToken)
    {
        // This side's own identify must not be cut off by the close that follows.
        await connection.IdentifySettled.WaitAsync(cancellationToken).ConfigureAwait(false);
        while (true)
        {
            Task news = Volatile.Read(ref _established).Task;
            lock (_retiring)
            {
                if (Retirement.FindReplacement(LocalPeer, connection, kind, _table.ConnectionsTo(connection.Peer)) is { } replacement)
                {
                    connection.Retire(replacement);
                    return;
                }
            }

            await news.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }
}
