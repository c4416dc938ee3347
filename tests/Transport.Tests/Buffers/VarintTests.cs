using FastShare.Transport.Buffers;
using FastShare.Transport.Tests.Identity;

namespace FastShare.Transport.Tests.Buffers;

public sealed class VarintTests
{
    [Theory]
    [InlineData(0, "00")]
    [InlineData(1, "01")]
    [InlineData(127, "7f")]
    [InlineData(128, "8001")]
    [InlineData(255, "ff01")]
    [InlineData(300, "ac02")]
    [InlineData(421, "a503")]
    [InlineData(16384, "808001")]
    [InlineData(long.MaxValue, "ffffffffffffffff7f")]
    public void Values_are_written_and_read_in_their_minimal_form(long value, string hex)
    {
        Span<byte> buffer = stackalloc byte[Varint.MaxLength];
        int length = Varint.Write(buffer, (ulong)value);
        Assert.Equal(hex, Convert.ToHexStringLower(buffer[..length]));
        Assert.Equal(length, Varint.Length((ulong)value));
        Assert.Equal(VarintStatus.Done, Varint.TryRead([.. buffer[..length], 0xff], out ulong read, out int consumed));
        Assert.Equal(((ulong)value, length), (read, consumed));
    }

    [Theory]
    [InlineData("8000")]
    [InlineData("ff00")]
    [InlineData("808000")]
    [InlineData("ffffffffffffffffff")]
    [InlineData("ffffffffffffffffff01")]
    [InlineData("80808080808080808001")]
    public void Padded_and_overlong_forms_are_invalid(string hex) =>
        Assert.Equal(VarintStatus.Invalid, Varint.TryRead(Convert.FromHexString(hex), out _, out _));

    [Theory]
    [InlineData("")]
    [InlineData("80")]
    [InlineData("ffffffffffffffff")]
    public void A_cut_value_needs_more(string hex) =>
        Assert.Equal(VarintStatus.NeedMore, Varint.TryRead(Convert.FromHexString(hex), out _, out _));

    [Fact]
    public void Values_beyond_63_bits_are_refused()
    {
        byte[] buffer = new byte[16];
        Assert.Throws<ArgumentOutOfRangeException>(() => Varint.Write(buffer, 1UL << 63));
        Assert.Throws<IndexOutOfRangeException>(() => Varint.Write(buffer.AsSpan(0, 1), 128));
    }

    [Fact]
    public void Random_bytes_read_as_what_would_be_written_or_not_at_all()
    {
        var random = new Random(51);
        byte[] bytes = new byte[12];
        Span<byte> again = stackalloc byte[Varint.MaxLength];
        for (int i = 0; i < 50_000; i++)
        {
            random.NextBytes(bytes);
            for (int c = 0; c < bytes.Length; c++) if (random.Next(2) == 0) bytes[c] |= 0x80;
            int length = random.Next(bytes.Length + 1);
            if (Varint.TryRead(bytes.AsSpan(0, length), out ulong value, out int consumed) != VarintStatus.Done) continue;
            Assert.Equal(consumed, Varint.Write(again, value));
            Assert.True(again[..consumed].SequenceEqual(bytes.AsSpan(0, consumed)));
        }
    }

    [Fact]
    public void Protobuf_takes_what_varints_of_multiformats_refuse()
    {
        // Protobuf allows padding and 64 bits.
        var reader = new ProtobufReader(Convert.FromHexString("088100" + "10ffffffffffffffffff01"));
        Assert.True(reader.Read());
        Assert.Equal((1, 0, 1UL), (reader.Field, reader.WireType, reader.Varint));
        Assert.True(reader.Read());
        Assert.Equal((2, ulong.MaxValue), (reader.Field, reader.Varint));
        Assert.False(reader.Read());
    }

    [Fact]
    public void Protobuf_fields_are_written_in_order_defaults_included()
    {
        byte[] message = new ProtobufWriter().WriteVarint(1, 0).WriteBytes(2, [1, 2]).WriteString(100, "é").WriteVarint(3, ulong.MaxValue).ToArray();
        Assert.Equal("0800" + "12020102" + "a20602c3a9" + "18ffffffffffffffffff01", Convert.ToHexStringLower(message));
        var reader = new ProtobufReader(message);
        Assert.True(reader.Read() && reader.Read() && reader.Read());
        Assert.Equal("é", reader.ReadString());
    }

    [Fact]
    public void Protobuf_fixed_fields_are_skipped()
    {
        var reader = new ProtobufReader(Convert.FromHexString("09" + "0102030405060708" + "15" + "01020304" + "1801"));
        Assert.True(reader.Read());
        Assert.Equal(1, reader.WireType);
        Assert.True(reader.Read());
        Assert.Equal(5, reader.WireType);
        Assert.True(reader.Read());
        Assert.Equal(3, reader.Field);
    }

    [Theory]
    [InlineData("08")] // no value
    [InlineData("0880")] // a cut value
    [InlineData("08ffffffffffffffffff02")] // 65 bits
    [InlineData("0880808080808080808080" + "01")] // eleven bytes
    [InlineData("0000")] // field 0
    [InlineData("12")] // no length
    [InlineData("120201")] // longer than the message
    [InlineData("12ffffffffffffffffff01")] // a length of 2^64 - 1
    [InlineData("12ffffffff0f")] // a length of 2^32 - 1
    [InlineData("0901020304")] // a cut fixed 64
    [InlineData("0d010203")] // a cut fixed 32
    [InlineData("0b0c")] // a group
    [InlineData("0e")] // wire type 6
    [InlineData("0f")] // wire type 7
    [InlineData("f8ffffff7f01")] // field number beyond 2^29 - 1
    public void Malformed_protobuf_is_a_format_error(string hex) => Assert.Throws<FormatException>(() => ReadAll(Convert.FromHexString(hex)));

    [Fact]
    public void Protobuf_text_that_is_not_utf8_is_a_format_error() => Assert.Throws<FormatException>(() => ReadAll([0x0a, 2, 0xc3, 0x28]));

    [Fact]
    public void Random_and_altered_protobuf_gives_format_errors_only()
    {
        var random = new Random(52);
        byte[] seed = new ProtobufWriter().WriteVarint(1, 300).WriteBytes(2, new byte[200]).WriteString(3, "text é").WriteVarint(4, ulong.MaxValue).ToArray();
        int accepted = 0;
        for (int i = 0; i < 50_000; i++)
        {
            try
            {
                ReadAll(Fuzz.Alter(random, seed));
                accepted++;
            }
            catch (FormatException)
            {
                // malformed input says so, and in no other way
            }
        }

        Assert.InRange(accepted, 1_000, 49_999);
    }

    private static void ReadAll(byte[] message)
    {
        var reader = new ProtobufReader(message);
        while (reader.Read())
        {
            if (reader.WireType == 2 && reader.Field is 1 or 3) reader.ReadString();
        }
    }
}
