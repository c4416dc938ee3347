using NSec.Cryptography;
using NSecPublicKey = NSec.Cryptography.PublicKey;

namespace FastShare.Transport.Security.Internal;

/// <summary>An X25519 key pair of one handshake. Disposing it wipes the private half.</summary>
internal sealed class NoiseKeyPair : IDisposable
{
    /// <summary>Length of public keys, private keys and shared secrets, in bytes (RFC 7748).</summary>
    public const int Length = 32;

    private readonly Key _key;
    private readonly byte[] _public;

    private NoiseKeyPair(Key key)
    {
        _key = key;
        _public = key.PublicKey.Export(KeyBlobFormat.RawPublicKey);
    }

    /// <summary>The public half.</summary>
    public ReadOnlySpan<byte> Public => _public;

    /// <summary>Makes a new random pair.</summary>
    public static NoiseKeyPair Generate() => new(Key.Create(KeyAgreementAlgorithm.X25519));

    /// <summary>Makes the pair of a given private key, for test vectors.</summary>
    public static NoiseKeyPair FromPrivate(ReadOnlySpan<byte> privateKey) =>
        new(Key.Import(KeyAgreementAlgorithm.X25519, privateKey, KeyBlobFormat.RawPrivateKey));

    /// <summary>
    /// Writes the secret shared with <paramref name="remotePublic"/>. False if the remote key leads to the all-zero secret, which
    /// anyone could know (RFC 7748 section 6.1), or is no key at all.
    /// </summary>
    public bool TryAgree(ReadOnlySpan<byte> remotePublic, Span<byte> secret)
    {
        NSecPublicKey.TryImport(KeyAgreementAlgorithm.X25519, remotePublic, KeyBlobFormat.RawPublicKey, out NSecPublicKey? remote);
        if (remote is null) return false;
        var exportable = new SharedSecretCreationParameters { ExportPolicy = KeyExportPolicies.AllowPlaintextExport };
        using SharedSecret? shared = KeyAgreementAlgorithm.X25519.Agree(_key, remote, exportable);
        if (shared is null) return false;
        return shared.TryExport(SharedSecretBlobFormat.RawSharedSecret, secret, out int length) && length == Length
            && secret[..Length].ContainsAnyExcept((byte)0);
    }

    /// <inheritdoc/>
    public void Dispose() => _key.Dispose();
}
