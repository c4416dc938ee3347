using System.Formats.Cbor;
using FastShare.Transport.Requests;
using FastShare.Transport.Requests.Internal;
using FastShare.Transport.Tests.Identity;

namespace FastShare.Transport.Tests.Requests;

/// <summary>Well-formedness by RFC 8949: the examples of its appendices A and F, and random bytes against System.Formats.Cbor.</summary>
public sealed class CborStructureTests
{
    // Appendix A
    private const string WellFormed =
        "00 01 0a 17 1818 1819 1864 1903e8 1a000f4240 1b000000e8d4a51000 1bffffffffffffffff c249010000000000000000 3bffffffffffffffff "
        + "c349010000000000000000 20 29 3863 3903e7 f90000 f98000 f93c00 fb3ff199999999999a f93e00 f97bff fa47c35000 fa7f7fffff "
        + "fb7e37e43c8800759c f90001 f90400 f9c400 fbc010666666666666 f97c00 f97e00 f9fc00 fa7f800000 fa7fc00000 faff800000 "
        + "fb7ff0000000000000 fb7ff8000000000000 fbfff0000000000000 f4 f5 f6 f7 f0 f8ff c074323031332d30332d32315432303a30343a30305a "
        + "c11a514b67b0 c1fb41d452d9ec200000 d74401020304 d818456449455446 d82076687474703a2f2f7777772e6578616d706c652e636f6d 40 "
        + "4401020304 60 6161 6449455446 62225c 62c3bc 63e6b0b4 64f0908591 80 83010203 8301820203820405 "
        + "98190102030405060708090a0b0c0d0e0f101112131415161718181819 a0 a201020304 a26161016162820203 826161a161626163 "
        + "a56161614161626142616361436164614461656145 5f42010243030405ff 7f657374726561646d696e67ff 9fff 9f018202039f0405ffff "
        + "9f01820203820405ff 83018202039f0405ff 83019f0203ff820405 9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff "
        + "bf61610161629f0203ffff 826161bf61626163ff bf6346756ef563416d7421ff";

    // Appendix F.1
    private const string Malformed =
        "18 19 1a 1b 1901 1a0102 1b01020304050607 38 58 78 98 9a01ff00 b8 d8 f8 f900 fa0000 fb000000 41 61 5affffffff00 "
        + "5bffffffffffffffff010203 7affffffff00 7b7fffffffffffffff010203 81 818181818181818181 8200 a1 a20102 a100 a2000000 c0 5f4100 "
        + "7f6100 9f 9f0102 bf bf01020102 819f 9f8000 9f9f9f9f9fffffffff 9f819f819f9fffffff 1c 1d 1e 3c 3d 3e 5c 5d 5e 7c 7d 7e 9c 9d 9e "
        + "bc bd be dc dd de fc fd fe f800 f801 f818 f81f 5f00ff 5f21ff 5f6100ff 5f80ff 5fa0ff 5fc000ff 5fe0ff 7f4100ff 5f5f4100ffff "
        + "7f7f6100ffff ff 81ff 8200ff a1ff a1ff00 a100ff a20000ff 9f81ff 9f829f819f9fffffffff bf00ff bf000000ff 1f 3f df";

    public static TheoryData<string> WellFormedItems => [.. WellFormed.Split(' ')];

    public static TheoryData<string> MalformedItems => [.. Malformed.Split(' ')];

    [Theory]
    [MemberData(nameof(WellFormedItems))]
    public void The_examples_of_the_standard_are_well_formed(string hex) => CborStructure.Check(Convert.FromHexString(hex), 64, true);

    [Theory]
    [MemberData(nameof(MalformedItems))]
    public void The_counterexamples_of_the_standard_are_not(string hex) =>
        Assert.Throws<FormatException>(() => CborStructure.Check(Convert.FromHexString(hex), 64, true));

    [Fact]
    public void Nothing_is_no_item() => Assert.Throws<FormatException>(() => CborStructure.Check([], 64, true));

    [Theory]
    [MemberData(nameof(WellFormedItems))]
    public void Something_behind_an_item_is_an_error(string hex) =>
        Assert.Throws<FormatException>(() => CborStructure.Check(Convert.FromHexString(hex + "00"), 64, true));

    [Theory]
    [MemberData(nameof(WellFormedItems))]
    public void Every_prefix_is_an_error(string hex)
    {
        byte[] bytes = Convert.FromHexString(hex);
        for (int length = 0; length < bytes.Length; length++)
            Assert.Throws<FormatException>(() => CborStructure.Check(bytes.AsSpan(0, length), 64, true));
    }

    [Fact]
    public void Arrays_maps_and_tags_count_as_levels()
    {
        CborStructure.Check(Convert.FromHexString("81a100c100"), 3, true);
        Assert.Throws<FormatException>(() => CborStructure.Check(Convert.FromHexString("81a100c100"), 2, true));
        Assert.Throws<FormatException>(() => CborStructure.Check(Convert.FromHexString("819f80ff"), 1, true));
        CborStructure.Check(Convert.FromHexString("8180"), 1, true); // an empty one opens nothing
    }

    [Fact]
    public void It_agrees_with_the_framework_about_random_items()
    {
        string[] seeds = [.. WellFormed.Split(' '), .. Malformed.Split(' ')];
        var random = new Random(3);
        int good = 0;
        for (int i = 0; i < 60_000; i++)
        {
            byte[] bytes = Fuzz.Alter(random, Convert.FromHexString(seeds[random.Next(seeds.Length)]));
            bool expected = IsWellFormed(bytes);
            bool actual, twoByteSimple = false;
            try
            {
                CborStructure.Check(bytes, CborCodecOptions.GreatestDepth, true);
                actual = true;
            }
            catch (FormatException e)
            {
                actual = false;
                twoByteSimple = e.Message.Contains("simple value below 32", StringComparison.Ordinal); // the framework lets them pass
            }

            Assert.True(expected == actual || twoByteSimple, $"{Convert.ToHexStringLower(bytes)} is {(expected ? "" : "not ")}well-formed");
            if (actual) good++;
        }

        Assert.InRange(good, 1_000, 59_000);
    }

    [Fact]
    public void Altered_messages_are_read_or_are_format_errors()
    {
        var queries = new CborCodec<FileQuery>(FileQuery.Write, FileQuery.Read);
        var replies = new CborCodec<Reply>(Reply.Write, Reply.Read);
        byte[] query = CborCodecTests.Encode(queries, new FileQuery
        {
            Path = "a/b",
            Offset = 70_000,
            Length = 3,
            Hash = [1, 200],
            Salt = [4],
            Tags = ["t"],
            Deep = false,
        });
        byte[] reply = CborCodecTests.Encode(replies, new Reply.File("name", 400));
        var random = new Random(5);
        for (int i = 0; i < 20_000; i++)
        {
            Attempt(queries, Fuzz.Alter(random, query));
            Attempt(replies, Fuzz.Alter(random, reply));
        }
    }

    private static void Attempt<T>(CborCodec<T> codec, byte[] bytes)
    {
        T message;
        try
        {
            message = codec.Decode(Segments.Of(bytes, 1 + (bytes.Length / 2)));
        }
        catch (FormatException)
        {
            return;
        }

        Assert.Equal(message, CborCodecTests.Decode(codec, CborCodecTests.Encode(codec, message)));
    }

    private static bool IsWellFormed(byte[] bytes)
    {
        var reader = new CborReader(bytes, CborConformanceMode.Lax);
        try
        {
            reader.SkipValue(disableConformanceModeChecks: true);
            return reader.BytesRemaining == 0;
        }
        catch (Exception e) when (e is CborContentException or InvalidOperationException)
        {
            return false;
        }
    }
}
