using System.Collections.Concurrent;
using FastShare.Transport.Dialing;
using FastShare.Transport.Dialing.Internal;
using FastShare.Transport.Identity;
using FastShare.Transport.Multiplexing;
using FastShare.Transport.Protocols;
using FastShare.Transport.Protocols.Internal;
using FastShare.Transport.Security.Internal;
using FastShare.Transport.Sockets;
using FastShare.Transport.Telemetry;
using FastShare.Transport.Watching.Internal;
using Microsoft.Extensions.Logging;

namespace FastShare.Transport;

/// <summary>
/// A node's connections: listens, dials (one pending connection task per peer, shared by all callers), keeps the table of
/// connections, and dispatches inbound streams to protocol handlers. Thread-safe.
/// </summary>
/// <remarks>
/// Identify, identify push and ping are served from the start. Several connections to one peer are normal: both sides may dial at
/// the same moment. Two FastShare nodes then agree on the one to keep, and the other is closed once its streams have ended
/// (<see cref="ProtocolIds.Retire"/>); with other peers both stay. What nobody uses is closed after <see cref="SwarmOptions.IdleTimeout"/>.
/// </remarks>
public sealed partial class Swarm : IAsyncDisposable
{
    /// <summary>Attempts of <see cref="OpenStreamAsync"/> when the connection it was given dies under it.</summary>
    private const int OpenAttempts = 3;

    /// <summary>Events kept for one reader.</summary>
    internal const int MaxUnreadEvents = 1024;

    private readonly SwarmOptions _options;
    private readonly IReadOnlyList<ITransport> _transports;
    private readonly ILogger _logger;
    private readonly string _agentVersion;
    private readonly ConnectionUpgrader _upgrader;
    private readonly LocalNetwork _network;
    private readonly AddressBook _addresses;
    private readonly ConnectionLimits _limits;
    private readonly Dialer<PeerConnection> _dialer;
    private readonly PendingConnections<PeerConnection> _table;
    private readonly InboundAdmission _admission;
    private readonly YamuxOptions _muxerOptions;
    private readonly ConcurrentDictionary<string, StreamHandler> _handlers = new(StringComparer.Ordinal);
    private readonly EventFeed<SwarmEvent> _events = new(MaxUnreadEvents);
    private readonly ConnectionObservers _observers;
    private readonly PeerStates _states;
    private readonly TransportInstruments _instruments;
    private readonly TaskTracker _accepting = new();
    private readonly TaskTracker _inbound = new();
    private readonly TaskTracker _connections = new();
    private readonly CancellationTokenSource _closing = new();
    private readonly Lock _lock = new();
    private readonly List<IListener> _listeners = []; // _lock
    private Task? _disposal; // _lock

    /// <summary>Creates a swarm that neither listens nor dials yet.</summary>
    public Swarm(SwarmOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        _transports = options.Transports ?? [new TcpTransport(options.TimeProvider)];
        _logger = options.LoggerFactory.CreateLogger<Swarm>();
        _observers = new ConnectionObservers(_logger);
        _states = new PeerStates(options.TimeProvider);
        _instruments = TransportInstruments.For(options.MeterFactory);
        _agentVersion = options.AgentVersion ?? $"fastshare/{typeof(Swarm).Assembly.GetName().Version?.ToString(3)}";
        _upgrader = new ConnectionUpgrader(options);
        _muxerOptions = new YamuxOptions
        {
            IdleTimeout = options.IdleTimeout == Timeout.InfiniteTimeSpan ? null : options.IdleTimeout,
        };
        _network = new LocalNetwork(options.TimeProvider);
        _addresses = new AddressBook(options.MaxKnownPeers, options.MaxClaimingPeers);
        _limits = new ConnectionLimits
        {
            PendingOutbound = options.MaxPendingOutbound,
            Inbound = options.MaxInboundConnections,
            Outbound = options.MaxOutboundConnections,
            PerPeer = options.MaxConnectionsPerPeer,
            Total = options.MaxConnections,
        };
        foreach (PeerId peer in options.ExemptPeers) _limits.Exempt(peer);
        var backoff = new RedialBackoff(Random.Shared.NextDouble);
        _table = new PendingConnections<PeerConnection>(
            static connection => connection.IsLive, _limits, backoff, markAskedFor: static connection => connection.IsExtra = true);
        _admission = new InboundAdmission(
            options.MaxPendingInbound, options.MaxInboundPerSource, () => _table.IsFullForInbound, options.TimeProvider);
        _dialer = new Dialer<PeerConnection>(new DialHost(this), _table, options.TimeProvider, options.ConnectTimeout);
        Handle(ProtocolIds.Identify, (stream, token) => Identify.RespondAsync(stream.Output, EncodeIdentify(stream.Connection), token));
        Handle(ProtocolIds.IdentifyPush, TakePushAsync);
        Handle(ProtocolIds.Ping, ServePingAsync);
        Handle(ProtocolIds.Retire, ServeRetireAsync);
    }

    /// <summary>This node.</summary>
    public PeerId LocalPeer => _options.Identity.PeerId;

    /// <summary>Bound addresses with real ports; wildcards stand as they are.</summary>
    public IReadOnlyList<Multiaddr> ListenAddresses
    {
        get
        {
            lock (_lock) return [.. _listeners.Select(l => l.Address)];
        }
    }

    /// <summary>Every connection open now.</summary>
    public IReadOnlyList<PeerConnection> Connections => [.. _table.Connections.Where(connection => !connection.Closed.IsCompleted)];

    /// <summary>
    /// Bound addresses, wildcards replaced by the addresses of this machine's interfaces (loopback last), each ending in this node's
    /// peer id.
    /// </summary>
    public IReadOnlyList<Multiaddr> GetReachableAddresses() => [.. ReachableAddresses().Select(a => a.WithPeerId(LocalPeer))];

    /// <summary>
    /// Dials started so far to a peer: pending connection tasks made, whatever the number of addresses or callers. Lanes are not
    /// counted.
    /// </summary>
    public int DialCount(PeerId peer)
    {
        ArgumentNullException.ThrowIfNull(peer);
        return _table.DialCount(peer);
    }

    /// <summary>Starts to listen; returns the bound address.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.AddressInUse"/>, <see cref="TransportError.InvalidAddress"/>,
    /// <see cref="TransportError.AccessDenied"/>, …</exception>
    public async ValueTask<Multiaddr> ListenAsync(Multiaddr address, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(address);
        IListener listener = await TransportFor(address).ListenAsync(address, cancellationToken).ConfigureAwait(false);
        bool closing;
        lock (_lock)
        {
            closing = _disposal is not null;
            if (!closing)
            {
                _listeners.Add(listener);
                _accepting.Run(() => AcceptAsync(listener));
            }
        }

        if (closing)
        {
            await listener.DisposeAsync().ConfigureAwait(false);
            throw Closed();
        }

        SwarmLog.Listening(_logger, listener.Address);
        return listener.Address;
    }

    /// <summary>Serves a protocol from now on. Replaces an earlier handler of the same id.</summary>
    public void Handle(string protocol, StreamHandler handler)
    {
        ArgumentException.ThrowIfNullOrEmpty(protocol);
        ArgumentNullException.ThrowIfNull(handler);
        if (protocol[0] != '/') throw new ArgumentException("a protocol id starts with '/'", nameof(protocol));
        _handlers[protocol] = handler;
    }

    /// <summary>Serves the perf protocol from now on. Off by default: it lets any peer use up bandwidth.</summary>
    public void EnablePerf() => Handle(ProtocolIds.Perf, PerfServer.ServeAsync);

    /// <summary>
    /// Closes every connection to the peer, lanes included, in good order; open streams are reset. Returns when each was reported as
    /// <see cref="SwarmEvent.Disconnected"/>. Handlers are told and not waited for, so one of them may call it. A dial under way
    /// goes on; see <see cref="AbortDials"/>.
    /// </summary>
    public async ValueTask DisconnectAsync(PeerId peer, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(peer);
        PeerConnection[] all = [.. _table.Connections.Where(connection => connection.Peer == peer)];
        await Task.WhenAll(all.Select(connection => connection.CloseAsync(cancellationToken).AsTask())).ConfigureAwait(false);
        await Task.WhenAll(all.Select(connection => connection.Released)).WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Opens a stream for a protocol, connecting first if needed.</summary>
    /// <remarks>If the connection turns out to be dead before the stream is open, another one is made or taken.</remarks>
    /// <exception cref="TransportException">As <see cref="ConnectAsync(PeerId, DialOptions, CancellationToken)"/> and <see cref="PeerConnection.OpenStreamAsync"/>.</exception>
    public async ValueTask<PeerStream> OpenStreamAsync(PeerId peer, string protocol, CancellationToken cancellationToken = default)
    {
        for (int attempt = 1; ; attempt++)
        {
            PeerConnection connection = await ConnectAsync(peer, null, cancellationToken).ConfigureAwait(false);
            try
            {
                return await connection.OpenStreamAsync(protocol, cancellationToken).ConfigureAwait(false);
            }
            catch (TransportException) when (attempt < OpenAttempts && !connection.IsLive && !_closing.IsCancellationRequested)
            {
                // Nothing of the caller's was sent: trying again is safe.
            }
        }
    }

    /// <summary>Changes of connections and dials from now on. A slow reader loses the oldest events, never blocks the swarm.</summary>
    /// <remarks>Watching begins with this call. At most 1,024 events are kept for a reader. Ends when the swarm is disposed, behind the last event:
    /// nothing of that is lost, not even for a slow reader.</remarks>
    public IAsyncEnumerable<SwarmEvent> WatchAsync(CancellationToken cancellationToken = default) => _events.WatchAsync(cancellationToken);

    /// <summary>Closes everything and waits for every handler to end; so it must not be awaited by one.</summary>
    public ValueTask DisposeAsync()
    {
        lock (_lock) return new ValueTask(_disposal ??= Task.Run(CloseAsync));
    }

    /// <summary>
    /// Reports connections that are up to <paramref name="observer"/>, then every change, until the result is disposed.
    /// </summary>
    internal IDisposable Observe(IConnectionObserver observer) => _observers.Add(observer);

    /// <summary>Connections to the peer on which new streams may be opened, oldest first; lanes are not among them.</summary>
    internal IReadOnlyList<PeerConnection> ConnectionsTo(PeerId peer) => _table.ConnectionsTo(peer);

    private async Task CloseAsync()
    {
        _events.BeginClosing();
        await _closing.CancelAsync().ConfigureAwait(false);
        IListener[] listeners;
        lock (_lock) listeners = [.. _listeners];
        foreach (IListener listener in listeners) await listener.DisposeAsync().ConfigureAwait(false);
        await _accepting.DrainAsync().ConfigureAwait(false);
        await _dialer.DisposeAsync().ConfigureAwait(false); // from here on nothing enters the table
        await _inbound.DrainAsync().ConfigureAwait(false);
        await Task.WhenAll(_table.Connections.Select(connection => connection.CloseAsync().AsTask())).ConfigureAwait(false);
        await _connections.DrainAsync().ConfigureAwait(false);
        _events.Complete();
        _states.Complete();
    }

    private TransportException Closed() => new(TransportError.Aborted, "this node is closed");

    private ITransport TransportFor(Multiaddr address) => _transports.FirstOrDefault(t => t.Supports(address))
        ?? throw new TransportException(
            TransportError.InvalidAddress, $"no transport here can use {address} (expected for example /ip4/192.0.2.7/tcp/4001)");
}
