using FastShare.Transport.Identity;

namespace FastShare.Transport.Security.Internal;

/// <summary>The check that whoever answered is who was dialed: discovery and addresses are hints only.</summary>
internal static class PeerIdCheck
{
    /// <summary>Fails unless <paramref name="key"/> is <paramref name="expected"/>'s, or any peer is welcome.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.PeerIdMismatch"/>.</exception>
    public static void ThrowIfMismatch(PeerId? expected, PublicKey key)
    {
        if (expected is null) return;
        PeerId actual = key.ToPeerId();
        if (actual == expected) return;
        throw new TransportException(
            TransportError.PeerIdMismatch,
            $"expected peer {expected}, but {actual} answered; the address belongs to another node, or the peer has a new identity")
        {
            Peer = expected,
        };
    }
}
