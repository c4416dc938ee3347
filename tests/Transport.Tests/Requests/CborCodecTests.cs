using System.Buffers;
using FastShare.Transport.Requests;

namespace FastShare.Transport.Tests.Requests;

/// <summary>
/// The CBOR codec against bytes worked out by hand from RFC 8949 and serde's data model as cbor4ii 1.2 (rust-libp2p's
/// <c>cbor::Behaviour</c>) writes it.
/// </summary>
public sealed class CborCodecTests
{
    private static readonly CborCodec<FileQuery> Queries = new(FileQuery.Write, FileQuery.Read);
    private static readonly CborCodec<Reply> Replies = new(Reply.Write, Reply.Read);
    private static readonly CborCodec<Node> Nodes = new(Node.Write, Node.Read);

    private static readonly FileQuery Query = new()
    {
        Path = "a/ü",
        Offset = 1UL << 32,
        Length = null,
        Hash = [1, 23, 24, 255],
        Salt = [1, 23, 24, 255],
        Tags = ["x", ""],
        Deep = true,
    };

    // a7 map of 7; each key is text; fb/1b… numbers are the shortest that hold the value
    private const string QueryBytes =
        "a7" + "6470617468" + "64612fc3bc" // path: "a/ü"
        + "666f6666736574" + "1b0000000100000000" // offset
        + "666c656e677468" + "f6" // length: None
        + "6468617368" + "840117" + "1818" + "18ff" // hash: Vec<u8>, an array of integers
        + "6473616c74" + "44011718ff" // salt: serde_bytes, a byte string
        + "6474616773" + "82" + "6178" + "60" // tags
        + "6464656570" + "f5"; // deep

    [Fact]
    public void A_struct_is_a_map_from_field_names() => AssertBytes(Queries, Query, QueryBytes);

    [Fact]
    public void Some_is_the_value_itself() =>
        AssertBytes(Queries, Query with { Length = 500 }, QueryBytes.Replace("666c656e677468f6", "666c656e6774681901f4", StringComparison.Ordinal));

    [Fact]
    public void The_example_of_rust_libp2p_is_read_and_written()
    {
        // struct GreetRequest { name: String }
        var codec = new CborCodec<string>(
            static (writer, name) =>
            {
                writer.WriteStartMap(1);
                writer.WriteField("name").WriteTextString(name);
                writer.WriteEndMap();
            },
            static reader =>
            {
                string? name = null;
                reader.ReadStartMap();
                while (reader.TryReadField(out _)) name = reader.ReadTextString();
                return SerdeCborReading.Required(name, "name");
            });
        AssertBytes(codec, "Ada", "a1646e616d6563416461");
    }

    [Fact]
    public void Variants_are_text_or_a_map_of_one_entry()
    {
        AssertBytes(Replies, new Reply.NotFound(), "684e6f74466f756e64");
        AssertBytes(Replies, new Reply.Busy(1000), "a16442757379" + "1903e8");
        AssertBytes(Replies, new Reply.Range(1, 1UL << 32), "a16552616e6765" + "82" + "01" + "1b0000000100000000");
        AssertBytes(Replies, new Reply.File("a", 23), "a16446696c65" + "a2" + "646e616d65" + "6161" + "6473697a65" + "17");
    }

    [Theory]
    [InlineData(0, "00")]
    [InlineData(23, "17")]
    [InlineData(24, "1818")]
    [InlineData(255, "18ff")]
    [InlineData(256, "190100")]
    [InlineData(65536, "1a00010000")]
    [InlineData(-1, "20")]
    [InlineData(-500, "3901f3")]
    [InlineData(long.MaxValue, "1b7fffffffffffffff")]
    [InlineData(long.MinValue, "3b7fffffffffffffff")]
    public void Integers_take_the_fewest_bytes(long value, string bytes) =>
        AssertBytes(new CborCodec<long>(static (w, v) => w.WriteInt64(v), static r => r.ReadInt64()), value, bytes);

    [Theory]
    [InlineData(1.5f, "fa3fc00000")]
    [InlineData(0f, "fa00000000")]
    [InlineData(float.PositiveInfinity, "fa7f800000")]
    public void An_f32_keeps_its_four_bytes(float value, string bytes) =>
        AssertBytes(new CborCodec<float>(static (w, v) => w.WriteF32(v), static r => r.ReadSingle()), value, bytes);

    [Theory]
    [InlineData(1.5, "fb3ff8000000000000")]
    [InlineData(0.1, "fb3fb999999999999a")]
    [InlineData(double.NegativeInfinity, "fbfff0000000000000")]
    public void An_f64_keeps_its_eight_bytes(double value, string bytes) =>
        AssertBytes(new CborCodec<double>(static (w, v) => w.WriteF64(v), static r => r.ReadDouble()), value, bytes);

    [Fact]
    public void Unit_is_an_empty_array() =>
        AssertBytes(new CborCodec<int>(static (w, _) => w.WriteUnit(), static r => { r.ReadUnit(); return 0; }), 0, "80");

    [Theory]
    [InlineData("44011718ff")] // serde_bytes
    [InlineData("84011718" + "1818ff")] // Vec<u8>
    [InlineData("9f011718" + "1818ffff")] // … of an iterator without a length
    [InlineData("5f4101" + "4317" + "18ffff")] // a byte string in chunks
    public void Bytes_are_read_in_either_form(string bytes)
    {
        var codec = new CborCodec<byte[]>(static (w, v) => w.WriteByteString(v), static r => r.ReadByteVector());
        Assert.Equal([1, 23, 24, 255], Decode(codec, bytes));
    }

    [Theory]
    [InlineData("8118ff", true)]
    [InlineData("81190100", false)] // 256
    [InlineData("8120", false)] // -1
    [InlineData("816161", false)] // "a"
    [InlineData("81fb3ff0000000000000", false)] // 1.0
    public void Only_bytes_are_bytes(string bytes, bool good)
    {
        var codec = new CborCodec<byte[]>(static (w, v) => w.WriteByteVector(v), static r => r.ReadByteVector());
        if (good) Assert.Equal([255], Decode(codec, bytes));
        else Assert.Throws<FormatException>(() => Decode(codec, bytes));
    }

    [Fact]
    public void Fields_come_in_any_order_and_unknown_ones_are_skipped()
    {
        // File { size: 1, later: [{}, 1.5], name: "b" }
        Assert.Equal(
            new Reply.File("b", 1),
            Decode(Replies, "a16446696c65" + "a3" + "6473697a6501" + "656c61746572" + "82a0f93e00" + "646e616d65" + "6162"));
    }

    [Fact]
    public void A_flattened_struct_has_no_announced_length()
    {
        // #[serde(flatten)]: a map of open length
        const string Bytes = "a16446696c65" + "bf" + "646e616d65" + "6161" + "6473697a65" + "17" + "ff";
        Assert.Equal(new Reply.File("a", 23), Decode(Replies, Bytes));
        var strict = new CborCodec<Reply>(Reply.Write, Reply.Read, new CborCodecOptions { AllowIndefiniteLengths = false });
        Assert.Contains("byte 6", Assert.Throws<FormatException>(() => Decode(strict, Bytes)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a16446696c65a1646e616d656161", "size")] // a field is missing
    [InlineData("a16446696c65a3646e616d656161646e616d6561626473697a6517", "key")] // a field twice
    [InlineData("644c6f7374", "Lost")] // an unknown variant
    [InlineData("a1644c6f737400", "Lost")]
    [InlineData("a2644275737900616100", "one entry")] // two entries
    [InlineData("6442757379", "Busy")] // a variant without its value
    [InlineData("a1644275737961" + "61", "")] // text where a number stands
    [InlineData("a164427573791b0000000100000000", "")] // too large for u32
    [InlineData("a1644275737920", "")] // negative
    [InlineData("a16552616e6765" + "83010203", "")] // a tuple with one too many
    [InlineData("a16552616e6765" + "8101", "")] // … with one too few
    [InlineData("a16446696c65a2646e616d6562c3286473697a6517", "")] // not UTF-8
    [InlineData("f6", "")]
    [InlineData("80", "")]
    [InlineData("05", "")]
    public void What_is_no_message_is_a_format_error(string bytes, string names)
    {
        FormatException error = Assert.Throws<FormatException>(() => Decode(Replies, bytes));
        Assert.Contains(names, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_peers_text_is_escaped_in_the_error()
    {
        // "\u{1b}[2J" as a variant's name
        FormatException error = Assert.Throws<FormatException>(() => Decode(Replies, "641b5b324a"));
        Assert.DoesNotContain('\u001b', error.Message);
    }

    [Fact]
    public void Bytes_behind_the_message_are_an_error() =>
        Assert.Contains("follow", Assert.Throws<FormatException>(() => Decode(Replies, "684e6f74466f756e64" + "00")).Message, StringComparison.Ordinal);

    [Fact]
    public void A_decoder_that_leaves_something_is_an_error()
    {
        var codec = new CborCodec<int>(static (w, v) => w.WriteInt32(v), static r => { r.ReadStartArray(); return 0; });
        Assert.Contains("left over", Assert.Throws<FormatException>(() => Decode(codec, "8101")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Depth_is_limited_before_a_decoder_can_recurse()
    {
        var deepest = new Node();
        for (int depth = 1; depth < 64; depth++) deepest = new Node { Next = deepest };
        Assert.Equal(deepest, Decode(Nodes, Encode(Nodes, deepest)));

        byte[] tooDeep = Encode(Nodes, new Node { Next = deepest });
        Assert.Contains("64 levels", Assert.Throws<FormatException>(() => Decode(Nodes, tooDeep)).Message, StringComparison.Ordinal);
        var shallow = new CborCodec<Node>(Node.Write, Node.Read, new CborCodecOptions { MaxDepth = 63 });
        Assert.Throws<FormatException>(() => Decode(shallow, Encode(Nodes, deepest)));

        // A megabyte of it would end the process if it reached a decoder.
        byte[] hostile = new byte[1 << 20];
        ReadOnlySpan<byte> level = [0xa1, 0x64, (byte)'n', (byte)'e', (byte)'x', (byte)'t'];
        for (int at = 0; at + level.Length <= hostile.Length; at += level.Length) level.CopyTo(hostile.AsSpan(at));
        Assert.Throws<FormatException>(() => Decode(Nodes, hostile));
    }

    [Theory]
    [InlineData("9bffffffffffffffff")]
    [InlineData("9b000000007fffffff")]
    [InlineData("bb000000007fffffff")]
    [InlineData("5b7fffffffffffffff")]
    [InlineData("7a7fffffff61")]
    public void A_length_beyond_the_message_takes_no_memory(string bytes)
    {
        var codec = new CborCodec<byte[]>(static (w, v) => w.WriteByteString(v), static r => r.ReadByteVector());
        Assert.Contains("announced", Assert.Throws<FormatException>(() => Decode(codec, bytes)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_message_in_several_segments_is_read()
    {
        byte[] bytes = Convert.FromHexString(QueryBytes);
        Assert.Equal(Query, Queries.Decode(Segments.Of(bytes, 3)));
    }

    [Fact]
    public void An_encoder_that_fails_leaves_nothing_for_the_next()
    {
        var codec = new CborCodec<int>(
            static (w, v) =>
            {
                w.WriteStartArray(1);
                if (v < 0) throw new InvalidDataException("negative");
                w.WriteInt32(v);
                w.WriteEndArray();
            },
            static r => r.ReadSequence(static i => i.ReadInt32())[0]);
        for (int i = 0; i < 50; i++)
        {
            Assert.Throws<InvalidDataException>(() => Encode(codec, -1));
            Assert.Equal("8107", Convert.ToHexStringLower(Encode(codec, 7)));
        }
    }

    [Fact]
    public void Many_threads_share_a_codec() => Parallel.For(0, 2_000, i =>
    {
        FileQuery query = Query with { Offset = (ulong)i, Tags = [$"{i}"] };
        Assert.Equal(query, Decode(Queries, Encode(Queries, query)));
    });

    [Theory]
    [InlineData(0)]
    [InlineData(65)]
    public void The_depth_is_checked_when_it_is_set(int depth) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new CborCodecOptions { MaxDepth = depth });

    internal static byte[] Encode<T>(IMessageCodec<T> codec, T message)
    {
        var output = new ArrayBufferWriter<byte>();
        codec.Encode(message, output);
        return output.WrittenSpan.ToArray();
    }

    internal static T Decode<T>(IMessageCodec<T> codec, byte[] bytes) => codec.Decode(new ReadOnlySequence<byte>(bytes));

    private static T Decode<T>(IMessageCodec<T> codec, string hex) => Decode(codec, Convert.FromHexString(hex));

    private static void AssertBytes<T>(IMessageCodec<T> codec, T message, string hex)
    {
        Assert.Equal(hex, Convert.ToHexStringLower(Encode(codec, message)));
        Assert.Equal(message, Decode(codec, hex));
    }
}
