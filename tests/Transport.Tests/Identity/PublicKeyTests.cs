using System.Formats.Asn1;
using System.Security.Cryptography;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Identity;

public sealed class PublicKeyTests
{
    private static readonly byte[] Message = "noise-libp2p-static-key:"u8.ToArray();

    [Theory]
    [InlineData(IdentityVectors.Ed25519Public, KeyType.Ed25519)]
    [InlineData(IdentityVectors.Secp256k1Public, KeyType.Secp256k1)]
    [InlineData(IdentityVectors.EcdsaPublic, KeyType.Ecdsa)]
    [InlineData(IdentityVectors.RsaPublic, KeyType.Rsa)]
    public void Keys_of_the_specification_decode_and_encode_to_the_same_bytes(string hex, KeyType type)
    {
        PublicKey key = IdentityVectors.Key(hex);
        Assert.Equal(type, key.Type);
        Assert.Equal(hex, Convert.ToHexStringLower(key.Encode()));
    }

    [Fact]
    public void Ed25519_signatures_verify_and_altered_ones_do_not()
    {
        using PeerIdentity identity = PeerIdentity.Generate();
        VerifiesOnlyUnaltered(identity.PublicKey, identity.Sign(Message));
    }

    [Fact]
    public void Ecdsa_signatures_verify_and_altered_ones_do_not()
    {
        using var ecdsa = ECDsa.Create();
        ecdsa.ImportECPrivateKey(IdentityVectors.Bytes(IdentityVectors.EcdsaPrivateDer), out _);
        VerifiesOnlyUnaltered(
            IdentityVectors.Key(IdentityVectors.EcdsaPublic),
            ecdsa.SignData(Message, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence));
    }

    [Theory]
    [InlineData(2048)]
    [InlineData(3072)]
    public void Rsa_signatures_verify_and_altered_ones_do_not(int bits)
    {
        using var rsa = RSA.Create(bits);
        PublicKey key = PublicKey.Decode(Encode(KeyType.Rsa, rsa.ExportSubjectPublicKeyInfo()));
        VerifiesOnlyUnaltered(key, rsa.SignData(Message, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1));
        Assert.False(key.Verify(Message, rsa.SignData(Message, HashAlgorithmName.SHA256, RSASignaturePadding.Pss)));
    }

    [Fact]
    public void Secp256k1_signatures_verify_and_altered_ones_do_not()
    {
        using ECDsa ecdsa = SpecificationSecp256k1();
        VerifiesOnlyUnaltered(
            IdentityVectors.Key(IdentityVectors.Secp256k1Public),
            ecdsa.SignData(Message, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence));
    }

    [Fact]
    public void Every_compressed_secp256k1_point_is_read()
    {
        for (int i = 0; i < 50; i++)
        {
            using var ecdsa = ECDsa.Create(Secp256k1Point.Curve);
            ECPoint point = ecdsa.ExportParameters(false).Q;
            byte[] compressed = [(byte)(2 | (point.Y![31] & 1)), .. point.X!];
            Assert.True(Secp256k1Point.TryDecompress(compressed, out ECPoint read));
            Assert.Equal(point.Y, read.Y);
            Assert.Equal(point.X, read.X);
        }

        Assert.False(Secp256k1Point.TryDecompress([2, .. Enumerable.Repeat((byte)0xff, 32)], out _)); // x is not below p
        Assert.False(Secp256k1Point.TryDecompress([2, .. new byte[31], 5], out _)); // 5^3 + 7 is no square
        Assert.False(Secp256k1Point.TryDecompress([4, .. new byte[31], 1], out _));
    }

    [Fact]
    public void Secp256k1_takes_both_s_and_its_negation()
    {
        // libp2p signs with low S; a verifier that insisted on it would refuse older signatures.
        using ECDsa ecdsa = SpecificationSecp256k1();
        byte[] signature = ecdsa.SignData(Message, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);
        var order = new System.Numerics.BigInteger(
            IdentityVectors.Bytes("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"), isUnsigned: true, isBigEndian: true);
        AsnReader sequence = new AsnReader(signature, AsnEncodingRules.DER).ReadSequence();
        System.Numerics.BigInteger r = sequence.ReadInteger(), s = sequence.ReadInteger();
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            writer.WriteInteger(r);
            writer.WriteInteger(order - s);
        }

        PublicKey key = IdentityVectors.Key(IdentityVectors.Secp256k1Public);
        Assert.True(key.Verify(Message, signature));
        Assert.True(key.Verify(Message, writer.Encode()));
    }

    [Theory]
    [InlineData("")] // nothing
    [InlineData("0801")] // no data
    [InlineData("1220" + "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e")] // no type
    [InlineData("0801121f" + "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce2")] // 31 bytes
    [InlineData("08011221" + "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e00")] // 33 bytes
    [InlineData("08041220" + "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e")] // unknown type
    [InlineData("0801080412201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e")] // the last type is unknown
    [InlineData("08011220" + "1ed1e8fae2c4a144")] // truncated
    [InlineData("08021221" + "047777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99")] // not a compressed point
    [InlineData("08001200")] // empty RSA key
    [InlineData("08031200")] // empty ECDSA key
    [InlineData("ff")]
    [InlineData("00")]
    public void Malformed_keys_are_refused(string hex)
    {
        Assert.False(PublicKey.TryDecode(IdentityVectors.Bytes(hex), out _));
        Assert.Equal(TransportError.InvalidKey, Assert.Throws<TransportException>(() => PublicKey.Decode(IdentityVectors.Bytes(hex))).Error);
    }

    [Theory]
    [InlineData("12201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e0801")] // fields in the other order
    [InlineData("08810012201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e")] // padded type
    [InlineData("080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e1a0568656c6c6f")] // an unknown field
    [InlineData("080112a0001ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e")] // padded length
    public void A_non_canonical_encoding_gives_the_same_peer_id(string hex) =>
        Assert.Equal(IdentityVectors.Ed25519Id, IdentityVectors.Key(hex).ToPeerId().ToString());

    [Theory]
    [InlineData(16_384)]
    [InlineData(65_536)]
    [InlineData(1_000_000)]
    public void Rsa_keys_beyond_any_sane_size_are_refused_when_parsed(int bits) =>
        Assert.False(PublicKey.TryDecode(Encode(KeyType.Rsa, RsaSubjectPublicKeyInfo(bits, [1, 0, 1])), out _));

    [Theory]
    [InlineData(8200)]
    [InlineData(8448)]
    [InlineData(1024)]
    [InlineData(512)]
    public void Rsa_keys_outside_2048_to_8192_bits_never_verify(int bits)
    {
        PublicKey key = PublicKey.Decode(Encode(KeyType.Rsa, RsaSubjectPublicKeyInfo(bits, [1, 0, 1])));
        Assert.False(key.Verify(Message, new byte[bits / 8]));
    }

    [Fact]
    public void A_small_rsa_key_does_not_verify_its_own_good_signature()
    {
        using var rsa = RSA.Create(1024);
        PublicKey key = PublicKey.Decode(Encode(KeyType.Rsa, rsa.ExportSubjectPublicKeyInfo()));
        Assert.False(key.Verify(Message, rsa.SignData(Message, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)));
    }

    [Fact]
    public void Key_data_that_is_no_key_does_not_verify_and_does_not_throw()
    {
        var random = new Random(7);
        byte[] signature = new byte[64];
        for (int i = 0; i < 2_000; i++)
        {
            foreach ((KeyType type, string vector) in new[]
            {
                (KeyType.Ed25519, IdentityVectors.Ed25519Public), (KeyType.Secp256k1, IdentityVectors.Secp256k1Public),
                (KeyType.Ecdsa, IdentityVectors.EcdsaPublic), (KeyType.Rsa, IdentityVectors.RsaPublic),
            })
            {
                byte[] data = IdentityVectors.Key(vector).Data.ToArray();
                int changes = random.Next(1, 4);
                for (int c = 0; c < changes; c++) data[random.Next(Math.Min(data.Length, 60))] = (byte)random.Next(256);
                random.NextBytes(signature);
                if (PublicKey.TryDecode(Encode(type, data), out PublicKey? key)) Assert.False(key.Verify(Message, signature));
            }
        }
    }

    [Fact]
    public void Der_with_trailing_bytes_does_not_verify()
    {
        using var ecdsa = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        byte[] signature = ecdsa.SignData(Message, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);
        byte[] der = ecdsa.ExportSubjectPublicKeyInfo();
        Assert.True(PublicKey.Decode(Encode(KeyType.Ecdsa, der)).Verify(Message, signature));
        Assert.False(PublicKey.Decode(Encode(KeyType.Ecdsa, [.. der, 0])).Verify(Message, signature));
    }

    private static void VerifiesOnlyUnaltered(PublicKey key, byte[] signature)
    {
        Assert.True(key.Verify(Message, signature));
        Assert.False(key.Verify([.. Message, 0], signature));
        Assert.False(key.Verify(Message.AsSpan(1), signature));
        Assert.False(key.Verify(Message, []));
        Assert.False(key.Verify(Message, signature.AsSpan(0, signature.Length - 1)));
        Assert.False(key.Verify(Message, [.. signature, 0]));
        for (int i = 0; i < signature.Length; i += 7)
        {
            byte[] altered = [.. signature];
            altered[i] ^= 1;
            Assert.False(key.Verify(Message, altered), $"byte {i} altered");
        }
    }

    private static ECDsa SpecificationSecp256k1()
    {
        // ECCurve "1.3.132.0.10": the OID of secp256k1 (SEC 2)
        var ecdsa = ECDsa.Create(new ECParameters
        {
            Curve = ECCurve.CreateFromValue("1.3.132.0.10"),
            D = IdentityVectors.Bytes(IdentityVectors.Secp256k1PrivateScalar),
        });
        ECParameters half = ecdsa.ExportParameters(false);
        Assert.Equal(IdentityVectors.Key(IdentityVectors.Secp256k1Public).Data[1..].ToArray(), half.Q.X);
        return ecdsa;
    }

    private static byte[] Encode(KeyType type, byte[] data) =>
        new FastShare.Transport.Buffers.ProtobufWriter().WriteVarint(1, (ulong)type).WriteBytes(2, data).ToArray();

    private static byte[] RsaSubjectPublicKeyInfo(int bits, byte[] exponent)
    {
        byte[] modulus = new byte[bits / 8];
        new Random(bits).NextBytes(modulus);
        modulus[0] |= 0x80;
        modulus[^1] |= 1;
        var key = new AsnWriter(AsnEncodingRules.DER);
        using (key.PushSequence())
        {
            key.WriteIntegerUnsigned(modulus);
            key.WriteIntegerUnsigned(exponent);
        }

        var info = new AsnWriter(AsnEncodingRules.DER);
        using (info.PushSequence())
        {
            using (info.PushSequence())
            {
                info.WriteObjectIdentifier("1.2.840.113549.1.1.1");
                info.WriteNull();
            }

            info.WriteBitString(key.Encode());
        }

        return info.Encode();
    }
}
