using FastShare.Transport.Multiplexing.Internal;

namespace FastShare.Transport.Tests.Multiplexing;

public sealed class YamuxHeaderTests
{
    public static TheoryData<string, byte, ushort, uint, uint> Vectors => new()
    {
        { "000100010000000100000000", 1, 1, 1, 0 }, // open stream 1
        { "000100020000000100000000", 1, 2, 1, 0 }, // accept it
        { "000000000000000100000002", 0, 0, 1, 2 }, // two bytes of data on it
        { "000100040000000100000000", 1, 4, 1, 0 }, // half-close
        { "000000040000000100000000", 0, 4, 1, 0 }, // the same, as rust does it
        { "000100080000000100000000", 1, 8, 1, 0 }, // reset
        { "000000080000000100000000", 0, 8, 1, 0 }, // the same, as rust does it
        { "000100000000000300020000", 1, 0, 3, 131072 }, // credit
        { "000200010000000000000007", 2, 1, 0, 7 }, // ping
        { "000200020000000000000007", 2, 2, 0, 7 }, // pong
        { "000300000000000000000000", 3, 0, 0, 0 }, // go away, normal
        { "000300000000000000000001", 3, 0, 0, 1 }, // go away, protocol error
        { "00000001ffffffffffffffff", 0, 1, uint.MaxValue, uint.MaxValue }, // nothing is signed
    };

    [Theory]
    [MemberData(nameof(Vectors))]
    public void Vectors_encode_and_decode(string hex, byte type, ushort flags, uint stream, uint length)
    {
        var expected = new YamuxHeader((FrameType)type, (FrameFlags)flags, stream, length);
        Assert.Null(YamuxHeader.Read(Convert.FromHexString(hex), out YamuxHeader header));
        Assert.Equal(expected, header);
        var bytes = new byte[YamuxHeader.Size];
        expected.Write(bytes);
        Assert.Equal(hex, Convert.ToHexStringLower(bytes));
    }

    [Theory]
    [InlineData("010000000000000100000000")] // version
    [InlineData("000400000000000100000000")] // type
    [InlineData("00ff00000000000000000000")]
    [InlineData("000000100000000100000000")] // flags
    [InlineData("000180000000000100000000")]
    [InlineData("000000000000000000000000")] // data on the session
    [InlineData("000100000000000000000000")] // window update on the session
    [InlineData("000200010000000100000000")] // ping on a stream
    [InlineData("000300000000000100000000")] // go away on a stream
    [InlineData("000200000000000000000007")] // ping without a flag
    [InlineData("000200030000000000000007")] // ping that asks and answers
    [InlineData("000200050000000000000007")]
    public void Bad_headers_are_refused(string hex) => Assert.NotNull(YamuxHeader.Read(Convert.FromHexString(hex), out _));
}
