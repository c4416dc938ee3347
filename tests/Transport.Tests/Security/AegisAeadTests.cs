using FastShare.Transport.Security.Internal;
using static FastShare.Transport.Tests.Security.SecurityFixture;

namespace FastShare.Transport.Tests.Security;

public sealed class AegisAeadTests
{
    private static byte[] Hex(string hex) => Convert.FromHexString(hex);

    /// <summary>draft-irtf-cfrg-aegis-aead, vectors 1 and 2 of AEGIS-128L. The nonce is what remains of the key when the counter is 0.</summary>
    [Theory]
    [InlineData(
        "00000000000000000000000000000000", "c1c0e58bd913006feba00f4b3cc3594e25835bfbb21632176cf03840687cb968cace4617af1bd0f7d064c639a5c79ee4")]
    [InlineData("", "1360dc9db8ae42455f6e5b6a9d488ea4f2184c4e12120249335c4ee84bafe25d")]
    public void The_published_vectors_come_out_byte_for_byte(string plaintext, string ciphertext)
    {
        using var aead = new AegisAead(Hex("10010000000000000000000000000000" + "10000200000000000000000000000000"));
        byte[] destination = new byte[ciphertext.Length / 2];
        aead.Seal(0, default, Hex(plaintext), destination);
        Assert.Equal(ciphertext, Convert.ToHexStringLower(destination));
        byte[] opened = new byte[plaintext.Length / 2];
        Assert.True(aead.TryOpen(0, default, destination, opened));
        Assert.Equal(Hex(plaintext), opened);
    }

    [Fact]
    public void Every_counter_has_its_own_nonce()
    {
        byte[] key = RandomBytes(32);
        using var aead = new AegisAead(key);
        var seen = new HashSet<string>();
        foreach (ulong nonce in (ulong[])[0, 1, 255, 256, uint.MaxValue, 1UL << 32, 1UL << 63, ulong.MaxValue - 1])
        {
            byte[] destination = new byte[16 + AegisAead.Tag];
            aead.Seal(nonce, default, new byte[16], destination);
            Assert.True(seen.Add(Convert.ToHexString(destination)));

            // the counter is added at the right end of the second half, without carry
            byte[] other = (byte[])key.Clone();
            for (int i = 0; i < 8; i++) other[31 - i] ^= (byte)(nonce >> (8 * i));
            using var shifted = new AegisAead(other);
            Assert.True(shifted.TryOpen(0, default, destination, new byte[16]));
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(65_503)]
    public void Sealing_and_opening_work_in_place(int length)
    {
        using var aead = new AegisAead(RandomBytes(32));
        byte[] data = RandomBytes(length), buffer = new byte[length + AegisAead.Tag], elsewhere = new byte[length + AegisAead.Tag];
        data.CopyTo(buffer, 0);
        aead.Seal(5, [1, 2], buffer.AsSpan(0, length), buffer);
        aead.Seal(5, [1, 2], data, elsewhere);
        Assert.Equal(elsewhere, buffer);
        Assert.True(aead.TryOpen(5, [1, 2], buffer, buffer.AsSpan(0, length)));
        Assert.Equal(data, buffer[..length]);
    }

    [Fact]
    public void Whatever_was_changed_nothing_is_opened()
    {
        byte[] key = RandomBytes(32);
        using var aead = new AegisAead(key);
        byte[] data = RandomBytes(100), record = new byte[100 + AegisAead.Tag], opened = new byte[100];
        aead.Seal(7, [1], data, record);
        for (int at = 0; at < record.Length; at++)
        {
            record[at] ^= 0x80;
            Array.Fill(opened, (byte)1);
            Assert.False(aead.TryOpen(7, [1], record, opened));
            Assert.False(opened.AsSpan().ContainsAnyExcept((byte)0));
            record[at] ^= 0x80;
        }

        Assert.False(aead.TryOpen(8, [1], record, opened));
        Assert.False(aead.TryOpen(7, [2], record, opened));
        Assert.False(aead.TryOpen(7, default, record, opened));
        key[0] ^= 1;
        using var other = new AegisAead(key);
        Assert.False(other.TryOpen(7, [1], record, opened));
        Assert.True(aead.TryOpen(7, [1], record, opened));
        Assert.Equal(data, opened);
    }

    [Fact]
    public void Sealing_and_opening_allocate_nothing()
    {
        using var aead = new AegisAead(RandomBytes(32));
        byte[] data = RandomBytes(1000), record = new byte[1000 + AegisAead.Tag];
        bool opened = true;
        Run(); // what is made once
        long before = GC.GetAllocatedBytesForCurrentThread();
        Run();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.True(opened);

        void Run()
        {
            for (ulong i = 0; i < 100; i++)
            {
                aead.Seal(i, default, data, record);
                opened &= aead.TryOpen(i, default, record, data);
            }
        }
    }

    /// <summary>A process may have 65,530 mappings and dies when it needs one more: connections must not take several each.</summary>
    [Fact]
    public void Keys_take_no_memory_mappings_of_their_own()
    {
        if (!OperatingSystem.IsLinux()) Assert.Skip("Mappings are counted on Linux.");
        const int Keys = 1000;
        int before = File.ReadLines("/proc/self/maps").Count();
        AegisAead[] keys = [.. Enumerable.Range(0, Keys).Select(_ => new AegisAead(RandomBytes(32)))];
        int after = File.ReadLines("/proc/self/maps").Count();
        foreach (AegisAead key in keys) key.Dispose();
        Assert.True(after - before < Keys, $"{Keys} keys took {after - before} mappings"); // other tests take a few meanwhile
    }

    [Fact]
    public void Nothing_is_sealed_with_a_key_that_was_wiped()
    {
        var aead = new AegisAead(RandomBytes(32));
        aead.Dispose();
        aead.Dispose();
        byte[] record = new byte[8 + AegisAead.Tag];
        Assert.Throws<ObjectDisposedException>(() => aead.Seal(0, default, new byte[8], record));
        Assert.Throws<ObjectDisposedException>(() => aead.TryOpen(0, default, record, new byte[8]));
        Assert.Equal(new byte[record.Length], record);
    }
}
