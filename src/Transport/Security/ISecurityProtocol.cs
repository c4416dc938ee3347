using FastShare.Transport.Identity;

namespace FastShare.Transport.Security;

/// <summary>Which side of a connection this node is. The dialer is the initiator of every negotiation and yamux's client.</summary>
internal enum ConnectionRole
{
    Dialer,
    Listener,
}

/// <summary>A channel whose remote peer has proved its identity (or, for plaintext, only claimed it).</summary>
/// <param name="Channel">The channel to go on with; owns the inner one.</param>
/// <param name="RemoteKey">The remote peer's public key.</param>
/// <param name="Security">The security protocol used, by its multistream-select id.</param>
/// <param name="Muxer">The multiplexer agreed on during the handshake; null: negotiate it inside the channel.</param>
internal sealed record SecuredChannel(IByteChannel Channel, PublicKey RemoteKey, string Security, string? Muxer)
{
    public PeerId RemotePeer { get; } = RemoteKey.ToPeerId();
}

/// <summary>A security handshake, named by its multistream-select protocol id. Thread-safe.</summary>
internal interface ISecurityProtocol
{
    /// <summary>The multistream-select id, such as <c>/noise</c>.</summary>
    string ProtocolId { get; }

    /// <summary>
    /// Secures <paramref name="channel"/>. On failure the channel is aborted and disposed, and a <see cref="TransportException"/>
    /// thrown: <see cref="TransportError.HandshakeFailed"/>, <see cref="TransportError.PeerIdMismatch"/>, or what the connection
    /// failed with.
    /// </summary>
    /// <param name="channel">The inner channel, positioned behind the multistream-select answer; ownership passes.</param>
    /// <param name="role">This side's role.</param>
    /// <param name="expectedPeer">The peer that was dialed; null when any peer is welcome.</param>
    /// <param name="cancellationToken">Carries the deadline of the whole upgrade.</param>
    ValueTask<SecuredChannel> HandshakeAsync(
        IByteChannel channel, ConnectionRole role, PeerId? expectedPeer, CancellationToken cancellationToken);
}
