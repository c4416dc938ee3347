using System.Collections.Concurrent;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Sessions;
using FastShare.Transport;
using FastShare.Transport.Identity;

namespace FastShare.Testing.Transfer;

/// <summary>
/// Nodes that reach each other through memory: streams are pairs of pipes with yamux's first window, links can be broken, stalled and
/// made to corrupt what they carry. Thread-safe.
/// </summary>
internal sealed class MemoryNetwork
{
    private readonly ConcurrentDictionary<PeerId, MemoryNode> _nodes = new();
    private readonly Lock _gate = new();
    private readonly Dictionary<(PeerId, PeerId), MemoryLink> _links = []; // guarded by _gate
    private readonly List<MemoryLink> _private = []; // guarded by _gate
    private readonly List<MemoryStreamEnd> _control = []; // guarded by _gate: both ends of every control stream

    /// <summary>Called for every new link, before its first byte: the place to plan a fault.</summary>
    public Action<MemoryLink>? LinkMade { get; set; }

    /// <summary>The same for the links of private connections; may throw, so that none is made.</summary>
    public Action<MemoryLink>? PrivateLinkMade { get; set; }

    /// <summary>Private links made so far.</summary>
    public int PrivateLinksMade { get; private set; }

    /// <summary>Links made so far.</summary>
    public int LinksMade { get; private set; }

    public MemoryNode AddNode()
    {
        using PeerIdentity identity = PeerIdentity.Generate();
        var node = new MemoryNode(this, identity.PeerId);
        _nodes[node.LocalPeer] = node;
        return node;
    }

    /// <summary>Takes the node away, as if it had crashed: its links break, nobody reaches it.</summary>
    public void Remove(MemoryNode node)
    {
        _nodes.TryRemove(node.LocalPeer, out _);
        BreakLinks();
    }

    /// <summary>Breaks every link there is.</summary>
    public void BreakLinks()
    {
        foreach (MemoryLink link in Links()) link.Break();
    }

    /// <summary>Further streams go over new links; what goes over the old ones is not disturbed.</summary>
    public void ForgetLinks()
    {
        lock (_gate) _links.Clear();
    }

    private MemoryLink[] Links()
    {
        lock (_gate) return [.. _links.Values, .. _private];
    }

    /// <summary>Makes the next link stall once it has carried these bytes, and no later one.</summary>
    public Task StallFirstLinkAfter(long bytes)
    {
        var stalled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        LinkMade = link =>
        {
            LinkMade = null;
            link.StallAfter = bytes;
            link.Stalled.ContinueWith(_ => stalled.SetResult(), TaskScheduler.Default);
        };
        return stalled.Task;
    }

    /// <summary>Lets every link go on.</summary>
    public void UnstallLinks()
    {
        foreach (MemoryLink link in Links()) link.Unstall();
    }

    /// <summary>Lets every link carry again what is said on control streams, and no data: for the word that a transfer is ended.</summary>
    public void UnstallControl()
    {
        foreach (MemoryLink link in Links()) link.Unstall(TransferProtocol.ControlId);
    }

    /// <summary>Whether both sides of every transfer have consumed what was said on control streams and got through.</summary>
    public bool IsAllHeard
    {
        get
        {
            lock (_gate) return _control.TrueForAll(end => end.IsConsumed);
        }
    }

    internal void Watch(MemoryStreamEnd near, MemoryStreamEnd far)
    {
        lock (_gate) _control.AddRange([near, far]);
    }

    internal bool Knows(PeerId peer) => _nodes.ContainsKey(peer);

    /// <summary>A link of its own.</summary>
    internal (MemoryNode Node, MemoryLink Link) ConnectPrivately(PeerId to)
    {
        if (!_nodes.TryGetValue(to, out MemoryNode? node))
            throw new TransportException(TransportError.NoAddresses, "no address is known") { Peer = to };
        var link = new MemoryLink();
        lock (_gate)
        {
            PrivateLinkMade?.Invoke(link);
            PrivateLinksMade++;
            _private.Add(link);
        }

        return (node, link);
    }

    internal (MemoryNode Node, MemoryLink Link) Connect(PeerId from, PeerId to)
    {
        if (!_nodes.TryGetValue(to, out MemoryNode? node))
            throw new TransportException(TransportError.NoAddresses, "no address is known") { Peer = to };
        (PeerId, PeerId) key = string.CompareOrdinal(from.ToString(), to.ToString()) < 0 ? (from, to) : (to, from);
        lock (_gate)
        {
            if (_links.TryGetValue(key, out MemoryLink? link) && !link.IsBroken) return (node, link);
            link = new MemoryLink();
            _links[key] = link;
            LinksMade++;
            LinkMade?.Invoke(link);
            return (node, link);
        }
    }
}

/// <summary>One node of a <see cref="MemoryNetwork"/>.</summary>
internal sealed class MemoryNode(MemoryNetwork network, PeerId id) : ITransferNetwork
{
    private readonly ConcurrentDictionary<string, Func<ITransferStream, CancellationToken, Task>> _handlers = new();
    private readonly ConcurrentBag<Task> _running = [];

    public PeerId LocalPeer => id;

    /// <summary>Streams opened from here so far.</summary>
    public int StreamsOpened { get; private set; }

    public bool MayReach(PeerId peer) => network.Knows(peer);

    public void Handle(string protocol, Func<ITransferStream, CancellationToken, Task> handler) => _handlers[protocol] = handler;

    public async ValueTask<ITransferStream> OpenStreamAsync(PeerId peer, string protocol, CancellationToken cancellationToken)
    {
        await Task.Yield();
        cancellationToken.ThrowIfCancellationRequested();
        (MemoryNode node, MemoryLink link) = network.Connect(id, peer);
        return Open(node, link, protocol);
    }

    public async ValueTask<ITransferConnection> ConnectAsync(PeerId peer, CancellationToken cancellationToken)
    {
        await Task.Yield();
        cancellationToken.ThrowIfCancellationRequested();
        (MemoryNode node, MemoryLink link) = network.ConnectPrivately(peer);
        return new Connection(this, node, link);
    }

    private MemoryStreamEnd Open(MemoryNode node, MemoryLink link, string protocol)
    {
        if (!node._handlers.TryGetValue(protocol, out var handler))
            throw new TransportException(TransportError.UnsupportedProtocol, $"the peer does not speak {protocol}");
        StreamsOpened++;
        (MemoryStreamEnd near, MemoryStreamEnd far) = MemoryStreamEnd.CreatePair(link, protocol, id, node.LocalPeer);
        if (protocol == TransferProtocol.ControlId) network.Watch(near, far);
        node._running.Add(Task.Run(() => ServeAsync(handler, far)));
        return near;
    }

    /// <summary>Waits until every handler ended; none may hang.</summary>
    public Task WhenIdleAsync() => Task.WhenAll(_running);

    private static async Task ServeAsync(Func<ITransferStream, CancellationToken, Task> handler, MemoryStreamEnd stream)
    {
        try
        {
            await handler(stream, CancellationToken.None);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            stream.Reset();
        }

        await stream.DisposeAsync();
    }

    private sealed class Connection(MemoryNode from, MemoryNode to, MemoryLink link) : ITransferConnection
    {
        public ValueTask<ITransferStream> OpenStreamAsync(string protocol, CancellationToken cancellationToken) =>
            link.IsBroken ? throw MemoryLink.Lost() : new ValueTask<ITransferStream>(from.Open(to, link, protocol));

        public ValueTask DisposeAsync()
        {
            link.Break();
            return ValueTask.CompletedTask;
        }
    }
}
