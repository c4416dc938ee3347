using System.Buffers;
using System.Text;
using FastShare.Transport.Requests;
using FastShare.Transport.Tests.Identity;

namespace FastShare.Transport.Tests.Requests;

/// <summary>The JSON codec against what serde_json (rust-libp2p's <c>json::Behaviour</c>) writes for the same types.</summary>
public sealed class JsonCodecTests
{
    private static readonly JsonCodec<FileQuery> Queries = new(SerdeJson.Default.FileQuery);

    private static readonly FileQuery Query = new()
    {
        Path = "a/ü",
        Offset = 1UL << 32,
        Length = null,
        Hash = [1, 23, 24, 255],
        Salt = [],
        Tags = ["x", "<&'+>"],
        Deep = true,
    };

    private const string QueryText =
        """{"path":"a/ü","offset":4294967296,"length":null,"hash":[1,23,24,255],"salt":[],"tags":["x","<&'+>"],"deep":true}""";

    [Fact]
    public void A_struct_reads_and_writes_as_serde_json_does()
    {
        Assert.Equal(QueryText, Encode(Queries, Query));
        Assert.Equal(Query, Decode(Queries, QueryText));
        Assert.Equal(Query with { Length = 7 }, Decode(Queries, QueryText.Replace("null", "7", StringComparison.Ordinal)));
    }

    [Fact]
    public void White_space_unknown_fields_and_another_order_are_read() =>
        Assert.Equal(
            Query,
            Decode(Queries, "\n " + QueryText[..^1].Replace(",\"deep\":true", "", StringComparison.Ordinal).Replace("{", "{ \"deep\" : true, \"later\":{\"a\":[1]}, ", StringComparison.Ordinal) + "}\t\r\n"));

    [Fact]
    public void Variants_read_and_write_as_serde_json_does()
    {
        var codec = new JsonCodec<Painted>(SerdeJson.Default.Painted);
        Assert.Equal(new Painted(Colour.Green, new Outcome { Ok = 3 }), Decode(codec, """{"colour":"Green","result":{"Ok":3}}"""));
        Assert.Equal(new Painted(Colour.Red, new Outcome { Err = "no" }), Decode(codec, """{"colour":"Red","result":{"Err":"no"}}"""));
        Assert.Throws<FormatException>(() => Decode(codec, """{"colour":"Blue","result":{"Ok":3}}"""));
    }

    [Theory]
    [InlineData("")]
    [InlineData(" ")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("{\"path\":")]
    [InlineData("\"text\"")]
    [InlineData("\ufeff" + QueryText)]
    [InlineData(QueryText + "x")]
    [InlineData(QueryText + QueryText)]
    [InlineData(QueryText + ",")]
    [InlineData(QueryText + "\0")]
    [InlineData("// a comment\n" + QueryText)]
    public void What_is_no_message_is_a_format_error(string text) => Assert.Throws<FormatException>(() => Decode(Queries, text));

    [Theory]
    [InlineData("[256]")]
    [InlineData("[-1]")]
    [InlineData("[1.5]")]
    [InlineData("[\"1\"]")]
    [InlineData("[[1]]")]
    [InlineData("[null]")]
    [InlineData("\"AQ==\"")]
    [InlineData("null")]
    [InlineData("{}")]
    public void Bytes_are_an_array_of_integers_from_0_to_255(string hash) =>
        Assert.Throws<FormatException>(() => Decode(Queries, QueryText.Replace("[1,23,24,255]", hash, StringComparison.Ordinal)));

    [Fact]
    public void Many_bytes_are_read()
    {
        byte[] bytes = new byte[5_000];
        new Random(1).NextBytes(bytes);
        FileQuery query = Query with { Hash = bytes };
        Assert.Equal(query, Decode(Queries, Encode(Queries, query)));
    }

    [Fact]
    public void Text_that_is_not_utf8_is_a_format_error()
    {
        byte[] bytes = Encoding.UTF8.GetBytes(QueryText);
        bytes[Array.IndexOf(bytes, (byte)0xc3) + 1] = (byte)'(';
        Assert.Throws<FormatException>(() => Queries.Decode(new ReadOnlySequence<byte>(bytes)));
    }

    [Fact]
    public void Depth_is_limited()
    {
        var codec = new JsonCodec<Node>(SerdeJson.Default.Node);
        string hostile = string.Concat(Enumerable.Repeat("{\"next\":", 100_000));
        Assert.Throws<FormatException>(() => Decode(codec, hostile));
        Assert.Equal(new Node { Next = new Node() }, Decode(codec, """{"next":{"next":null}}"""));
    }

    [Fact]
    public void Null_is_a_message_only_where_that_was_said()
    {
        var codec = new JsonCodec<string?>(SerdeJson.Default.String!, nullable: true);
        Assert.Null(Decode(codec, "null"));
        Assert.Equal("null", Encode(codec, null));
    }

    [Fact]
    public void A_message_in_several_segments_is_read()
    {
        byte[] bytes = Encoding.UTF8.GetBytes(QueryText);
        for (int size = 1; size < 9; size++) Assert.Equal(Query, Queries.Decode(Segments.Of(bytes, size)));
    }

    [Fact]
    public void A_peers_text_is_escaped_in_the_error()
    {
        FormatException error = Assert.Throws<FormatException>(() => Decode(Queries, "{\"a\u001bb\":1}"));
        Assert.DoesNotContain('\u001b', error.Message);
    }

    [Fact]
    public void Altered_messages_are_read_or_are_format_errors()
    {
        byte[] bytes = Encoding.UTF8.GetBytes(QueryText);
        var random = new Random(5);
        for (int i = 0; i < 20_000; i++)
        {
            byte[] altered = Fuzz.Alter(random, bytes);
            try
            {
                FileQuery query = Queries.Decode(Segments.Of(altered, 1 + (altered.Length / 2)));
                Assert.Equal(query, Decode(Queries, Encode(Queries, query)));
            }
            catch (FormatException)
            {
            }
        }
    }

    private static string Encode<T>(JsonCodec<T> codec, T message) => Encoding.UTF8.GetString(CborCodecTests.Encode(codec, message));

    private static T Decode<T>(JsonCodec<T> codec, string text) => CborCodecTests.Decode(codec, Encoding.UTF8.GetBytes(text));
}
