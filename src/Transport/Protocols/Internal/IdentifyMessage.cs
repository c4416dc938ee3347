using System.Buffers;
using FastShare.Transport.Buffers;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Protocols.Internal;

/// <summary>
/// What peers tell each other through identify (libp2p identify specification): encoding, and decoding of untrusted messages.
/// </summary>
/// <remarks>go-libp2p and js-libp2p may split it into several messages: scalars of later ones replace, lists grow.</remarks>
internal sealed class IdentifyMessage
{
    /// <summary>Longest message sent, in bytes: rust-libp2p reads no more.</summary>
    public const int MaxSent = 4096;

    /// <summary>Longest message read, in bytes (go-libp2p's and js-libp2p's limit).</summary>
    public const int MaxReceived = 8192;

    /// <summary>Messages read from one stream (go-libp2p's limit).</summary>
    public const int MaxMessages = 10;

    /// <summary>Addresses kept; further ones are ignored.</summary>
    public const int MaxAddresses = 64;

    /// <summary>Protocols kept; further ones are ignored.</summary>
    public const int MaxProtocols = 256;

    /// <summary>Longest text kept, in characters; longer protocol ids are ignored, other texts are cut.</summary>
    public const int MaxText = 256;

    /// <summary>What identify calls the family of networks (go-libp2p's and rust-libp2p's customary value).</summary>
    public const string ProtocolFamily = "ipfs/0.1.0";

    private readonly List<Multiaddr> _listenAddresses = [];
    private readonly List<string> _protocols = [];

    /// <summary>The sender's public key in its protobuf form; null if absent.</summary>
    public byte[]? PublicKey { get; private set; }

    public IReadOnlyList<Multiaddr> ListenAddresses => _listenAddresses;

    public IReadOnlyList<string> Protocols => _protocols;

    public Multiaddr? ObservedAddress { get; private set; }

    public string? ProtocolVersion { get; private set; }

    public string? AgentVersion { get; private set; }

    /// <summary>
    /// One length-prefixed message of at most <see cref="MaxSent"/> bytes; addresses at the end of the list are left out where
    /// they do not fit, then protocols.
    /// </summary>
    public static byte[] Encode(
        PublicKey key, IEnumerable<Multiaddr> listenAddresses, IEnumerable<string> protocols, Multiaddr? observed,
        string protocolVersion, string agentVersion)
    {
        byte[] encodedKey = key.Encode();
        int room = MaxSent - 2 - 6 * 3 - encodedKey.Length - (observed?.Bytes.Length ?? 0)
            - System.Text.Encoding.UTF8.GetByteCount(protocolVersion) - System.Text.Encoding.UTF8.GetByteCount(agentVersion);
        List<string> told = [.. protocols.TakeWhile(p => (room -= 3 + System.Text.Encoding.UTF8.GetByteCount(p)) >= 0)];
        List<Multiaddr> addresses = [.. listenAddresses.TakeWhile(a => (room -= 3 + a.Bytes.Length) >= 0)];
        ProtobufWriter writer = new ProtobufWriter().WriteBytes(1, encodedKey);
        foreach (Multiaddr address in addresses) writer.WriteBytes(2, address.Bytes);
        foreach (string protocol in told) writer.WriteString(3, protocol);
        if (observed is not null) writer.WriteBytes(4, observed.Bytes);
        byte[] message = writer.WriteString(5, protocolVersion).WriteString(6, agentVersion).ToArray();
        byte[] framed = new byte[Varint.Length((ulong)message.Length) + message.Length];
        message.CopyTo(framed, Varint.Write(framed, (ulong)message.Length));
        return framed;
    }

    /// <summary>Takes one length-prefixed message off the front of <paramref name="buffer"/>; false if it is not there as a
    /// whole.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.ProtocolViolation"/>.</exception>
    public bool TryMerge(ref ReadOnlySequence<byte> buffer)
    {
        Span<byte> prefix = stackalloc byte[Varint.MaxLength];
        ReadOnlySequence<byte> head = buffer.Slice(0, Math.Min(buffer.Length, prefix.Length));
        head.CopyTo(prefix);
        VarintStatus status = Varint.TryRead(prefix[..(int)head.Length], out ulong length, out int used);
        if (status == VarintStatus.Invalid) throw Violation("its length is malformed");
        if (status == VarintStatus.NeedMore) return false;
        if (length > MaxReceived) throw Violation($"it announces {length} bytes, more than {MaxReceived}");
        if (buffer.Length < used + (long)length) return false;
        byte[] message = buffer.Slice(used, (long)length).ToArray();
        buffer = buffer.Slice(used + (long)length);
        try
        {
            Merge(message);
        }
        catch (Exception e) when (e is FormatException or ArgumentException) // protobuf; text that is not UTF-8
        {
            throw Violation("it is malformed", e);
        }

        return true;
    }

    private void Merge(ReadOnlySpan<byte> message)
    {
        var reader = new ProtobufReader(message);
        while (reader.Read())
        {
            if (reader.WireType != 2) continue;
            switch (reader.Field)
            {
                case 1:
                    PublicKey = reader.Bytes.ToArray();
                    break;
                case 2 when _listenAddresses.Count < MaxAddresses && Multiaddr.TryFromBytes(reader.Bytes, out Multiaddr? address):
                    if (!_listenAddresses.Contains(address)) _listenAddresses.Add(address);
                    break;
                case 3 when _protocols.Count < MaxProtocols && reader.Bytes.Length <= MaxText:
                    string protocol = reader.ReadString();
                    if (!_protocols.Contains(protocol)) _protocols.Add(protocol);
                    break;
                case 4 when Multiaddr.TryFromBytes(reader.Bytes, out Multiaddr? observed):
                    ObservedAddress = observed;
                    break;
                case 5:
                    ProtocolVersion = Cut(reader.ReadString());
                    break;
                case 6:
                    AgentVersion = Cut(reader.ReadString());
                    break;
            }
        }
    }

    private static string Cut(string text) => text.Length <= MaxText ? text : text[..MaxText];

    private static TransportException Violation(string what, Exception? inner = null) =>
        new(TransportError.ProtocolViolation, $"the peer sent an identify message that cannot be used: {what}", inner);
}
