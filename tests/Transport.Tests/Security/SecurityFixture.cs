using FastShare.Testing;
using FastShare.Transport.Buffers;
using FastShare.Transport.Identity;
using FastShare.Transport.Security;
using FastShare.Transport.Security.Internal;
using FastShare.Transport.Tests.Identity;

namespace FastShare.Transport.Tests.Security;

/// <summary>What the tests of this folder share.</summary>
internal static class SecurityFixture
{
    /// <summary>The identity key of the specification.</summary>
    public static PeerIdentity Alice { get; } = PeerIdentity.Decode(Convert.FromHexString(IdentityVectors.Ed25519Private));

    /// <summary>The identity of the seed 000102…1f.</summary>
    public static PeerIdentity Bob { get; } = PeerIdentity.FromSeed([.. Enumerable.Range(0, 32).Select(i => (byte)i)]);

    /// <summary>A pool that spoils returned blocks, so that use after return shows.</summary>
    public static BlockPool PoisonedPool() => new() { PoisonOnReturn = true };

    /// <summary>Both ends of a Noise channel with fixed keys, without a handshake.</summary>
    public static (NoiseChannel Left, NoiseChannel Right) NoisePair(
        MemoryConnection left, MemoryConnection right, NoiseSuite? suite = null, BlockPool? pool = null, ulong nonce = 0) =>
        (NoiseEnd(left, 1, 2, suite, pool, nonce), NoiseEnd(right, 2, 1, suite, pool, nonce));

    public static NoiseChannel NoiseEnd(
        MemoryConnection connection, byte sendKey, byte receiveKey, NoiseSuite? suite = null, BlockPool? pool = null, ulong nonce = 0) =>
        new(new PlainChannel(connection, pool), Cipher(sendKey, suite, nonce), Cipher(receiveKey, suite, nonce), Bob.PeerId, pool);

    /// <summary>The suite that goes by a protocol id.</summary>
    public static NoiseSuite Suite(string protocolId) =>
        ((NoiseSuite[])[NoiseSuite.ChaChaPoly, NoiseSuite.AesGcm, NoiseSuite.Aegis]).Single(suite => suite.ProtocolId == protocolId);

    public static NoiseCipherState Cipher(byte key, NoiseSuite? suite = null, ulong nonce = 0)
    {
        byte[] bytes = new byte[NoiseAead.KeyLength];
        bytes.AsSpan().Fill(key);
        return new NoiseCipherState((suite ?? NoiseSuite.Aegis).CreateAead(bytes), nonce);
    }

    /// <summary>One sealed record with its length prefix.</summary>
    public static byte[] Record(NoiseCipherState cipher, ReadOnlySpan<byte> plaintext)
    {
        byte[] record = new byte[2 + plaintext.Length + cipher.TagLength];
        cipher.Seal(default, plaintext, record.AsSpan(2));
        record[0] = (byte)((record.Length - 2) >> 8);
        record[1] = (byte)(record.Length - 2);
        return record;
    }

    public static byte[] RandomBytes(int count, int seed = 1)
    {
        byte[] bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    /// <summary>Reads until <paramref name="count"/> bytes are there or the channel ends.</summary>
    public static async Task<byte[]> ReadAsync(IByteChannel channel, int count)
    {
        byte[] bytes = new byte[count];
        int have = 0;
        while (have < count)
        {
            int read = await channel.ReadAsync(bytes.AsMemory(have), CancellationToken.None);
            if (read == 0) break;
            have += read;
        }

        return bytes[..have];
    }

    public static async Task WriteAsync(IByteChannel channel, ReadOnlyMemory<byte> bytes)
    {
        channel.Write(bytes);
        await channel.FlushAsync(CancellationToken.None);
    }
}
