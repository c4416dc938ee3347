using FastShare.Transport.Identity;

namespace FastShare.Transport.Tests.Identity;

public sealed class PeerIdTests
{
    [Theory]
    [InlineData(IdentityVectors.Ed25519Public, IdentityVectors.Ed25519IdBytes, IdentityVectors.Ed25519Id)]
    [InlineData(IdentityVectors.Secp256k1Public, "0025" + IdentityVectors.Secp256k1Public, IdentityVectors.Secp256k1Id)]
    [InlineData(IdentityVectors.EcdsaPublic, IdentityVectors.EcdsaIdBytes, IdentityVectors.EcdsaId)]
    [InlineData(IdentityVectors.RsaPublic, IdentityVectors.RsaIdBytes, IdentityVectors.RsaId)]
    public void Ids_of_the_specification_keys(string key, string bytes, string text)
    {
        PeerId id = IdentityVectors.Key(key).ToPeerId();
        Assert.Equal(bytes, Convert.ToHexStringLower(id.Bytes));
        Assert.Equal(text, id.ToString());
        Assert.Equal(id, PeerId.Parse(text));
        Assert.Equal(id, PeerId.FromBytes(IdentityVectors.Bytes(bytes)));
        Assert.Equal(id, PeerId.Parse(id.ToCidString()));
        Assert.Equal(id.GetHashCode(), PeerId.Parse(text).GetHashCode());
    }

    [Theory]
    [InlineData(IdentityVectors.Ed25519Id, IdentityVectors.Ed25519Cid)]
    [InlineData(IdentityVectors.Secp256k1Id, IdentityVectors.Secp256k1Cid)]
    [InlineData("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe")]
    public void Both_text_forms_name_the_same_peer(string base58, string cid)
    {
        PeerId id = PeerId.Parse(base58);
        Assert.Equal(id, PeerId.Parse(cid));
        Assert.Equal(base58, id.ToString());
        Assert.Equal(cid, id.ToCidString());
        Assert.True(id == PeerId.Parse(cid));
        Assert.False(id != PeerId.Parse(cid));
    }

    [Fact]
    public void An_ed25519_id_is_its_key()
    {
        PeerId id = PeerId.Parse("12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA");
        Assert.Equal("0024080112202ffa35a99d3a3cfbb17bb7c1dc5561b18a8dcca4df38dc613ea859c37eb1336b", Convert.ToHexStringLower(id.Bytes));
        Assert.True(id.TryGetPublicKey(out PublicKey? key));
        Assert.Equal(KeyType.Ed25519, key.Type);
        Assert.Equal(id, key.ToPeerId());
    }

    [Fact]
    public void Seed_0_to_31_gives_the_known_id()
    {
        using PeerIdentity identity = PeerIdentity.FromSeed([.. Enumerable.Range(0, 32).Select(i => (byte)i)]);
        Assert.Equal("12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB", identity.PeerId.ToString());
    }

    [Fact]
    public void A_digest_id_holds_no_key() => Assert.False(PeerId.Parse(IdentityVectors.RsaId).TryGetPublicKey(out _));

    [Fact]
    public void An_id_around_a_non_canonical_key_yields_no_key()
    {
        // The key inside has another id than the one it stands in.
        byte[] reversed = IdentityVectors.Bytes("12201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e0801");
        PeerId id = PeerId.FromBytes([0, (byte)reversed.Length, .. reversed]);
        Assert.False(id.TryGetPublicKey(out _));
        Assert.NotEqual(PeerId.Parse(IdentityVectors.Ed25519Id), id);
    }

    [Theory]
    [InlineData("k")] // base36
    [InlineData("z")] // base58btc
    public void A_cid_in_another_base_is_understood(string multibase)
    {
        PeerId id = PeerId.Parse(IdentityVectors.Ed25519Id);
        byte[] cid = [1, 0x72, .. id.Bytes];
        string text = multibase == "z" ? BaseEncoding.EncodeBase58(cid) : Base36(cid);
        Assert.Equal(id, PeerId.Parse(multibase + text));
    }

    [Theory]
    [InlineData("")]
    [InlineData("0024")]
    [InlineData("00")]
    [InlineData("0024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce2")] // one byte short
    [InlineData("0024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e00")] // trailing byte
    [InlineData("002b00000000000000000000000000000000000000000000000000000000000000000000000000000000000000")] // identity, 43 bytes
    [InlineData("121f68362c312e155f4f7290b67f5cd094a22a0a4fbf20efd8c287934419350d36")] // short digest
    [InlineData("112068362c312e155f4f7290b67f5cd094a22a0a4fbf20efd8c287934419350d36f7")] // sha1
    [InlineData("1220")]
    [InlineData("80002401")]
    public void Malformed_binary_ids_are_refused(string hex)
    {
        Assert.False(PeerId.TryFromBytes(IdentityVectors.Bytes(hex), out _));
        Assert.Equal(TransportError.InvalidAddress, Assert.Throws<TransportException>(() => PeerId.FromBytes(IdentityVectors.Bytes(hex))).Error);
    }

    [Theory]
    [InlineData("")]
    [InlineData("1")]
    [InlineData("peer")]
    [InlineData("12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3p")] // a character short
    [InlineData("12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pqq")] // a character long
    [InlineData("12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3p0")] // 0 is not in base58
    [InlineData(" 12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq")]
    [InlineData("bafzaajiiaijcca3xo7uzjzcsyilaj6i54cj44qk7kqzpoao5rti2pjx6udtdbp6ktf")] // padding bits set
    [InlineData("bafzaajiiaijcca3xo7uzjzcsyilaj6i54cj44qk7kqzpoao5rti2pjx6udtdbp6ktea")] // a character too many
    [InlineData("bafybeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe")] // codec dag-pb
    [InlineData("BAFZAAJAIAEJCAHWR5D5OFRFBIS4L5D6UWR57HU5TJODRYPFM6YAQ6DSC2R2PZYT6")]
    [InlineData("z")]
    [InlineData("b")]
    [InlineData("k")]
    [InlineData("12D3KooW\u001b[31m")]
    public void Malformed_text_ids_are_refused(string text)
    {
        Assert.False(PeerId.TryParse(text, out _));
        TransportException error = Assert.Throws<TransportException>(() => PeerId.Parse(text));
        Assert.Equal(TransportError.InvalidAddress, error.Error);
        Assert.DoesNotContain('\u001b', error.Message);
    }

    [Fact]
    public void The_short_form_works_for_the_shortest_id()
    {
        Assert.Equal("…o7R3pq", PeerId.Parse(IdentityVectors.Ed25519Id).ToShortString());
        Assert.Equal("…11", PeerId.FromBytes([0, 0]).ToShortString());
    }

    [Fact]
    public void Random_and_altered_text_never_throws()
    {
        var random = new Random(11);
        string[] seeds = [IdentityVectors.Ed25519Id, IdentityVectors.Ed25519Cid, IdentityVectors.RsaId, IdentityVectors.Secp256k1Id, "k51qzi5uqu5dh", "z5AanNVJCxnJ"];
        Span<char> text = stackalloc char[160];
        for (int i = 0; i < 50_000; i++)
        {
            string seed = seeds[random.Next(seeds.Length)];
            int length = random.Next(4) == 0 ? random.Next(text.Length) : seed.Length;
            for (int c = 0; c < length; c++) text[c] = c < seed.Length ? seed[c] : (char)random.Next(0x21, 0x7f);
            for (int changes = random.Next(3); changes > 0 && length > 0; changes--)
                text[random.Next(length)] = random.Next(8) == 0 ? (char)random.Next(0x10000) : (char)random.Next(0x21, 0x7f);
            if (PeerId.TryParse(text[..length], out PeerId? id)) Assert.Equal(id, PeerId.Parse(id.ToString()));
        }
    }

    [Fact]
    public void Random_and_altered_bytes_never_throw()
    {
        var random = new Random(12);
        byte[][] seeds = [IdentityVectors.Bytes(IdentityVectors.Ed25519IdBytes), IdentityVectors.Bytes(IdentityVectors.RsaIdBytes), [0, 0], new byte[64]];
        for (int i = 0; i < 50_000; i++)
        {
            byte[] bytes = Fuzz.Alter(random, seeds[random.Next(seeds.Length)]);
            if (!PeerId.TryFromBytes(bytes, out PeerId? id)) continue;
            Assert.Equal(id, PeerId.Parse(id.ToString()));
            Assert.Equal(id, PeerId.Parse(id.ToCidString()));
            id.TryGetPublicKey(out _);
            id.ToShortString();
        }
    }

    private static string Base36(byte[] bytes)
    {
        var value = new System.Numerics.BigInteger(bytes, isUnsigned: true, isBigEndian: true);
        string text = "";
        for (; value > 0; value /= 36) text = "0123456789abcdefghijklmnopqrstuvwxyz"[(int)(value % 36)] + text;
        return text;
    }
}
