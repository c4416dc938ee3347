using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;
using FastShare.Transport.Makaretu.Internal;

namespace FastShare.Transport.Makaretu;

/// <summary>
/// Finds libp2p peers on the local networks with the package Makaretu.Dns.Multicast, for programs that use it already or prefer it to
/// <see cref="MdnsDiscovery"/>. Announces and asks to libp2p's mDNS specification. Thread-safe.
/// </summary>
public sealed class MakaretuDiscovery : IPeerDiscovery
{
    /// <summary>The source named in events.</summary>
    public const string Source = "makaretu";

    private readonly MakaretuOptions _options;
    private readonly Lock _gate = new();
    private MakaretuEngine? _engine; // guarded by _gate; set once, by the one start that succeeds
    private bool _disposed;          // guarded by _gate

    /// <summary>Makes a discovery that is not started yet.</summary>
    /// <param name="options">Settings; null: the defaults.</param>
    public MakaretuDiscovery(MakaretuOptions? options = null) => _options = options ?? new MakaretuOptions();

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
            if (_engine is not null) throw new InvalidOperationException("this discovery was started before; make one for each node");
            var engine = new MakaretuEngine(_options, self, [.. listenAddresses], sink);
            engine.Start();
            _engine = engine;
        }

        return ValueTask.CompletedTask;
    }

    /// <summary>Says goodbye to the network and ends; no observation is reported after it. Not to be awaited inside the sink.</summary>
    public async ValueTask DisposeAsync()
    {
        MakaretuEngine? engine;
        lock (_gate)
        {
            _disposed = true;
            engine = _engine;
        }

        if (engine is not null) await engine.DisposeAsync().ConfigureAwait(false);
    }
}
