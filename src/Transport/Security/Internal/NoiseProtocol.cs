using System.Buffers.Binary;
using FastShare.Transport.Buffers;
using FastShare.Transport.Identity;
using FastShare.Transport.Protocols;

namespace FastShare.Transport.Security.Internal;

/// <summary>
/// The libp2p noise handshake, with ChaCha20-Poly1305 for everyone or with a faster cipher between FastShare nodes. Thread-safe.
/// </summary>
internal sealed class NoiseProtocol(
    PeerIdentity identity, NoiseSuite suite, BlockPool? pool = null, Func<NoiseKeyPair>? createKey = null) : ISecurityProtocol
{
    /// <summary>
    /// Longest handshake message accepted, in bytes. The largest that is in use is one with an 8192-bit RSA identity, about
    /// 2.3 KiB; Noise itself allows 65535.
    /// </summary>
    internal const int MaxMessageLength = 8 << 10;

    private const int LengthPrefix = 2;

    private static readonly string[] StreamMuxers = [ProtocolIds.Yamux];

    // Static keys are made per session and never kept; tests inject them, the static one first.
    private readonly Func<NoiseKeyPair> _createKey = createKey ?? NoiseKeyPair.Generate;

    /// <inheritdoc/>
    public string ProtocolId => suite.ProtocolId;

    /// <inheritdoc/>
    public async ValueTask<SecuredChannel> HandshakeAsync(
        IByteChannel channel, ConnectionRole role, PeerId? expectedPeer, CancellationToken cancellationToken)
    {
        try
        {
            using var state = new NoiseHandshakeState(suite, role, _createKey(), _createKey());
            byte[] buffer = new byte[LengthPrefix + MaxMessageLength];
            return await (role == ConnectionRole.Dialer
                ? InitiateAsync(channel, state, buffer, expectedPeer, cancellationToken)
                : RespondAsync(channel, state, buffer, expectedPeer, cancellationToken)).ConfigureAwait(false);
        }
        catch
        {
            channel.Abort();
            await channel.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    private async Task<SecuredChannel> InitiateAsync(
        IByteChannel channel, NoiseHandshakeState state, byte[] buffer, PeerId? expectedPeer, CancellationToken cancellationToken)
    {
        await SendAsync(channel, state, ReadOnlyMemory<byte>.Empty, buffer, cancellationToken).ConfigureAwait(false);
        NoisePayload own = CreatePayload(state);
        NoisePayload remote = await ReceiveAsync(channel, state, buffer, expectedPeer, cancellationToken).ConfigureAwait(false);
        await SendAsync(channel, state, own.Encode(), buffer, cancellationToken).ConfigureAwait(false);
        return Finish(channel, state, remote, NoisePayload.SelectMuxer(own.StreamMuxers, remote.StreamMuxers));
    }

    private async Task<SecuredChannel> RespondAsync(
        IByteChannel channel, NoiseHandshakeState state, byte[] buffer, PeerId? expectedPeer, CancellationToken cancellationToken)
    {
        ReadOnlyMemory<byte> first = await ReadFrameAsync(channel, buffer, cancellationToken).ConfigureAwait(false);
        // An initiator must not send anything in the clear besides its ephemeral key.
        if (first.Length != state.Overhead)
            throw new TransportException(
                TransportError.HandshakeFailed, $"the peer's first Noise message has {first.Length} bytes instead of {state.Overhead}");
        state.ReadMessage(first.Span, []);
        NoisePayload own = CreatePayload(state);
        await SendAsync(channel, state, own.Encode(), buffer, cancellationToken).ConfigureAwait(false);
        NoisePayload remote = await ReceiveAsync(channel, state, buffer, expectedPeer, cancellationToken).ConfigureAwait(false);
        return Finish(channel, state, remote, NoisePayload.SelectMuxer(remote.StreamMuxers, own.StreamMuxers));
    }

    private NoisePayload CreatePayload(NoiseHandshakeState state) => NoisePayload.Create(identity, state.LocalStatic, StreamMuxers);

    private static async ValueTask SendAsync(
        IByteChannel channel, NoiseHandshakeState state, ReadOnlyMemory<byte> payload, byte[] buffer, CancellationToken cancellationToken)
    {
        int length = state.WriteMessage(payload.Span, buffer.AsSpan(LengthPrefix));
        BinaryPrimitives.WriteUInt16BigEndian(buffer, (ushort)length);
        channel.Write(buffer.AsMemory(0, LengthPrefix + length));
        await channel.FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    private static async ValueTask<NoisePayload> ReceiveAsync(
        IByteChannel channel, NoiseHandshakeState state, byte[] buffer, PeerId? expectedPeer, CancellationToken cancellationToken)
    {
        ReadOnlyMemory<byte> message = await ReadFrameAsync(channel, buffer, cancellationToken).ConfigureAwait(false);
        byte[] plaintext = new byte[message.Length];
        int length = state.ReadMessage(message.Span, plaintext);
        NoisePayload payload = NoisePayload.Verify(plaintext.AsSpan(0, length), state.RemoteStatic);
        PeerIdCheck.ThrowIfMismatch(expectedPeer, payload.IdentityKey);
        return payload;
    }

    // Reads exactly one frame: what follows belongs to the channel that the handshake makes.
    private static async ValueTask<ReadOnlyMemory<byte>> ReadFrameAsync(
        IByteChannel channel, byte[] buffer, CancellationToken cancellationToken)
    {
        await ReadExactlyAsync(channel, buffer.AsMemory(0, LengthPrefix), cancellationToken).ConfigureAwait(false);
        int length = BinaryPrimitives.ReadUInt16BigEndian(buffer);
        if (length > MaxMessageLength)
            throw new TransportException(
                TransportError.HandshakeFailed, $"the peer's Noise handshake message has {length} bytes; the limit is {MaxMessageLength}");
        Memory<byte> message = buffer.AsMemory(LengthPrefix, length);
        await ReadExactlyAsync(channel, message, cancellationToken).ConfigureAwait(false);
        return message;
    }

    private static async ValueTask ReadExactlyAsync(IByteChannel channel, Memory<byte> destination, CancellationToken cancellationToken)
    {
        if (!await channel.TryReadExactlyAsync(destination, cancellationToken).ConfigureAwait(false))
            throw new TransportException(
                TransportError.HandshakeFailed, "the peer closed the connection during the Noise handshake; it may have refused this node");
    }

    private SecuredChannel Finish(IByteChannel channel, NoiseHandshakeState state, NoisePayload remote, string? muxer)
    {
        (NoiseCipherState send, NoiseCipherState receive) = state.Split();
        var secured = new NoiseChannel(channel, send, receive, remote.IdentityKey.ToPeerId(), pool);
        return new SecuredChannel(secured, remote.IdentityKey, ProtocolId, muxer);
    }
}
