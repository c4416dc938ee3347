using FastShare.Transport;
using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;

namespace FastShare.Testing.Sockets;

/// <summary>Swarms on one network of their own, listening, each under its name; disposed together.</summary>
public sealed class TestNodes : IAsyncDisposable
{
    private readonly List<(Swarm Swarm, PeerIdentity Identity)> _nodes = [];

    /// <summary>The network in memory; nodes over TCP do not use it.</summary>
    public MemoryTransport Memory { get; } = new();

    /// <summary>Makes a node that listens at <c>/memory/NAME</c>.</summary>
    /// <param name="name">Its name; null: it does not listen.</param>
    /// <param name="configure">Makes its options; null: the defaults.</param>
    public Task<Swarm> StartAsync(string? name, Func<PeerIdentity, ITransport, SwarmOptions>? configure = null) =>
        StartAsync(Memory, name is null ? null : Multiaddr.Parse($"/memory/{name}"), configure);

    /// <summary>Makes a node that listens on a port of 127.0.0.1.</summary>
    public Task<Swarm> StartTcpAsync(Func<PeerIdentity, ITransport, SwarmOptions>? configure = null) =>
        StartAsync(new TcpTransport(), Multiaddr.Parse("/ip4/127.0.0.1/tcp/0"), configure);

    /// <summary>Makes a node on any transport.</summary>
    public async Task<Swarm> StartAsync(
        ITransport transport, Multiaddr? listen, Func<PeerIdentity, ITransport, SwarmOptions>? configure = null)
    {
        var identity = PeerIdentity.Generate();
        var swarm = new Swarm(configure?.Invoke(identity, transport) ?? new SwarmOptions { Identity = identity, Transports = [transport] });
        lock (_nodes) _nodes.Add((swarm, identity));
        if (listen is not null) await swarm.ListenAsync(listen);
        return swarm;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(_nodes.Select(n => n.Swarm.DisposeAsync().AsTask()));
        foreach ((_, PeerIdentity identity) in _nodes) identity.Dispose();
    }
}
