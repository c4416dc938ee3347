using FastShare.Transport.Identity;

namespace FastShare.Transfer.Trust;

/// <summary>How far a known peer is trusted.</summary>
public enum PeerTrust
{
    /// <summary>Met before: its name is bound to its key, its offers are still asked about.</summary>
    Met,

    /// <summary>Its offers are taken without a question.</summary>
    Trusted,
}

/// <summary>A peer that this node remembers.</summary>
/// <param name="Id">Its peer id, which is its public key (or the key's fingerprint): what a person compares.</param>
/// <param name="Name">What it called itself, or the user calls it; never empty. Text from the peer: escape it before showing it.</param>
/// <param name="Trust">How far it is trusted.</param>
/// <param name="Since">The day (UTC) it was first remembered.</param>
public sealed record KnownPeer(PeerId Id, string Name, PeerTrust Trust, DateOnly Since);
