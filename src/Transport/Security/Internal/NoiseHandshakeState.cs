using System.Security.Cryptography;
using System.Text;

namespace FastShare.Transport.Security.Internal;

/// <summary>
/// The XX handshake of the Noise framework (revision 34) without input or output: messages in, messages out.
/// <c>-> e</c>, <c>&lt;- e, ee, s, es</c>, <c>-> s, se</c>. Not thread-safe; disposing it wipes the keys it was given.
/// </summary>
/// <remarks>After any exception the handshake is over and must be disposed.</remarks>
internal sealed class NoiseHandshakeState : IDisposable
{
    private const int HashLength = 32;
    private const int Messages = 3;

    private readonly NoiseSuite _suite;
    private readonly bool _initiator;
    private readonly NoiseKeyPair _static;
    private readonly NoiseKeyPair _ephemeral;
    private readonly byte[] _hash = new byte[HashLength];
    private readonly byte[] _chainingKey = new byte[HashLength];
    private readonly byte[] _remoteEphemeral = new byte[NoiseKeyPair.Length];
    private readonly byte[] _remoteStatic = new byte[NoiseKeyPair.Length];
    private NoiseCipherState? _cipher; // null until the first key agreement
    private int _message; // number of the next message

    /// <summary>Begins a handshake; takes over both key pairs.</summary>
    public NoiseHandshakeState(
        NoiseSuite suite, ConnectionRole role, NoiseKeyPair staticKey, NoiseKeyPair ephemeralKey, ReadOnlySpan<byte> prologue = default)
    {
        _suite = suite;
        _initiator = role == ConnectionRole.Dialer;
        _static = staticKey;
        _ephemeral = ephemeralKey;
        // A name of at most 32 bytes is the first hash itself, padded with zeros (Noise section 5.2).
        Encoding.ASCII.GetBytes(suite.Name, _hash);
        _hash.CopyTo(_chainingKey, 0);
        MixHash(prologue);
    }

    /// <summary>The handshake hash so far.</summary>
    public ReadOnlySpan<byte> Hash => _hash;

    /// <summary>This side's static key.</summary>
    public ReadOnlySpan<byte> LocalStatic => _static.Public;

    /// <summary>The peer's static key, once its message with it was read.</summary>
    public ReadOnlySpan<byte> RemoteStatic => _remoteStatic;

    /// <summary>Whether all three messages have passed.</summary>
    public bool IsComplete => _message == Messages;

    /// <summary>Bytes that the next message to write or read has besides its payload.</summary>
    public int Overhead => _message switch
    {
        0 => NoiseKeyPair.Length,
        1 => (2 * NoiseKeyPair.Length) + (2 * _suite.TagLength),
        _ => NoiseKeyPair.Length + (2 * _suite.TagLength),
    };

    /// <summary>Writes this side's next message and returns its length, <see cref="Overhead"/> more than the payload's.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.HandshakeFailed"/>: the peer's key read before is of low
    /// order.</exception>
    public int WriteMessage(ReadOnlySpan<byte> payload, Span<byte> destination)
    {
        ThrowIfNotTurn(writing: true);
        int length = Overhead + payload.Length;
        Span<byte> rest = destination[..length];
        switch (_message)
        {
            case 0:
                WriteEphemeral(ref rest);
                break;
            case 1:
                WriteEphemeral(ref rest);
                MixSharedSecret(_ephemeral, _remoteEphemeral); // ee
                WriteSealed(_static.Public, ref rest); // s
                MixSharedSecret(_static, _remoteEphemeral); // es
                break;
            default:
                WriteSealed(_static.Public, ref rest); // s
                MixSharedSecret(_static, _remoteEphemeral); // se
                break;
        }

        WriteSealed(payload, ref rest);
        _message++;
        return length;
    }

    /// <summary>Reads the peer's next message and returns the length of the payload written to <paramref name="payload"/>.</summary>
    /// <exception cref="TransportException"><see cref="TransportError.HandshakeFailed"/>.</exception>
    public int ReadMessage(ReadOnlySpan<byte> message, Span<byte> payload)
    {
        ThrowIfNotTurn(writing: false);
        if (message.Length < Overhead) throw Failed($"its message {_message + 1} is too short");
        int length = message.Length - Overhead;
        switch (_message)
        {
            case 0:
                ReadEphemeral(ref message);
                break;
            case 1:
                ReadEphemeral(ref message);
                MixSharedSecret(_ephemeral, _remoteEphemeral); // ee
                ReadSealed(ref message, _remoteStatic); // s
                MixSharedSecret(_ephemeral, _remoteStatic); // es
                break;
            default:
                ReadSealed(ref message, _remoteStatic); // s
                MixSharedSecret(_ephemeral, _remoteStatic); // se
                break;
        }

        ReadSealed(ref message, payload[..length]);
        _message++;
        return length;
    }

    /// <summary>The ciphers for what follows. Once, after the last message.</summary>
    public (NoiseCipherState Send, NoiseCipherState Receive) Split()
    {
        (byte[] initiatorKey, byte[] responderKey) = SplitKeys();
        try
        {
            var fromInitiator = new NoiseCipherState(_suite.CreateAead(initiatorKey));
            var fromResponder = new NoiseCipherState(_suite.CreateAead(responderKey));
            return _initiator ? (fromInitiator, fromResponder) : (fromResponder, fromInitiator);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(initiatorKey);
            CryptographicOperations.ZeroMemory(responderKey);
        }
    }

    /// <summary>The keys behind <see cref="Split"/>: initiator to responder, responder to initiator. The caller wipes them.</summary>
    internal (byte[] FromInitiator, byte[] FromResponder) SplitKeys()
    {
        if (!IsComplete) throw new InvalidOperationException("the handshake is not complete");
        byte[] first = new byte[HashLength];
        byte[] second = new byte[HashLength];
        DeriveKeys(default, first, second);
        return (first, second);
    }

    private void WriteEphemeral(ref Span<byte> rest)
    {
        _ephemeral.Public.CopyTo(rest);
        MixHash(_ephemeral.Public);
        rest = rest[NoiseKeyPair.Length..];
    }

    private void ReadEphemeral(ref ReadOnlySpan<byte> message)
    {
        message[..NoiseKeyPair.Length].CopyTo(_remoteEphemeral);
        MixHash(_remoteEphemeral);
        message = message[NoiseKeyPair.Length..];
    }

    // EncryptAndHash: before the first key agreement the text goes as it is.
    private void WriteSealed(ReadOnlySpan<byte> plaintext, ref Span<byte> rest)
    {
        Span<byte> target = rest[..(plaintext.Length + (_cipher is null ? 0 : _suite.TagLength))];
        if (_cipher is null) plaintext.CopyTo(target);
        else _cipher.Seal(_hash, plaintext, target);
        MixHash(target);
        rest = rest[target.Length..];
    }

    // DecryptAndHash.
    private void ReadSealed(ref ReadOnlySpan<byte> message, Span<byte> plaintext)
    {
        ReadOnlySpan<byte> source = message[..(plaintext.Length + (_cipher is null ? 0 : _suite.TagLength))];
        if (_cipher is null) source.CopyTo(plaintext);
        else if (!_cipher.TryOpen(_hash, source, plaintext)) throw Failed($"its message {_message + 1} does not decrypt");
        MixHash(source);
        message = message[source.Length..];
    }

    private void MixHash(ReadOnlySpan<byte> data)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(_hash);
        hash.AppendData(data);
        hash.GetHashAndReset(_hash);
    }

    // MixKey of a key agreement.
    private void MixSharedSecret(NoiseKeyPair own, ReadOnlySpan<byte> remotePublic)
    {
        Span<byte> secret = stackalloc byte[NoiseKeyPair.Length];
        byte[] key = new byte[NoiseAead.KeyLength];
        try
        {
            if (!own.TryAgree(remotePublic, secret)) throw Failed("it sent a public key of low order");
            DeriveKeys(secret, _chainingKey, key);
            _cipher?.Dispose();
            _cipher = new NoiseCipherState(_suite.CreateAead(key));
        }
        finally
        {
            CryptographicOperations.ZeroMemory(secret);
            CryptographicOperations.ZeroMemory(key);
        }
    }

    // Noise's HKDF with two outputs. Written out because the framework's refuses empty input key material on some platforms.
    private void DeriveKeys(ReadOnlySpan<byte> inputKeyMaterial, Span<byte> first, Span<byte> second)
    {
        Span<byte> temporary = stackalloc byte[HashLength];
        Span<byte> block = stackalloc byte[HashLength + 1];
        HMACSHA256.HashData(_chainingKey, inputKeyMaterial, temporary);
        HMACSHA256.HashData(temporary, [1], first);
        first[..HashLength].CopyTo(block);
        block[HashLength] = 2;
        HMACSHA256.HashData(temporary, block, second);
        CryptographicOperations.ZeroMemory(temporary);
        CryptographicOperations.ZeroMemory(block);
    }

    private void ThrowIfNotTurn(bool writing)
    {
        bool ownTurn = (_message % 2 == 0) == _initiator; // the initiator has the first and the third message
        if (IsComplete || writing != ownTurn) throw new InvalidOperationException("it is not this side's turn in the handshake");
    }

    private static TransportException Failed(string why) =>
        new(TransportError.HandshakeFailed, $"the peer broke the Noise handshake: {why}");

    /// <inheritdoc/>
    public void Dispose()
    {
        _cipher?.Dispose();
        _static.Dispose();
        _ephemeral.Dispose();
        CryptographicOperations.ZeroMemory(_chainingKey);
    }
}
