using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using FastShare.Transport.Buffers;
using NSec.Cryptography;

namespace FastShare.Transport.Identity;

/// <summary>Kinds of identity key on libp2p's wire.</summary>
public enum KeyType
{
    /// <summary>RSA, PKCS#1 v1.5 signatures with SHA-256.</summary>
    Rsa = 0,

    /// <summary>Ed25519 (RFC 8032).</summary>
    Ed25519 = 1,

    /// <summary>ECDSA over secp256k1.</summary>
    Secp256k1 = 2,

    /// <summary>ECDSA, P-256 in practice.</summary>
    Ecdsa = 3,
}

/// <summary>A peer's public identity key. Immutable.</summary>
public sealed class PublicKey
{
    /// <summary>Largest RSA modulus verified, in bits: larger ones cost too much time to verify (CVE-2023-39533).</summary>
    public const int MaxRsaBits = 8192;

    /// <summary>Smallest RSA modulus accepted, in bits (as go-libp2p).</summary>
    public const int MinRsaBits = 2048;

    // An 8192-bit RSA SubjectPublicKeyInfo is 1062 bytes.
    private const int MaxDataLength = 1100;

    private readonly byte[] _data;

    private PublicKey(KeyType type, byte[] data)
    {
        Type = type;
        _data = data;
    }

    /// <summary>The kind of key.</summary>
    public KeyType Type { get; }

    /// <summary>The key in the form its type prescribes: raw 32 bytes, compressed point, or DER SubjectPublicKeyInfo.</summary>
    public ReadOnlySpan<byte> Data => _data;

    /// <summary>Parses the protobuf form.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.InvalidKey"/>.</exception>
    public static PublicKey Decode(ReadOnlySpan<byte> message) =>
        TryDecode(message, out PublicKey? key) ? key : throw new TransportException(TransportError.InvalidKey, "the public key is malformed or of an unsupported type or size");

    /// <summary>Parses the protobuf form; false if it is malformed or of an unsupported type or size.</summary>
    public static bool TryDecode(ReadOnlySpan<byte> message, [NotNullWhen(true)] out PublicKey? key)
    {
        key = null;
        int type = -1;
        ReadOnlySpan<byte> data = default;
        try
        {
            var reader = new ProtobufReader(message);
            while (reader.Read())
            {
                if (reader is { Field: 1, WireType: 0 }) type = reader.Varint <= 3 ? (int)reader.Varint : -1;
                else if (reader is { Field: 2, WireType: 2 }) data = reader.Bytes;
            }
        }
        catch (FormatException)
        {
            return false;
        }

        return TryCreate((KeyType)type, data, out key);
    }

    /// <summary>Makes an Ed25519 key of its 32 raw bytes.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.InvalidKey"/>.</exception>
    public static PublicKey FromEd25519(ReadOnlySpan<byte> raw) =>
        TryCreate(KeyType.Ed25519, raw, out PublicKey? key) ? key : throw new TransportException(TransportError.InvalidKey, "an Ed25519 public key has 32 bytes");

    private static bool TryCreate(KeyType type, ReadOnlySpan<byte> data, [NotNullWhen(true)] out PublicKey? key)
    {
        key = null;
        bool valid = type switch
        {
            KeyType.Ed25519 => data.Length == 32,
            KeyType.Secp256k1 => data.Length == 33 && data[0] is 2 or 3,
            KeyType.Rsa or KeyType.Ecdsa => data.Length is > 0 and <= MaxDataLength,
            _ => false,
        };
        if (valid) key = new PublicKey(type, data.ToArray());
        return valid;
    }

    /// <summary>The deterministic protobuf form, from which the peer id is made.</summary>
    public byte[] Encode() => new ProtobufWriter().WriteVarint(1, (ulong)Type).WriteBytes(2, _data).ToArray();

    /// <summary>The peer id of this key.</summary>
    public PeerId ToPeerId() => PeerId.FromPublicKey(this);

    /// <summary>Whether <paramref name="signature"/> over <paramref name="message"/> was made with this key's private half.</summary>
    /// <remarks>Never throws for hostile input: a key or signature that cannot be used does not verify.</remarks>
    public bool Verify(ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature)
    {
        try
        {
            return Type switch
            {
                KeyType.Ed25519 => VerifyEd25519(message, signature),
                KeyType.Rsa => VerifyRsa(message, signature),
                KeyType.Ecdsa => VerifyEcdsa(message, signature),
                KeyType.Secp256k1 => VerifySecp256k1(message, signature),
                _ => false,
            };
        }
        catch (Exception e) when (e is CryptographicException or FormatException or ArgumentException or PlatformNotSupportedException)
        {
            return false;
        }
    }

    private bool VerifyEd25519(ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature) =>
        signature.Length == 64
        && NSec.Cryptography.PublicKey.TryImport(SignatureAlgorithm.Ed25519, _data, KeyBlobFormat.RawPublicKey, out NSec.Cryptography.PublicKey? key)
        && key is not null && SignatureAlgorithm.Ed25519.Verify(key, message, signature);

    private bool VerifyRsa(ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature)
    {
        using var rsa = RSA.Create();
        rsa.ImportSubjectPublicKeyInfo(_data, out int read);
        return read == _data.Length && rsa.KeySize is >= MinRsaBits and <= MaxRsaBits
            && rsa.VerifyData(message, signature, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
    }

    private bool VerifyEcdsa(ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature)
    {
        using var ecdsa = ECDsa.Create();
        ecdsa.ImportSubjectPublicKeyInfo(_data, out int read);
        return read == _data.Length && ecdsa.VerifyData(message, signature, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);
    }

    private bool VerifySecp256k1(ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature)
    {
        if (!Secp256k1Point.TryDecompress(_data, out ECPoint point)) return false;
        using var ecdsa = ECDsa.Create(new ECParameters { Curve = Secp256k1Point.Curve, Q = point });
        return ecdsa.VerifyData(message, signature, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);
    }
}
