using FastShare.Transport.Buffers;
using FastShare.Transport.Identity;
using FastShare.Transport.Protocols;

namespace FastShare.Transport.Security.Internal;

/// <summary>
/// libp2p plaintext 2.0: both sides tell who they are, and nothing is encrypted or proved. For benchmarks, when both ask for it.
/// Thread-safe.
/// </summary>
internal sealed class PlaintextProtocol(PeerIdentity identity) : ISecurityProtocol
{
    /// <summary>Longest exchange message accepted, in bytes: that of an 8192-bit RSA key has about 1.1 KiB.</summary>
    internal const int MaxMessageLength = 2 << 10;

    private const int IdField = 1, PublicKeyField = 2;

    /// <inheritdoc/>
    public string ProtocolId => ProtocolIds.Plaintext;

    /// <inheritdoc/>
    public async ValueTask<SecuredChannel> HandshakeAsync(
        IByteChannel channel, ConnectionRole role, PeerId? expectedPeer, CancellationToken cancellationToken)
    {
        try
        {
            channel.Write(EncodeExchange(identity.PublicKey));
            await channel.FlushAsync(cancellationToken).ConfigureAwait(false);
            byte[] message = await ReadMessageAsync(channel, cancellationToken).ConfigureAwait(false);
            PublicKey remoteKey = DecodeExchange(message);
            PeerIdCheck.ThrowIfMismatch(expectedPeer, remoteKey);
            return new SecuredChannel(channel, remoteKey, ProtocolId, Muxer: null);
        }
        catch
        {
            channel.Abort();
            await channel.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>The exchange message with its length prefix.</summary>
    internal static byte[] EncodeExchange(PublicKey key)
    {
        byte[] message = new ProtobufWriter().WriteBytes(IdField, key.ToPeerId().Bytes).WriteBytes(PublicKeyField, key.Encode()).ToArray();
        byte[] framed = new byte[Varint.Length((ulong)message.Length) + message.Length];
        message.CopyTo(framed, Varint.Write(framed, (ulong)message.Length));
        return framed;
    }

    private static async ValueTask<byte[]> ReadMessageAsync(IByteChannel channel, CancellationToken cancellationToken)
    {
        byte[] prefix = new byte[Varint.MaxLength];
        int have = 0;
        ulong length;
        while (true)
        {
            await ReadExactlyAsync(channel, prefix.AsMemory(have++, 1), cancellationToken).ConfigureAwait(false);
            VarintStatus status = Varint.TryRead(prefix.AsSpan(0, have), out length, out _);
            if (status == VarintStatus.Done) break;
            if (status == VarintStatus.Invalid) throw Failed("its length prefix is malformed");
        }

        if (length > MaxMessageLength) throw Failed($"it announces {length} bytes; the limit is {MaxMessageLength}");
        byte[] message = new byte[length];
        await ReadExactlyAsync(channel, message, cancellationToken).ConfigureAwait(false);
        return message;
    }

    private static async ValueTask ReadExactlyAsync(IByteChannel channel, Memory<byte> destination, CancellationToken cancellationToken)
    {
        if (!await channel.TryReadExactlyAsync(destination, cancellationToken).ConfigureAwait(false))
            throw Failed("the connection was closed before its end");
    }

    private static PublicKey DecodeExchange(ReadOnlySpan<byte> message)
    {
        ReadOnlySpan<byte> id = default, encodedKey = default;
        try
        {
            var reader = new ProtobufReader(message);
            while (reader.Read())
            {
                if (reader is { Field: IdField, WireType: 2 }) id = reader.Bytes;
                else if (reader is { Field: PublicKeyField, WireType: 2 }) encodedKey = reader.Bytes;
            }
        }
        catch (FormatException e)
        {
            throw Failed("it is malformed", e);
        }

        if (!PublicKey.TryDecode(encodedKey, out PublicKey? key))
            throw Failed("its public key is missing, malformed or of an unsupported type or size");
        return id.SequenceEqual(key.ToPeerId().Bytes) ? key : throw Failed("its peer id is not that of its public key");
    }

    private static TransportException Failed(string why, Exception? cause = null) =>
        new(TransportError.HandshakeFailed, $"the peer's plaintext exchange cannot be used: {why}", cause);
}
