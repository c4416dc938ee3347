using System.Buffers.Binary;
using System.Security.Cryptography;
using FastShare.Transport.Protocols;
using AuthenticationTagMismatchException = System.Security.Cryptography.AuthenticationTagMismatchException;
using ChaCha20Poly1305 = System.Security.Cryptography.ChaCha20Poly1305;

namespace FastShare.Transport.Security.Internal;

/// <summary>A Noise XX suite over X25519 and SHA-256: the cipher and the names it goes by.</summary>
/// <param name="ProtocolId">The multistream-select id.</param>
/// <param name="Name">The Noise protocol name, the start of every handshake hash.</param>
/// <param name="TagLength">What sealing adds, in bytes.</param>
/// <param name="CreateAead">Makes the cipher of a 32-byte key.</param>
internal sealed record NoiseSuite(string ProtocolId, string Name, int TagLength, Func<byte[], NoiseAead> CreateAead)
{
    /// <summary>What every libp2p node speaks.</summary>
    public static NoiseSuite ChaChaPoly { get; } = new(
        ProtocolIds.Noise, "Noise_XX_25519_ChaChaPoly_SHA256", ChaChaPolyAead.Tag, key => new ChaChaPolyAead(key));

    /// <summary>Between FastShare nodes: the fastest by far where the processor has AES instructions.</summary>
    public static NoiseSuite Aegis { get; } = new(
        ProtocolIds.NoiseAegis, "Noise_XX_25519_AEGIS128L_SHA256", AegisAead.Tag, key => new AegisAead(key));

    /// <summary>Between FastShare nodes where NIST's cipher is asked for.</summary>
    public static NoiseSuite AesGcm { get; } = new(
        ProtocolIds.NoiseAesGcm, "Noise_XX_25519_AESGCM_SHA256", AesGcmAead.Tag, key => new AesGcmAead(key));
}

/// <summary>
/// An AEAD under one key, as Noise uses it (Noise specification revision 34, section 12): a nonce made of a 64-bit counter, the tag
/// behind the ciphertext. Allocates nothing per call. One caller at a time.
/// </summary>
internal abstract class NoiseAead(int tagLength) : IDisposable
{
    /// <summary>Length of a key, in bytes.</summary>
    public const int KeyLength = 32;

    /// <summary>Length of the tag, in bytes.</summary>
    public int TagLength { get; } = tagLength;

    /// <summary>Encrypts into <paramref name="destination"/>, which is longer by the tag and may start at the plaintext's place.</summary>
    public abstract void Seal(ulong nonce, ReadOnlySpan<byte> associatedData, ReadOnlySpan<byte> plaintext, Span<byte> destination);

    /// <summary>
    /// Decrypts into <paramref name="plaintext"/>, shorter by the tag than the source, whose place it may start at. False: forged or
    /// damaged, and the plaintext was cleared.
    /// </summary>
    public abstract bool TryOpen(ulong nonce, ReadOnlySpan<byte> associatedData, ReadOnlySpan<byte> source, Span<byte> plaintext);

    /// <inheritdoc/>
    public abstract void Dispose();
}

/// <summary>ChaCha20-Poly1305 (RFC 8439): four zero bytes, then the counter in little-endian order.</summary>
internal sealed class ChaChaPolyAead(byte[] key) : NoiseAead(Tag)
{
    /// <summary>Length of the tag, in bytes.</summary>
    public const int Tag = 16;

    private const int NonceLength = 12;

    private readonly ChaCha20Poly1305 _cipher = new(key);

    /// <inheritdoc/>
    public override void Seal(ulong nonce, ReadOnlySpan<byte> associatedData, ReadOnlySpan<byte> plaintext, Span<byte> destination)
    {
        Span<byte> bytes = stackalloc byte[NonceLength];
        WriteNonce(bytes, nonce);
        _cipher.Encrypt(bytes, plaintext, destination[..plaintext.Length], destination.Slice(plaintext.Length, TagLength), associatedData);
    }

    /// <inheritdoc/>
    public override bool TryOpen(ulong nonce, ReadOnlySpan<byte> associatedData, ReadOnlySpan<byte> source, Span<byte> plaintext)
    {
        Span<byte> bytes = stackalloc byte[NonceLength];
        WriteNonce(bytes, nonce);
        try
        {
            _cipher.Decrypt(bytes, source[..plaintext.Length], source.Slice(plaintext.Length, TagLength), plaintext, associatedData);
            return true;
        }
        catch (AuthenticationTagMismatchException)
        {
            return false;
        }
    }

    private static void WriteNonce(Span<byte> bytes, ulong nonce)
    {
        bytes[..4].Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[4..], nonce);
    }

    /// <inheritdoc/>
    public override void Dispose() => _cipher.Dispose();
}

/// <summary>AES-256-GCM (NIST SP 800-38D): four zero bytes, then the counter in big-endian order.</summary>
internal sealed class AesGcmAead(byte[] key) : NoiseAead(Tag)
{
    /// <summary>Length of the tag, in bytes.</summary>
    public const int Tag = 16;

    private const int NonceLength = 12;

    private readonly AesGcm _cipher = new(key, Tag);

    /// <inheritdoc/>
    public override void Seal(ulong nonce, ReadOnlySpan<byte> associatedData, ReadOnlySpan<byte> plaintext, Span<byte> destination)
    {
        Span<byte> bytes = stackalloc byte[NonceLength];
        WriteNonce(bytes, nonce);
        _cipher.Encrypt(bytes, plaintext, destination[..plaintext.Length], destination.Slice(plaintext.Length, TagLength), associatedData);
    }

    /// <inheritdoc/>
    public override bool TryOpen(ulong nonce, ReadOnlySpan<byte> associatedData, ReadOnlySpan<byte> source, Span<byte> plaintext)
    {
        Span<byte> bytes = stackalloc byte[NonceLength];
        WriteNonce(bytes, nonce);
        try
        {
            _cipher.Decrypt(bytes, source[..plaintext.Length], source.Slice(plaintext.Length, TagLength), plaintext, associatedData);
            return true;
        }
        catch (AuthenticationTagMismatchException)
        {
            return false;
        }
    }

    private static void WriteNonce(Span<byte> bytes, ulong nonce)
    {
        bytes[..4].Clear();
        BinaryPrimitives.WriteUInt64BigEndian(bytes[4..], nonce);
    }

    /// <inheritdoc/>
    public override void Dispose() => _cipher.Dispose();
}

/// <summary>One direction's cipher with its message counter (Noise's CipherState). One caller at a time.</summary>
internal sealed class NoiseCipherState(NoiseAead aead, ulong nonce = 0) : IDisposable
{
    // Reserved by Noise for rekeying, which libp2p does not use.
    private const ulong ReservedNonce = ulong.MaxValue;

    /// <summary>What sealing adds to a message, in bytes.</summary>
    public int TagLength => aead.TagLength;

    /// <summary>Number of the next message.</summary>
    public ulong Nonce { get; private set; } = nonce;

    /// <summary>Seals one message; see <see cref="NoiseAead.Seal"/>.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.LimitExceeded"/>: no nonces are left.</exception>
    public void Seal(ReadOnlySpan<byte> associatedData, ReadOnlySpan<byte> plaintext, Span<byte> destination)
    {
        ThrowIfExhausted();
        aead.Seal(Nonce, associatedData, plaintext, destination);
        Nonce++;
    }

    /// <summary>Opens one message; false if it is forged, damaged, or not the next one. The counter then stays.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.LimitExceeded"/>: no nonces are left.</exception>
    public bool TryOpen(ReadOnlySpan<byte> associatedData, ReadOnlySpan<byte> source, Span<byte> plaintext)
    {
        ThrowIfExhausted();
        if (!aead.TryOpen(Nonce, associatedData, source, plaintext)) return false;
        Nonce++;
        return true;
    }

    private void ThrowIfExhausted()
    {
        if (Nonce == ReservedNonce)
            throw new TransportException(
                TransportError.LimitExceeded, "the connection has sealed as many records as its key allows; connect anew");
    }

    /// <inheritdoc/>
    public void Dispose() => aead.Dispose();
}
