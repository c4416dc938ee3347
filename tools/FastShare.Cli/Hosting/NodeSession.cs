using FastShare.Cli.Output;
using FastShare.Cli.Parsing;
using FastShare.Transfer;
using FastShare.Transfer.Trust;
using FastShare.Transport;
using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;

namespace FastShare.Cli.Hosting;

/// <summary>A command's node, from start to end, with what happens on it reported as events. Owns the node and its identity.</summary>
internal sealed class NodeSession : IAsyncDisposable
{
    private static readonly TimeSpan _retryPause = TimeSpan.FromMilliseconds(250);

    private const string InsecureWarning =
        "WARNING: --insecure: no encryption, no authentication. Anyone on the network can read and change what is sent.";

    private readonly PeerIdentity _identity;
    private readonly OptionalDiscovery? _mdns;
    private readonly Lazy<KnownPeers?> _knownPeers;

    private NodeSession(
        PeerIdentity identity, OptionalDiscovery? mdns, FastShareNode node, NodeReporter reporter, NodeSettings settings)
    {
        _knownPeers = new Lazy<KnownPeers?>(settings.OpenKnownPeers);
        _identity = identity;
        _mdns = mdns;
        Node = node;
        Reporter = reporter;
    }

    public FastShareNode Node { get; }

    /// <summary>Peers met before; null with <c>--insecure</c>.</summary>
    /// <exception cref="TransferException">Their file cannot be used.</exception>
    public KnownPeers? KnownPeers => _knownPeers.Value;

    /// <summary>Whether mDNS was wanted and did not start; that was said.</summary>
    public bool MdnsFailed => _mdns is { HasFailed: true };

    /// <summary>Reports discovery and connections.</summary>
    public NodeReporter Reporter { get; }

    /// <summary>Starts a node and reports where it listens.</summary>
    /// <param name="settings">How it is set up.</param>
    /// <param name="context">What the command runs with.</param>
    /// <param name="listenByDefault">Whether a command that was not told to listen does so.</param>
    /// <param name="consent">Asked about offers; null: all are refused.</param>
    /// <param name="prepare">What is to be done before it is told that the node listens.</param>
    /// <param name="identity">Used instead of the settings' key file; the session disposes it.</param>
    /// <param name="limits">Limits of what is offered; null: the library's.</param>
    public static async Task<NodeSession> StartAsync(
        NodeSettings settings, CommandContext context, bool listenByDefault, ConsentPolicy? consent = null, PeerIdentity? identity = null,
        Action<FastShareNode>? prepare = null, IncomingLimits? limits = null)
    {
        if (settings.Insecure) context.Output.Warn(InsecureWarning);
        identity ??= settings.OpenIdentity();
        try
        {
            OptionalDiscovery? mdns = settings.Mdns ? CreateMdns(settings, context) : null;
            FastShareNode node = await FastShareNode.StartAsync(
                new FastShareOptions
                {
                    Identity = identity,
                    Listen = settings.Listen ?? (listenByDefault ? NodeSettings.DefaultListen : []),
                    Discovery = mdns is null ? [] : [mdns],
                    Name = settings.Name,
                    Security = settings.Insecure ? SecurityMode.InsecurePlaintext : SecurityMode.Noise,
                    Consent = consent,
                    Limits = limits ?? new IncomingLimits(),
                    TimeProvider = context.TimeProvider,
                    LoggerFactory = context.Logs,
                },
                context.Stop);
            prepare?.Invoke(node);
            var reporter = new NodeReporter(node, context.Output);
            if (node.Swarm.ListenAddresses.Count > 0)
                context.Output.Emit(new ListeningEvent(node.Id.ToString(), Texts(node.Swarm.GetReachableAddresses())));
            return new NodeSession(identity, mdns, node, reporter, settings);
        }
        catch
        {
            identity.Dispose();
            throw;
        }
    }

    /// <summary>Connects to a peer that may take up to <paramref name="wait"/> to appear.</summary>
    /// <exception cref="TransferException"><see cref="TransferError.PeerNotReachable"/>: it was not found, or not reached.</exception>
    public async Task<PeerConnection> ConnectAsync(PeerReference reference, TimeSpan wait, CommandContext context)
    {
        long start = context.TimeProvider.GetTimestamp();
        PeerId peer = await reference.ResolveAsync(Node, wait, KnownPeers, context.Stop);
        while (true)
        {
            try
            {
                return await Node.Swarm.ConnectAsync(peer, cancellationToken: context.Stop);
            }
            catch (TransportException e) when (
                e.Error is TransportError.NoAddresses or TransportError.DialFailure or TransportError.Timeout)
            {
                // not announced yet, or not listening yet
                if (context.TimeProvider.GetElapsedTime(start) >= wait)
                {
                    string message = $"peer {peer} was not reached within {Duration.Format(wait)}: {e.Message}";
                    throw new TransferException(TransferError.PeerNotReachable, message, e) { Peer = peer };
                }
            }

            await Task.Delay(_retryPause, context.TimeProvider, context.Stop);
        }
    }

    /// <summary>Addresses as events hold them.</summary>
    public static IReadOnlyList<string> Texts(IEnumerable<Multiaddr> addresses) => [.. addresses.Select(address => address.ToString())];

    private static OptionalDiscovery CreateMdns(NodeSettings settings, CommandContext context) => new(
        new MdnsDiscovery(new MdnsOptions
        {
            Interfaces = settings.Interfaces.Count > 0 ? settings.Interfaces : null,
            TimeProvider = context.TimeProvider,
            LoggerFactory = context.Logs,
        }),
        error => context.Output.Warn(
            $"Peers cannot be found on the local network: {EventText.Escape(error.Message.TrimEnd('.'))}. Addresses still work."));

    public async ValueTask DisposeAsync()
    {
        await Reporter.DisposeAsync();
        await Node.DisposeAsync();
        _identity.Dispose();
    }
}

/// <summary>
/// A discovery that the node can do without: where it cannot start, that is said, and the node runs without it; where it waits for an
/// interface, that is said too.
/// </summary>
/// <param name="inner">The discovery; disposed with this.</param>
/// <param name="onProblem">Told why it finds nobody.</param>
internal sealed class OptionalDiscovery(MdnsDiscovery inner, Action<TransportException> onProblem) : IPeerDiscovery
{
    /// <summary>Whether it did not start.</summary>
    public bool HasFailed { get; private set; }

    public async ValueTask StartAsync(
        PeerId self, IReadOnlyList<Multiaddr> listenAddresses, Action<DiscoveryEvent> sink, CancellationToken cancellationToken)
    {
        try
        {
            await inner.StartAsync(self, listenAddresses, sink, cancellationToken);
            if (inner.Problem is { } problem) onProblem(problem);
        }
        catch (TransportException e)
        {
            HasFailed = true;
            onProblem(e);
        }
    }

    public ValueTask DisposeAsync() => inner.DisposeAsync();
}
