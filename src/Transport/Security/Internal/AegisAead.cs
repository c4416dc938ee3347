using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace FastShare.Transport.Security.Internal;

/// <summary>
/// AEGIS-128L with its 256-bit tag (draft-irtf-cfrg-aegis-aead), by libsodium. It wants a 128-bit key and a 128-bit nonce: the first half
/// of Noise's 256-bit key is the key, the second half takes the counter as TLS 1.3 does with its own (RFC 8446, section 5.3): big-endian,
/// at the right, by exclusive or. So no two connections share nonces, whatever their keys.
/// </summary>
/// <remarks>
/// libsodium is called directly: NSec, which brings it, guards each key with four memory mappings, of which a process may have 65,530, and
/// dies with one more. Two keys a connection made that 8,000 connections.
/// </remarks>
internal sealed unsafe partial class AegisAead : NoiseAead
{
    /// <summary>Length of the tag, in bytes.</summary>
    public const int Tag = 32;

    private const int Half = 16;

    private readonly SecretKey _key;
    private UInt128 _mask; // cleared when nobody can seal any more

    public AegisAead(ReadOnlySpan<byte> key)
        : base(Tag)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(key.Length, KeyLength);
        _key = new SecretKey(key[..Half]);
        _mask = BinaryPrimitives.ReadUInt128BigEndian(key[Half..]);
    }

    /// <inheritdoc/>
    public override void Seal(ulong nonce, ReadOnlySpan<byte> associatedData, ReadOnlySpan<byte> plaintext, Span<byte> destination)
    {
        byte* counter = stackalloc byte[Half];
        BinaryPrimitives.WriteUInt128BigEndian(new Span<byte>(counter, Half), _mask ^ nonce);
        fixed (byte* data = associatedData, from = plaintext, to = destination[..(plaintext.Length + Tag)])
        {
            int result = Encrypt(
                to, null, from, (ulong)plaintext.Length, data, (ulong)associatedData.Length, null, counter, _key);
            if (result != 0) throw new InvalidOperationException("libsodium could not seal a record");
        }
    }

    /// <inheritdoc/>
    public override bool TryOpen(ulong nonce, ReadOnlySpan<byte> associatedData, ReadOnlySpan<byte> source, Span<byte> plaintext)
    {
        byte* counter = stackalloc byte[Half];
        BinaryPrimitives.WriteUInt128BigEndian(new Span<byte>(counter, Half), _mask ^ nonce);
        fixed (byte* data = associatedData, from = source[..(plaintext.Length + Tag)], to = plaintext)
        {
            return Decrypt(
                to, null, null, from, (ulong)(plaintext.Length + Tag), data, (ulong)associatedData.Length, counter, _key) == 0;
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _key.Dispose();
        _mask = default;
    }

    // The lengths written are known, so nobody asks for them; libsodium does not use its nsec.
    [LibraryImport("libsodium", EntryPoint = "crypto_aead_aegis128l_encrypt")]
    private static partial int Encrypt(
        byte* destination, ulong* length, byte* plaintext, ulong plaintextLength, byte* data, ulong dataLength, byte* unused,
        byte* nonce, SecretKey key);

    [LibraryImport("libsodium", EntryPoint = "crypto_aead_aegis128l_decrypt")]
    private static partial int Decrypt(
        byte* plaintext, ulong* length, byte* unused, byte* source, ulong sourceLength, byte* data, ulong dataLength,
        byte* nonce, SecretKey key);

    // Picks the processor's implementation; 1: was done before.
    [LibraryImport("libsodium", EntryPoint = "sodium_init")]
    private static partial int Initialize();

    /// <summary>
    /// A key outside of the garbage collector's memory, which would copy it about; wiped when it was disposed of and the last call that
    /// uses it has returned. A call after that throws.
    /// </summary>
    private sealed class SecretKey : SafeHandle
    {
        static SecretKey()
        {
            if (Initialize() < 0) throw new InvalidOperationException("libsodium could not be initialized");
        }

        public SecretKey(ReadOnlySpan<byte> key)
            : base(0, ownsHandle: true)
        {
            SetHandle((nint)NativeMemory.Alloc(Half));
            key.CopyTo(new Span<byte>((void*)handle, Half));
        }

        /// <inheritdoc/>
        public override bool IsInvalid => handle == 0;

        /// <inheritdoc/>
        protected override bool ReleaseHandle()
        {
            NativeMemory.Clear((void*)handle, Half);
            NativeMemory.Free((void*)handle);
            return true;
        }
    }
}
