using FastShare.Transport;
using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace FastShare.Transfer;

/// <summary>How chunks are sent.</summary>
public enum TransferMode
{
    /// <summary>Starts by the shape of the work. The default.</summary>
    Auto,

    /// <summary>One file after another over one stream: kind to disks and networks.</summary>
    Sequential,

    /// <summary>Many files and ranges at once over several streams.</summary>
    Parallel,
}

/// <summary>Settings of a <see cref="FastShareNode"/>.</summary>
public sealed class FastShareOptions
{
    /// <summary>This node's identity; the node does not dispose it. Default: a fresh one, disposed with the node.</summary>
    public PeerIdentity? Identity { get; init; }

    /// <summary>Where to listen. Default: every address, IPv4 and IPv6, a port chosen by the system. Empty: do not listen.</summary>
    public IReadOnlyList<Multiaddr> Listen { get; init; } = [Multiaddr.Parse("/ip4/0.0.0.0/tcp/0"), Multiaddr.Parse("/ip6/::/tcp/0")];

    /// <summary>Discoveries to run. Default: none. The node disposes them.</summary>
    public IReadOnlyList<IPeerDiscovery> Discovery { get; init; } = [];

    /// <summary>A name people know this node by, at most 63 UTF-8 bytes; told to peers. Default: the machine's name.</summary>
    public string? Name { get; init; }

    /// <summary>How connections are secured.</summary>
    public SecurityMode Security { get; init; } = SecurityMode.Noise;

    /// <summary>Asked before anything of an offer is written. Default: every offer is refused.</summary>
    public ConsentPolicy? Consent { get; init; }

    /// <summary>The clock.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Where logs go.</summary>
    public ILoggerFactory LoggerFactory { get; init; } = NullLoggerFactory.Instance;
}

/// <summary>Decides about an offer. Runs before anything is written; may take as long as a person takes.</summary>
public delegate ValueTask<OfferAnswer> ConsentPolicy(TransferOffer offer, CancellationToken cancellationToken);

/// <summary>What a peer wants to send.</summary>
/// <param name="Peer">The authenticated sender.</param>
/// <param name="PeerName">What the sender calls itself: text from the peer.</param>
/// <param name="RootNames">Names of the top-level entries (at most the first 100), validated but not escaped.</param>
/// <param name="Files">Number of files; what is known so far if <paramref name="IsComplete"/> is false.</param>
/// <param name="Bytes">Their sizes added up, likewise.</param>
/// <param name="HiddenNames">Paths with a component that starts with a dot (at most the first 100): worth a second look.</param>
/// <param name="IsComplete">Whether the whole manifest had arrived when consent was asked.</param>
public sealed record TransferOffer(
    PeerId Peer, string PeerName, IReadOnlyList<string> RootNames, long Files, long Bytes, IReadOnlyList<string> HiddenNames, bool IsComplete);

/// <summary>The answer to an offer.</summary>
public sealed record OfferAnswer
{
    /// <summary>The folder to receive into; null: refused.</summary>
    public string? Folder { get; private init; }

    /// <summary>Told to the sender when refused.</summary>
    public string Reason { get; private init; } = "";

    /// <summary>Whether an existing file of the same name is replaced (atomically); otherwise that file fails. Default: no.</summary>
    public bool Replace { get; private init; }

    /// <summary>Largest total size taken, in bytes.</summary>
    public long Quota { get; private init; } = long.MaxValue;

    /// <summary>Takes the offer into <paramref name="folder"/>, which is created if needed.</summary>
    public static OfferAnswer Accept(string folder, bool replace = false, long quota = long.MaxValue) => new() { Folder = folder, Replace = replace, Quota = quota };

    /// <summary>Refuses.</summary>
    public static OfferAnswer Refuse(string reason) => new() { Reason = reason };
}

/// <summary>Settings of one outgoing transfer.</summary>
public sealed class SendOptions
{
    /// <summary>How chunks are sent.</summary>
    public TransferMode Mode { get; init; } = TransferMode.Auto;

    /// <summary>Streams in parallel mode, 1 to 64. Default: 4.</summary>
    public int Streams { get; init; } = 4;

    /// <summary>How long the peer may take to appear before the transfer fails. Default: 30 s.</summary>
    public TimeSpan WaitForPeer { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How often a lost connection is restored without progress in between before the transfer fails. Default: 8.</summary>
    public int MaxRetries { get; init; } = 8;
}

/// <summary>A peer that discovery found.</summary>
/// <param name="Peer">Its id.</param>
/// <param name="Addresses">Where it is said to listen.</param>
public sealed record DiscoveredPeer(PeerId Peer, IReadOnlyList<Multiaddr> Addresses);

/// <summary>
/// A node that finds peers, sends files to them and receives files from them: the library's front door. Thread-safe.
/// </summary>
public sealed class FastShareNode : IAsyncDisposable
{
    private FastShareNode()
    {
    }

    /// <summary>Starts a node: listens, announces, looks for peers.</summary>
    public static Task<FastShareNode> StartAsync(FastShareOptions options, CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>This node.</summary>
    public PeerId Id => throw new NotImplementedException();

    /// <summary>What this node is called.</summary>
    public string Name => throw new NotImplementedException();

    /// <summary>Connections and protocols beneath.</summary>
    public Swarm Swarm => throw new NotImplementedException();

    /// <summary>Peers announced now.</summary>
    public IReadOnlyList<DiscoveredPeer> DiscoveredPeers => throw new NotImplementedException();

    /// <summary>Peers announced now, then every change.</summary>
    public IAsyncEnumerable<DiscoveryEvent> WatchPeersAsync(CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>The name a peer gives itself, from identify; null if it gave none or is no FastShare node. Connects if needed.</summary>
    public ValueTask<string?> GetPeerNameAsync(PeerId peer, CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>
    /// Waits until a peer with this name is discovered. Names are not proved: several peers of one name are an error.
    /// </summary>
    /// <exception cref="TransferException"><see cref="TransferError.PeerNotReachable"/>: none, or several, within <paramref name="wait"/>.</exception>
    public Task<PeerId> FindPeerByNameAsync(string name, TimeSpan wait, CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>
    /// Starts to send files and folders. Returns at once; the transfer waits for the peer to appear, and any number of transfers
    /// to a peer not connected yet share one dial.
    /// </summary>
    /// <param name="peer">The receiver.</param>
    /// <param name="paths">Files and folders; each arrives under its last name.</param>
    /// <param name="options">Settings.</param>
    public Transfer Send(PeerId peer, IReadOnlyList<string> paths, SendOptions? options = null) => throw new NotImplementedException();

    /// <summary>Transfers that peers start towards this node, from the offer on.</summary>
    public IAsyncEnumerable<Transfer> IncomingAsync(CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Stops: transfers under way end resumable, connections close.</summary>
    public ValueTask DisposeAsync() => throw new NotImplementedException();
}
