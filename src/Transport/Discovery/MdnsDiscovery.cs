using FastShare.Transport.Discovery.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Discovery;

/// <summary>
/// Finds libp2p peers on the local networks by multicast DNS, without any configuration, and announces this node to them (libp2p mDNS
/// specification, RFC 6762 and 6763). Shares UDP port 5353 with whatever else of the system uses it. Thread-safe.
/// </summary>
public sealed class MdnsDiscovery : IPeerDiscovery
{
    private readonly MdnsOptions _options;
    private readonly IMdnsNetwork _network;
    private readonly Lock _gate = new();
    private MdnsEngine? _engine; // guarded by _gate; set once, by the one start that succeeds
    private bool _started;       // guarded by _gate
    private bool _disposed;      // guarded by _gate

    /// <summary>Makes a discovery that is not started yet.</summary>
    /// <param name="options">Settings; null: the defaults.</param>
    public MdnsDiscovery(MdnsOptions? options = null)
        : this(options ?? new MdnsOptions(), null)
    {
    }

    internal MdnsDiscovery(MdnsOptions options, IMdnsNetwork? network)
    {
        _options = options;
        _network = network ?? new SystemMdnsNetwork(options);
    }

    /// <summary>
    /// Why nobody can be found now, and what to do about it: no interface is up, say. It goes on by itself once one is. Null while at
    /// least one interface is in use, and before the start.
    /// </summary>
    public TransportException? Problem
    {
        get
        {
            lock (_gate) return _engine?.Problem;
        }
    }

    /// <summary>
    /// Starts to announce and to look, on the interfaces that are up and on every one that comes. Where none is up it waits for one, and
    /// <see cref="Problem"/> says so.
    /// </summary>
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
            if (_started) throw new InvalidOperationException("this mDNS discovery was started before; make one for each node");
            // Opening sockets does not block.
            var engine = new MdnsEngine(_options, _network, self, [.. listenAddresses], sink);
            engine.Start();
            _engine = engine;
            _started = true;
        }

        return ValueTask.CompletedTask;
    }

    /// <summary>Says goodbye to the network and ends; no observation is reported after it. Not to be awaited inside the sink.</summary>
    public async ValueTask DisposeAsync()
    {
        MdnsEngine? engine;
        lock (_gate)
        {
            _disposed = true;
            engine = _engine;
        }

        if (engine is not null) await engine.DisposeAsync().ConfigureAwait(false);
    }
}
