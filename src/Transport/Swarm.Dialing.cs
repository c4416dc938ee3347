using System.Diagnostics;
using System.Runtime.CompilerServices;
using FastShare.Transport.Dialing;
using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;
using FastShare.Transport.Security;
using FastShare.Transport.Sockets;
using FastShare.Transport.Telemetry;

namespace FastShare.Transport;

// Whom to reach, where, and under which conditions.
public sealed partial class Swarm
{
    /// <summary>Remembers addresses of a peer (bounded; oldest forgotten first). They join a dial under way.</summary>
    /// <remarks>At most 16 addresses are kept of each peer. Those that end in another peer's id are left out.</remarks>
    public void AddAddresses(PeerId peer, IEnumerable<Multiaddr> addresses)
    {
        ArgumentNullException.ThrowIfNull(peer);
        ArgumentNullException.ThrowIfNull(addresses);
        Learn(peer, [.. addresses], given: true);
    }

    /// <summary>Forgets addresses of a peer. A dial under way goes on with them.</summary>
    public void RemoveAddresses(PeerId peer, IEnumerable<Multiaddr> addresses)
    {
        ArgumentNullException.ThrowIfNull(peer);
        ArgumentNullException.ThrowIfNull(addresses);
        _addresses.Remove(peer, addresses);
    }

    /// <summary>Addresses known for a peer, most promising first.</summary>
    public IReadOnlyList<Multiaddr> GetAddresses(PeerId peer)
    {
        ArgumentNullException.ThrowIfNull(peer);
        return _addresses.Get(peer);
    }

    /// <summary>
    /// A connection to the peer: the oldest open one, or the result of the one pending dial that all callers share. The token ends
    /// this caller's wait only; the dial ends when its last waiter leaves.
    /// </summary>
    /// <param name="peer">The peer; its identity is proved by the handshake.</param>
    /// <param name="addresses">Addresses to try besides those known; they are remembered, and join a dial under way.</param>
    /// <param name="cancellationToken">Ends this caller's wait.</param>
    /// <exception cref="TransportException"><see cref="TransportError.DialFailure"/> with every address's own cause;
    /// <see cref="TransportError.NoAddresses"/>; <see cref="TransportError.InvalidOperation"/>: the peer is this node;
    /// <see cref="TransportError.ConnectionDenied"/>: this node's policy objects to the dial;
    /// <see cref="TransportError.LimitExceeded"/>: the connection would be one too many, the message names the limit;
    /// <see cref="TransportError.Aborted"/>: the swarm was disposed, or <see cref="AbortDials"/> called.</exception>
    [OverloadResolutionPriority(1)] // for those who pass null
    public ValueTask<PeerConnection> ConnectAsync(
        PeerId peer, IEnumerable<Multiaddr>? addresses = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(peer);
        return ConnectAsync(
            peer, new DialRequest(DialCondition.DisconnectedAndNotDialing, [], _options.DialTimeout), addresses, cancellationToken);
    }

    /// <summary>
    /// A connection to the peer, by the caller's condition: an open one, the result of a dial under way, or that of a new dial.
    /// </summary>
    /// <param name="peer">The peer; its identity is proved by the handshake.</param>
    /// <param name="options">When to dial, and where.</param>
    /// <param name="cancellationToken">Ends this caller's wait.</param>
    /// <inheritdoc cref="ConnectAsync(PeerId, IEnumerable{Multiaddr}?, CancellationToken)" path="/exception"/>
    public ValueTask<PeerConnection> ConnectAsync(PeerId peer, DialOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(peer);
        ArgumentNullException.ThrowIfNull(options);
        var request = new DialRequest(options.Condition, [], options.Timeout ?? _options.DialTimeout)
        {
            UsesKnown = options.UseKnownAddresses,
            IsPatient = options.WaitsForBackoff,
        };
        return ConnectAsync(peer, request, options.Addresses, cancellationToken);
    }

    /// <summary>
    /// Opens a further connection to a peer beside those open, as a lane for bulk data; never shared with
    /// <see cref="ConnectAsync(PeerId, DialOptions, CancellationToken)"/> callers.
    /// </summary>
    /// <remarks>To the peer it looks like any other connection.</remarks>
    /// <exception cref="TransportException">As <see cref="ConnectAsync(PeerId, DialOptions, CancellationToken)"/>.</exception>
    public ValueTask<PeerConnection> ConnectLaneAsync(PeerId peer, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(peer);
        return peer == LocalPeer
            ? ValueTask.FromException<PeerConnection>(IsSelf(peer))
            : _dialer.ConnectLaneAsync(peer, KnownAddresses(peer), _options.DialTimeout, cancellationToken);
    }

    /// <summary>Gives up every dial to the peer; those who wait fail with <see cref="TransportError.Aborted"/>.</summary>
    public void AbortDials(PeerId peer)
    {
        ArgumentNullException.ThrowIfNull(peer);
        _table.Abort(peer);
    }

    /// <summary>From now on no limit on open connections or dials holds for the peer; see <see cref="SwarmOptions.ExemptPeers"/>.</summary>
    public void ExemptFromLimits(PeerId peer)
    {
        ArgumentNullException.ThrowIfNull(peer);
        _limits.Exempt(peer);
    }

    /// <summary>Limits hold for the peer again; connections that are open stay.</summary>
    public void EndExemption(PeerId peer)
    {
        ArgumentNullException.ThrowIfNull(peer);
        _limits.EndExemption(peer);
    }

    private ValueTask<PeerConnection> ConnectAsync(
        PeerId peer, DialRequest request, IEnumerable<Multiaddr>? addresses, CancellationToken cancellationToken)
    {
        if (peer == LocalPeer) return ValueTask.FromException<PeerConnection>(IsSelf(peer));
        if (cancellationToken.IsCancellationRequested) return ValueTask.FromCanceled<PeerConnection>(cancellationToken);
        if (addresses is not null && addresses.ToList() is { Count: > 0 } given)
        {
            if (_addresses.Add(peer, given, given: true)) News(peer, given);
            request = request with { Candidates = Dialable(given.Select(a => AddressBook.Normalise(peer, a)).OfType<Multiaddr>()) };
        }

        return GetFreshAsync(_dialer.ConnectAsync(peer, request, cancellationToken));
    }

    // A connection that is handed out has its whole idle time before it: nobody shall be given one that ends in that moment.
    private static ValueTask<PeerConnection> GetFreshAsync(ValueTask<PeerConnection> connecting)
    {
        if (!connecting.IsCompletedSuccessfully) return connecting; // that of a dial is new
        PeerConnection connection = connecting.Result;
        connection.TryTouch();
        return new ValueTask<PeerConnection>(connection);
    }

    private static TransportException IsSelf(PeerId peer) =>
        new(TransportError.InvalidOperation, $"{peer} is this node itself: it cannot be dialed") { Peer = peer };

    private List<DialCandidate> KnownAddresses(PeerId peer) => Dialable(_addresses.Get(peer));

    // An address at which this node itself listens cannot be another peer's.
    private List<DialCandidate> Dialable(IEnumerable<Multiaddr> addresses)
    {
        List<Multiaddr> candidates = [.. addresses];
        if (candidates.Count == 0) return [];
        HashSet<Multiaddr> own = [.. ReachableAddresses()];
        return [.. candidates.Where(a => !own.Contains(a)).Select(_network.Classify)];
    }

    private void Learn(PeerId peer, List<Multiaddr> addresses, bool given)
    {
        if (peer == LocalPeer) return;
        _addresses.Add(peer, addresses, given);
        if (given && addresses.Count > 0) News(peer, addresses);
        else Join(peer, addresses, isNews: false);
    }

    // Addresses that are announced again are news as well: the peer is there now.
    private void News(PeerId peer, List<Multiaddr> addresses)
    {
        Join(peer, addresses, isNews: true);
        _observers.Found(peer);
    }

    private void Join(PeerId peer, List<Multiaddr> addresses, bool isNews) =>
        _dialer.Learn(peer, Dialable(addresses.Select(a => AddressBook.Normalise(peer, a)).OfType<Multiaddr>()), isNews);

    private void ThrowIfDenied(PeerConnection connection)
    {
        if (_options.ConnectionPolicy is not { } policy) return;
        PeerId peer = connection.Peer;
        ThrowUnlessAllowed(
            peer, () => policy.BeforeUse(peer, connection.RemoteAddress, connection.IsInbound),
            $"the connection with {peer} at {connection.RemoteAddress} was denied by this node's policy");
    }

    private void ThrowIfVetoed(PeerId peer)
    {
        if (_options.ConnectionPolicy is not { } policy) return;
        ThrowUnlessAllowed(peer, () => policy.BeforeDial(peer), $"the dial to {peer} was vetoed by this node's policy");
    }

    private static void ThrowUnlessAllowed(PeerId peer, Func<ConnectionVerdict> ask, string message)
    {
        try
        {
            ConnectionVerdict verdict = ask();
            if (verdict.IsAllowed) return;
            message = $"{message}: {verdict.Reason}";
        }
        catch (Exception e)
        {
            // A policy that cannot decide must not let anybody in.
            throw new TransportException(TransportError.ConnectionDenied, $"{message}, which failed: {e.Message}", e) { Peer = peer };
        }

        throw new TransportException(TransportError.ConnectionDenied, message) { Peer = peer };
    }

    /// <summary>The swarm as its dialer sees it.</summary>
    private sealed class DialHost(Swarm swarm) : IDialHost<PeerConnection>
    {
        public IReadOnlyCollection<DialCandidate> KnownAddresses(PeerId peer) => swarm.KnownAddresses(peer);

        public void ThrowIfVetoed(PeerId peer) => swarm.ThrowIfVetoed(peer);

        public void ThrowIfDenied(PeerConnection connection) => swarm.ThrowIfDenied(connection);

        public ValueTask<IDuplexConnection> ConnectAsync(Multiaddr address, CancellationToken cancellationToken) =>
            swarm.TransportFor(address).DialAsync(address, cancellationToken);

        public ValueTask<PeerConnection> UpgradeAsync(IDuplexConnection connection, PeerId peer, CancellationToken cancellationToken) =>
            swarm.UpgradeAsync(connection, ConnectionRole.Dialer, peer, cancellationToken);

        public Activity? Dialing(PeerId peer, IReadOnlyList<Multiaddr> addresses)
        {
            SwarmLog.Dialing(swarm._logger, peer, addresses.Count);
            swarm._events.Publish(new SwarmEvent.Dialing(peer, addresses));
            swarm._states.DialStarted(peer);
            swarm._instruments.DialStarted();
            return TransportInstruments.StartDial(peer, addresses.Count);
        }

        public void DialEnded(PeerId peer, DialOutcome outcome, TransportException? error, TimeSpan elapsed, Activity? activity)
        {
            bool failed = outcome == DialOutcome.Failed;
            swarm._states.DialEnded(peer, failed ? error : null);
            TimeSpan now = swarm._dialer.Now;
            if (failed && swarm._table.PauseOf(peer, now) is { } pause) swarm._states.BackingOff(peer, pause.Until - now, pause.Why);
            if (outcome != DialOutcome.Cancelled) swarm._instruments.DialEnded(elapsed, failed ? error?.Error : null);
            if (error is not null) TransportInstruments.Fail(activity, error);
            activity?.Dispose();
        }

        public void DialFailed(PeerId peer, TransportException error)
        {
            if (error.Error == TransportError.Aborted) SwarmLog.DialAborted(swarm._logger, error.Message);
            else SwarmLog.DialFailed(swarm._logger, error.Message);
            swarm._events.Publish(new SwarmEvent.DialFailed(peer, error));
        }

        public void AddressWorked(PeerId peer, Multiaddr address) => swarm._addresses.MarkGood(peer, address);

        public void AddressFailed(PeerId peer, Multiaddr address) => swarm._addresses.MarkFailed(peer, address);

        public void Established(PeerConnection connection, Establishment made) =>
            swarm.Supervise(connection, made.Count, null, made.IsLane);

        public ValueTask DiscardAsync(PeerConnection connection, TransportException reason) => connection.DiscardAsync(reason);
    }
}
