using System.Diagnostics.CodeAnalysis;
using System.Text;
using FastShare.Cli.Hosting;
using FastShare.Transfer;
using FastShare.Transfer.Trust;
using FastShare.Transport.Identity;

namespace FastShare.Cli.Parsing;

/// <summary>How a command names the other side: a peer id, a multiaddr ending in <c>/p2p/…</c>, or a name. Immutable.</summary>
internal sealed class PeerReference
{
    /// <summary>As <see cref="FastShareOptions.Name"/>.</summary>
    public const int MaxNameBytes = 63;

    private readonly string _text;

    private PeerReference(string text, PeerId? peer = null, Multiaddr? address = null)
    {
        _text = text;
        Peer = peer;
        Address = address;
    }

    /// <summary>The peer id, where the reference holds one; null for a name.</summary>
    public PeerId? Peer { get; }

    /// <summary>The address, where the reference is one.</summary>
    public Multiaddr? Address { get; }

    /// <summary>The name, where the reference is one.</summary>
    public string? Name => Peer is null ? _text : null;

    /// <summary>Whether a node can have this name.</summary>
    public static bool IsName(string text) => !string.IsNullOrWhiteSpace(text) && Encoding.UTF8.GetByteCount(text) <= MaxNameBytes;

    /// <summary>Parses; on failure <paramref name="error"/> says what is wrong with it.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out PeerReference? reference, [NotNullWhen(false)] out string? error)
    {
        reference = null;
        error = null;
        string shown = PeerText.Escape(text);
        if (text.StartsWith('/'))
        {
            if (!Multiaddr.TryParse(text, out Multiaddr? address))
                error = $"'{shown}' is not a multiaddr such as /ip4/192.168.1.5/tcp/4001/p2p/12D3KooW…";
            else if (!address.EndsInPeerId) error = $"'{shown}' does not say which peer is there: add /p2p/ and its peer id";
            else reference = new PeerReference(text, address.PeerId, address);
        }
        else if (PeerId.TryParse(text, out PeerId? peer))
        {
            reference = new PeerReference(text, peer);
        }
        else if (LooksLikePeerId(text))
        {
            error = $"'{shown}' looks like a peer id, but is not a valid one: is it complete?";
        }
        else if (!IsName(text))
        {
            error = $"'{shown}' is not a peer: give a peer id, a multiaddr ending in /p2p/…, or a name of at most {MaxNameBytes} bytes";
        }
        else
        {
            reference = new PeerReference(text);
        }

        return reference is not null;
    }

    /// <summary>
    /// Says which peer is meant; waits up to <paramref name="wait"/> for a name to appear, and tells the node of an address.
    /// </summary>
    /// <param name="node">The node.</param>
    /// <param name="wait">How long a name may take to appear.</param>
    /// <param name="known">Names and keys of peers met before; null: none.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="TransferException"><see cref="TransferError.PeerNotReachable"/>: no peer, or several peers, of that
    /// name; <see cref="TransferError.IdentityChanged"/>: the name belongs to another peer.</exception>
    /// <exception cref="UsageException">The reference is this node itself.</exception>
    public async Task<PeerId> ResolveAsync(FastShareNode node, TimeSpan wait, KnownPeers? known, CancellationToken cancellationToken)
    {
        KnownPeer? owner = Peer is null ? known?.FindByName(_text) : null;
        PeerId peer = Peer ?? await node.FindPeerByNameAsync(_text, wait, owner?.Id, cancellationToken);
        if (owner is not null && peer != owner.Id) throw Impostor(owner, peer);
        if (peer == node.Id) throw new UsageException($"'{PeerText.Escape(_text)}' is this node itself");
        if (Address is not null) node.Swarm.AddAddresses(peer, [Address]);
        return peer;
    }

    /// <summary>The text as it was given; not escaped.</summary>
    public override string ToString() => _text;

    private TransferException Impostor(KnownPeer owner, PeerId found)
    {
        string name = PeerText.Escape(_text);
        return new TransferException(
            TransferError.IdentityChanged,
            $"the peer named '{name}' has the key {found}, but the '{name}' known here since {owner.Since:yyyy-MM-dd} has {owner.Id}. It may be an "
            + $"impostor. If that machine was set up anew, type: fastshare known forget {owner.Id}")
        { Peer = found };
    }

    // How ids of Ed25519 and of RSA keys begin.
    private static bool LooksLikePeerId(string text) =>
        text.Length > 40 && (text.StartsWith("12D3KooW", StringComparison.Ordinal) || text.StartsWith("Qm", StringComparison.Ordinal));
}
