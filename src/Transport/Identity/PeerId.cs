using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;

namespace FastShare.Transport.Identity;

/// <summary>
/// The identity of a peer: the multihash of its public key (libp2p peer-ids specification). Immutable; equal by value.
/// </summary>
public sealed class PeerId : IEquatable<PeerId>
{
    /// <summary>Keys up to this many bytes stand in the id themselves (libp2p peer-ids specification).</summary>
    private const int MaxInlineKeyLength = 42;
    private const byte IdentityCode = 0x00;
    private const byte Sha256Code = 0x12;

    private readonly byte[] _multihash;
    private readonly int _hash;
    private string? _text;

    private PeerId(byte[] multihash)
    {
        _multihash = multihash;
        var hash = default(HashCode);
        hash.AddBytes(multihash);
        _hash = hash.ToHashCode();
    }

    /// <summary>The multihash, as it stands in multiaddrs and messages.</summary>
    public ReadOnlySpan<byte> Bytes => _multihash;

    /// <summary>The id of a public key.</summary>
    public static PeerId FromPublicKey(PublicKey key)
    {
        ArgumentNullException.ThrowIfNull(key);
        byte[] encoded = key.Encode();
        if (encoded.Length <= MaxInlineKeyLength) return new PeerId([IdentityCode, (byte)encoded.Length, .. encoded]);
        return new PeerId([Sha256Code, 32, .. SHA256.HashData(encoded)]);
    }

    /// <summary>Parses the binary form.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.InvalidAddress"/>: not a peer id.</exception>
    public static PeerId FromBytes(ReadOnlySpan<byte> multihash) =>
        TryFromBytes(multihash, out PeerId? id) ? id : throw new TransportException(TransportError.InvalidAddress, "not a peer id: the multihash is malformed");

    /// <summary>Parses the binary form.</summary>
    public static bool TryFromBytes(ReadOnlySpan<byte> multihash, [NotNullWhen(true)] out PeerId? id)
    {
        id = null;
        if (multihash.Length < 2 || multihash[1] != multihash.Length - 2) return false;
        bool valid = multihash[0] switch
        {
            IdentityCode => multihash[1] <= MaxInlineKeyLength,
            Sha256Code => multihash[1] == 32,
            _ => false,
        };
        if (valid) id = new PeerId(multihash.ToArray());
        return valid;
    }

    /// <summary>Parses either text form: base58btc of the multihash, or a CIDv1 in base32, base36 or base58btc.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.InvalidAddress"/>: not a peer id.</exception>
    public static PeerId Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return TryParse(text, out PeerId? id)
            ? id
            : throw new TransportException(TransportError.InvalidAddress, $"not a peer id: '{PeerText.Escape(text)}' (expected text such as 12D3KooW…)");
    }

    /// <summary>Parses either text form.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, [NotNullWhen(true)] out PeerId? id)
    {
        id = null;
        if (text.Length is < 2 or > 128) return false;
        byte[] bytes;
        if (text[0] == '1' || text.StartsWith("Qm", StringComparison.Ordinal))
            return BaseEncoding.TryDecodeBase58(text, out bytes) && TryFromBytes(bytes, out id);

        bool decoded = text[0] switch
        {
            'b' => BaseEncoding.TryDecodeBase32(text[1..], out bytes),
            'k' => BaseEncoding.TryDecodeBase36(text[1..], out bytes),
            'z' => BaseEncoding.TryDecodeBase58(text[1..], out bytes),
            _ => (bytes = []).Length > 0,
        };
        // CID version 1, codec libp2p-key (0x72)
        return decoded && bytes is [0x01, 0x72, ..] && TryFromBytes(bytes.AsSpan(2), out id);
    }

    /// <summary>
    /// The public key, where the id holds it (Ed25519 and secp256k1); false for ids that are only a digest.
    /// </summary>
    public bool TryGetPublicKey([NotNullWhen(true)] out PublicKey? key)
    {
        key = null;
        if (_multihash[0] != IdentityCode || !PublicKey.TryDecode(_multihash.AsSpan(2), out PublicKey? inner)) return false;
        // An id around another encoding of the key is not that key's id.
        if (!inner.Encode().AsSpan().SequenceEqual(_multihash.AsSpan(2))) return false;
        key = inner;
        return true;
    }

    /// <summary>The base58btc text, which every libp2p implementation parses.</summary>
    public override string ToString() => _text ??= BaseEncoding.EncodeBase58(_multihash);

    /// <summary>The CIDv1 text in base32 (<c>bafz…</c>).</summary>
    public string ToCidString() => "b" + BaseEncoding.EncodeBase32([0x01, 0x72, .. _multihash]);

    /// <summary>The last six characters of the text: enough to tell peers apart in a log or table.</summary>
    public string ToShortString() => "…" + ToString()[^Math.Min(6, ToString().Length)..];

    /// <inheritdoc/>
    public bool Equals(PeerId? other) => other is not null && _multihash.AsSpan().SequenceEqual(other._multihash);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as PeerId);

    /// <inheritdoc/>
    public override int GetHashCode() => _hash;

    /// <summary>Equal by value.</summary>
    public static bool operator ==(PeerId? left, PeerId? right) => left is null ? right is null : left.Equals(right);

    /// <summary>Not equal by value.</summary>
    public static bool operator !=(PeerId? left, PeerId? right) => !(left == right);
}
