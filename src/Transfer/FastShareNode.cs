using System.Text;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Sessions;
using FastShare.Transfer.Telemetry;
using FastShare.Transport;
using FastShare.Transport.Buffers;
using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;
using Microsoft.Extensions.Logging;

namespace FastShare.Transfer;

/// <summary>
/// A node that finds peers, sends files to them and receives files from them: the library's front door. Thread-safe.
/// </summary>
public sealed partial class FastShareNode : IAsyncDisposable
{
    private readonly FastShareOptions _options;
    private readonly PeerIdentity? _ownIdentity;
    private readonly TransferEngine _engine;
    private readonly PeerDirectory _directory;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private Task _watching = Task.CompletedTask;
    private int _disposed; // interlocked

    private FastShareNode(FastShareOptions options, string name)
    {
        _options = options;
        _logger = options.LoggerFactory.CreateLogger<FastShareNode>();
        _ownIdentity = options.Identity is null ? PeerIdentity.Generate() : null;
        Name = name;
        Swarm = new Swarm(new SwarmOptions
        {
            Identity = options.Identity ?? _ownIdentity!,
            Transports = options.Transports,
            Security = options.Security,
            AgentVersion = AgentVersion.For(name),
            TimeProvider = options.TimeProvider,
            LoggerFactory = options.LoggerFactory,
            MeterFactory = options.MeterFactory,
        });
        var network = new SwarmNetwork(Swarm);
        _engine = new TransferEngine(
            network, name, options.Consent, options.Limits, options.TimeProvider, BlockPool.Shared, options.LoggerFactory,
            TransferInstruments.For(options.MeterFactory), options.MaxBufferedBytes);
        RateLimit = options.RateLimit;
        network.Handle(TransferProtocol.ControlId, _engine.Incoming.ServeControlAsync);
        network.Handle(TransferProtocol.DataId, _engine.Incoming.ServeDataAsync);
        _directory = new PeerDirectory(Swarm, _engine.PeersChanged);
    }

    /// <summary>This node.</summary>
    public PeerId Id => Swarm.LocalPeer;

    /// <summary>What this node is called.</summary>
    public string Name { get; }

    /// <summary>Connections and protocols beneath.</summary>
    public Swarm Swarm { get; }

    /// <summary>
    /// Bytes a second that all outgoing transfers together send at most; null: no limit. May be changed at any time; they share it by
    /// their priorities.
    /// </summary>
    public long? RateLimit
    {
        get => _engine.Rate.BytesPerSecond is > 0 and var rate ? rate : null;
        set
        {
            if (value is { } rate) ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rate);
            _engine.Rate.BytesPerSecond = value ?? 0;
        }
    }

    /// <summary>Peers announced now.</summary>
    public IReadOnlyList<DiscoveredPeer> DiscoveredPeers => _directory.Peers;

    /// <summary>Starts a node: listens, announces, looks for peers.</summary>
    /// <exception cref="TransportException">It cannot listen on an address, or a discovery cannot work here.</exception>
    /// <exception cref="ArgumentException">The name is too long, empty, or has control characters.</exception>
    public static async Task<FastShareNode> StartAsync(FastShareOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        var node = new FastShareNode(options, CheckName(options.Name));
        try
        {
            await node.StartAsync(cancellationToken).ConfigureAwait(false);
            return node;
        }
        catch
        {
            await node.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Peers announced now, then every change. A slow reader loses the oldest changes.</summary>
    public IAsyncEnumerable<DiscoveryEvent> WatchPeersAsync(CancellationToken cancellationToken = default) =>
        _directory.WatchAsync(cancellationToken);

    /// <summary>The name a peer gives itself, from identify; null if it gave none or is no FastShare node. Connects if needed.</summary>
    /// <exception cref="TransportException">The peer cannot be reached, or does not identify itself.</exception>
    public async ValueTask<string?> GetPeerNameAsync(PeerId peer, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(peer);
        if (peer == Id) return Name;
        PeerConnection connection = await Swarm.ConnectAsync(peer, null, cancellationToken).ConfigureAwait(false);
        PeerDescription description = connection.Description ?? await connection.IdentifyAsync(cancellationToken).ConfigureAwait(false);
        return AgentVersion.NameIn(description.AgentVersion);
    }

    /// <summary>
    /// Waits until a peer with this name is discovered. Names are not proved: several peers of one name are an error, unless the
    /// expected one is among them.
    /// </summary>
    /// <param name="name">What it calls itself.</param>
    /// <param name="wait">How long it may take to appear.</param>
    /// <param name="expected">The peer that had the name before: it is taken as soon as it appears, whatever it calls itself now. The
    /// caller compares: another peer that came with the name may be an impostor.</param>
    /// <param name="cancellationToken">Ends the search.</param>
    /// <exception cref="TransferException">
    /// <see cref="TransferError.PeerNotReachable"/>: none, or several, within <paramref name="wait"/>.
    /// </exception>
    public async Task<PeerId> FindPeerByNameAsync(
        string name, TimeSpan wait, PeerId? expected = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        using var patience = new CancellationTokenSource(wait, _options.TimeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, patience.Token);
        try
        {
            return await new NameSearch(this, name, expected, _options.TimeProvider).RunAsync(either.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            string missing = $"no peer named '{PeerText.Escape(name)}' was found within {wait.TotalSeconds:0.#} s";
            throw new TransferException(
                TransferError.PeerNotReachable, $"{missing}; is it running, and on the same network? its peer id or address works too");
        }
    }

    /// <summary>
    /// Starts to send files and folders. Returns at once; the transfer waits for the peer to appear, and any number of transfers
    /// to a peer not connected yet share one dial.
    /// </summary>
    /// <param name="peer">The receiver.</param>
    /// <param name="paths">Files and folders; each arrives under its last name.</param>
    /// <param name="options">Settings.</param>
    public Transfer Send(PeerId peer, IReadOnlyList<string> paths, SendOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(peer);
        ArgumentNullException.ThrowIfNull(paths);
        if (paths.Count == 0) throw new ArgumentException("there is nothing to send", nameof(paths));
        return _engine.Send(peer, [.. paths], options ?? new SendOptions());
    }

    /// <summary>
    /// Starts to send what a stream or pipe yields, as fast as the receiver takes it. Returns at once; otherwise as
    /// <see cref="Send(PeerId, IReadOnlyList{string}, SendOptions?)"/>. The transfer succeeds when the receiver has everything, verified, and
    /// fails as a whole if the source does.
    /// </summary>
    /// <param name="peer">The receiver.</param>
    /// <param name="source">What is sent; the transfer disposes its stream.</param>
    /// <param name="options">Settings.</param>
    /// <exception cref="InvalidOperationException">The source was handed to a transfer before.</exception>
    public Transfer Send(PeerId peer, TransferSource source, SendOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(peer);
        ArgumentNullException.ThrowIfNull(source);
        return _engine.Send(peer, source, options ?? new SendOptions());
    }

    /// <summary>
    /// Transfers that peers have under way towards this node, then every later one, each from its offer on. A slow reader loses the oldest.
    /// </summary>
    public IAsyncEnumerable<Transfer> IncomingAsync(CancellationToken cancellationToken = default) =>
        _engine.Incoming.WatchAsync(cancellationToken);

    /// <summary>Stops: transfers under way end resumable, connections close.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        foreach (IPeerDiscovery discovery in _options.Discovery) await discovery.DisposeAsync().ConfigureAwait(false);
        await _engine.DisposeAsync().ConfigureAwait(false);
        await _stop.CancelAsync().ConfigureAwait(false);
        await _watching.ConfigureAwait(false);
        await Swarm.DisposeAsync().ConfigureAwait(false);
        _directory.End();
        _ownIdentity?.Dispose();
        _stop.Dispose();
    }

    private static string CheckName(string? name)
    {
        if (name is null)
        {
            string machine = Environment.MachineName;
            return Encoding.UTF8.GetByteCount(machine) is > 0 and <= FastShareOptions.MaxNameLength ? machine : "fastshare";
        }

        if (Encoding.UTF8.GetByteCount(name) is 0 or > FastShareOptions.MaxNameLength)
            throw new ArgumentException($"a name has 1 to {FastShareOptions.MaxNameLength} UTF-8 bytes");
        if (name.Any(char.IsControl)) throw new ArgumentException("a name has no control characters");
        return name;
    }

    private async Task StartAsync(CancellationToken cancellationToken)
    {
        foreach (Multiaddr address in _options.Listen) await ListenAsync(address, cancellationToken).ConfigureAwait(false);
        if (_options.Listen.Count > 0 && Swarm.ListenAddresses.Count == 0)
            throw new TransportException(TransportError.InvalidAddress, "none of the listen addresses can be used on this machine");
        _watching = Task.Run(() => WatchConnectionsAsync(_stop.Token), CancellationToken.None);
        foreach (IPeerDiscovery discovery in _options.Discovery)
            await discovery.StartAsync(Id, Swarm.ListenAddresses, _directory.Observe, cancellationToken).ConfigureAwait(false);
    }

    private async Task ListenAsync(Multiaddr address, CancellationToken cancellationToken)
    {
        try
        {
            await Swarm.ListenAsync(address, cancellationToken).ConfigureAwait(false);
        }
        catch (TransportException e)
            when (_options.Listen.Count > 1 && e.Error is TransportError.InvalidAddress or TransportError.Unreachable)
        {
            // One of several: a machine without IPv6 still listens on IPv4.
            LogNotListening(_logger, address, e.Message);
        }
    }

    /// <summary>A peer that connects to us can be sent to, discovered or not.</summary>
    private async Task WatchConnectionsAsync(CancellationToken cancellationToken)
    {
        try
        {
            await foreach (SwarmEvent change in Swarm.WatchAsync(cancellationToken).ConfigureAwait(false))
            {
                if (change is SwarmEvent.Connected) _engine.PeersChanged.Signal();
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    [LoggerMessage(2000, LogLevel.Warning, "not listening on {Address}: {Why}")]
    private static partial void LogNotListening(ILogger logger, Multiaddr address, string why);
}
