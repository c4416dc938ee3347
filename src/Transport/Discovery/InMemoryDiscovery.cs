using System.Threading.Channels;
using FastShare.Transport.Discovery.Internal;
using FastShare.Transport.Identity;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace FastShare.Transport.Discovery;

/// <summary>
/// Finds the other nodes of an <see cref="InMemoryDiscoveryHub"/> and announces this one there. Observations reach the sink from a loop
/// of its own, never from within a call of the hub, as they do with mDNS. Thread-safe.
/// </summary>
public sealed class InMemoryDiscovery : IPeerDiscovery
{
    /// <summary>The source named in events.</summary>
    public const string Source = "memory";

    private readonly InMemoryDiscoveryHub _hub;
    private readonly ILogger _logger;
    private readonly Channel<DiscoveryEvent> _events =
        Channel.CreateUnbounded<DiscoveryEvent>(new UnboundedChannelOptions { SingleReader = true });
    private readonly Lock _gate = new();
    private PeerId? _self;                             // guarded by _gate; set once
    private Task _reporting = Task.CompletedTask;      // guarded by _gate; set once
    private volatile bool _disposed;                   // set under _gate

    /// <summary>Makes a discovery that is not started yet.</summary>
    /// <param name="hub">The network; shared by all the nodes that shall find each other.</param>
    /// <param name="loggerFactory">Where it is logged that a sink throws; null: nowhere.</param>
    public InMemoryDiscovery(InMemoryDiscoveryHub hub, ILoggerFactory? loggerFactory = null)
    {
        ArgumentNullException.ThrowIfNull(hub);
        _hub = hub;
        _logger = (loggerFactory ?? NullLoggerFactory.Instance).CreateLogger("FastShare.Transport.Discovery");
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
            if (_self is not null) throw new InvalidOperationException("this discovery was started before; make one for each node");
            _self = self;
            _reporting = Task.Run(() => ReportAsync(self, sink), CancellationToken.None);
            _hub.Join(this, self, listenAddresses);
        }

        return ValueTask.CompletedTask;
    }

    /// <summary>Leaves the hub, where this node's addresses expire. Not to be awaited inside the sink.</summary>
    public async ValueTask DisposeAsync()
    {
        Task reporting;
        lock (_gate)
        {
            _disposed = true;
            if (_self is not null) _hub.Leave(this, _self);
            _events.Writer.TryComplete();
            reporting = _reporting;
        }

        await reporting.ConfigureAwait(false);
    }

    // Called under the hub's lock.
    internal void Tell(DiscoveryEvent observation) => _events.Writer.TryWrite(observation);

    private async Task ReportAsync(PeerId self, Action<DiscoveryEvent> sink)
    {
        await foreach (DiscoveryEvent observation in _events.Reader.ReadAllAsync(CancellationToken.None).ConfigureAwait(false))
        {
            if (_disposed) return;
            if (observation.Peer == self) continue;
            try
            {
                sink(observation);
            }
            catch (Exception e)
            {
                MdnsLog.SinkThrew(_logger, e);
            }
        }
    }
}
