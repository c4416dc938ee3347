using FastShare.Transport.Buffers;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Security.Internal;

/// <summary>What the second and third handshake messages carry: the sender's identity and its proof (libp2p noise specification).</summary>
/// <param name="IdentityKey">The sender's identity key.</param>
/// <param name="Signature">Over <see cref="SignedText"/>, by that key.</param>
/// <param name="StreamMuxers">Multiplexers for early negotiation, best first; empty: negotiate inside the channel.</param>
internal sealed record NoisePayload(PublicKey IdentityKey, byte[] Signature, IReadOnlyList<string> StreamMuxers)
{
    // go-libp2p ignores longer lists.
    private const int MaxStreamMuxers = 100;

    private const int IdentityKeyField = 1, SignatureField = 2, ExtensionsField = 4, StreamMuxersField = 2;

    /// <summary>What an identity key signs: a fixed text and the Noise static key.</summary>
    public static byte[] SignedText(ReadOnlySpan<byte> staticKey) => [.. "noise-libp2p-static-key:"u8, .. staticKey];

    /// <summary>Makes this node's own payload.</summary>
    public static NoisePayload Create(PeerIdentity identity, ReadOnlySpan<byte> staticKey, IReadOnlyList<string> streamMuxers) =>
        new(identity.PublicKey, identity.Sign(SignedText(staticKey)), streamMuxers);

    /// <summary>The protobuf form.</summary>
    public byte[] Encode()
    {
        ProtobufWriter payload = new ProtobufWriter()
            .WriteBytes(IdentityKeyField, IdentityKey.Encode())
            .WriteBytes(SignatureField, Signature);
        if (StreamMuxers.Count == 0) return payload.ToArray();
        var extensions = new ProtobufWriter();
        foreach (string muxer in StreamMuxers) extensions.WriteString(StreamMuxersField, muxer);
        return payload.WriteBytes(ExtensionsField, extensions.ToArray()).ToArray();
    }

    /// <summary>Parses a peer's payload and checks that its identity key signed <paramref name="staticKey"/>.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.HandshakeFailed"/>.</exception>
    public static NoisePayload Verify(ReadOnlySpan<byte> message, ReadOnlySpan<byte> staticKey)
    {
        NoisePayload payload = Decode(message);
        if (!payload.IdentityKey.Verify(SignedText(staticKey), payload.Signature))
            throw Failed($"its signature by {payload.IdentityKey.ToPeerId()} does not verify");
        return payload;
    }

    private static NoisePayload Decode(ReadOnlySpan<byte> message)
    {
        ReadOnlySpan<byte> identityKey = default, signature = default;
        var muxers = new List<string>();
        try
        {
            var reader = new ProtobufReader(message);
            while (reader.Read())
            {
                if (reader is { Field: IdentityKeyField, WireType: 2 }) identityKey = reader.Bytes;
                else if (reader is { Field: SignatureField, WireType: 2 }) signature = reader.Bytes;
                else if (reader is { Field: ExtensionsField, WireType: 2 }) DecodeExtensions(reader.Bytes, muxers);
            }
        }
        catch (Exception e) when (e is FormatException or ArgumentException) // ArgumentException: text that is not UTF-8
        {
            throw Failed("its payload is malformed", e);
        }

        if (identityKey.IsEmpty) throw Failed("its payload has no identity key");
        if (signature.IsEmpty) throw Failed("its payload has no signature");
        if (!PublicKey.TryDecode(identityKey, out PublicKey? key))
            throw Failed("its identity key is malformed or of an unsupported type or size");
        return new NoisePayload(key, signature.ToArray(), muxers.Count > MaxStreamMuxers ? [] : muxers);
    }

    private static void DecodeExtensions(ReadOnlySpan<byte> message, List<string> muxers)
    {
        var reader = new ProtobufReader(message);
        while (reader.Read())
        {
            if (reader is { Field: StreamMuxersField, WireType: 2 } && muxers.Count <= MaxStreamMuxers) muxers.Add(reader.ReadString());
        }
    }

    /// <summary>
    /// The result of early multiplexer negotiation: the first of the initiator's that the responder has. Null, so that it is negotiated
    /// inside the channel, unless both listed some (rust-libp2p lists none) and the lists have one in common (as go-libp2p).
    /// </summary>
    public static string? SelectMuxer(IReadOnlyList<string> initiator, IReadOnlyList<string> responder)
    {
        foreach (string muxer in initiator)
        {
            if (responder.Contains(muxer)) return muxer;
        }

        return null;
    }

    private static TransportException Failed(string why, Exception? cause = null) =>
        new(TransportError.HandshakeFailed, $"the peer did not prove its identity: {why}", cause);
}
