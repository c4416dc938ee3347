using FastShare.Cli.Parsing;

namespace FastShare.EndToEnd.Tests.Cli;

public sealed class ParsingTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("512", 512)]
    [InlineData("512B", 512)]
    [InlineData("1GiB", 1L << 30)]
    [InlineData("1gib", 1L << 30)]
    [InlineData("100MB", 100_000_000)]
    [InlineData("1.5 KiB", 1536)]
    [InlineData("2k", 2048)]
    [InlineData("3T", 3L << 40)]
    [InlineData("9223372036854775807", long.MaxValue)]
    public void Sizes_are_read_in_both_families_of_units(string text, long bytes)
    {
        Assert.True(ByteSize.TryParse(text, out long parsed));
        Assert.Equal(bytes, parsed);
    }

    [Theory]
    [InlineData("")]
    [InlineData("-1")]
    [InlineData("MB")]
    [InlineData("1,5MB")]
    [InlineData("1e9")]
    [InlineData("1 MB/s")]
    [InlineData("9223372036854775808")]
    [InlineData("8388608TiB")]
    [InlineData("99999999999999999999999999999999999")]
    public void What_is_no_size_is_not_read_as_one(string text) => Assert.False(ByteSize.TryParse(text, out _));

    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(1023, "1023 B")]
    [InlineData(1024, "1.00 KiB")]
    [InlineData(1536, "1.50 KiB")]
    [InlineData(10_240, "10.0 KiB")]
    [InlineData(1_048_575, "1.00 MiB")]
    [InlineData(150L << 20, "150 MiB")]
    [InlineData(long.MaxValue, "8.00 EiB")]
    public void Sizes_have_three_digits(long bytes, string text) => Assert.Equal(text, ByteSize.Format(bytes));

    [Theory]
    [InlineData(0, "0 B/s")]
    [InlineData(812e6, "812 MB/s")]
    [InlineData(1.25e9, "1.25 GB/s")]
    [InlineData(double.NaN, "0 B/s")]
    [InlineData(double.PositiveInfinity, "0 B/s")]
    [InlineData(-5, "0 B/s")]
    public void Rates_are_decimal(double rate, string text) => Assert.Equal(text, ByteSize.FormatRate(rate));

    [Theory]
    [InlineData("30s", 30_000)]
    [InlineData("2m", 120_000)]
    [InlineData("1m30s", 90_000)]
    [InlineData("500ms", 500)]
    [InlineData("1.5h", 5_400_000)]
    [InlineData("1d", 86_400_000)]
    [InlineData("10", 10_000)]
    [InlineData("0.5", 500)]
    [InlineData("0", 0)]
    public void Durations_are_read(string text, long milliseconds)
    {
        Assert.True(Duration.TryParse(text, out TimeSpan parsed));
        Assert.Equal(TimeSpan.FromMilliseconds(milliseconds), parsed);
    }

    [Theory]
    [InlineData("")]
    [InlineData("s")]
    [InlineData("-1s")]
    [InlineData("1x")]
    [InlineData("1m30")]
    [InlineData("30s1m")]
    [InlineData("1s1s")]
    [InlineData("32d")]
    [InlineData("1..5s")]
    [InlineData("99999999999999999999999999999d")]
    public void What_is_no_duration_is_not_read_as_one(string text) => Assert.False(Duration.TryParse(text, out _));

    [Theory]
    [InlineData(0, "0.0 s")]
    [InlineData(412, "0.4 s")]
    [InlineData(9_960, "10 s")]
    [InlineData(59_600, "1:00")]
    [InlineData(187_000, "3:07")]
    [InlineData(3_723_000, "1:02:03")]
    public void Durations_are_written(long milliseconds, string text) =>
        Assert.Equal(text, Duration.Format(TimeSpan.FromMilliseconds(milliseconds)));

    [Theory]
    [InlineData(0.0421, "0.042 ms")]
    [InlineData(1.234, "1.23 ms")]
    [InlineData(137, "137 ms")]
    public void Round_trips_are_written_in_milliseconds(double milliseconds, string text) =>
        Assert.Equal(text, Duration.FormatMilliseconds(TimeSpan.FromMicroseconds(milliseconds * 1000)));

    [Fact]
    public void Peer_is_an_id_an_address_or_a_name()
    {
        const string Id = "12D3KooWGRUbA5pSNDXg4kKLUUuqgzEgNDMRYVTyuRoT9MnSNCZz";
        Assert.True(PeerReference.TryParse(Id, out PeerReference? id, out _));
        Assert.Equal((Id, null), (id.Peer!.ToString(), id.Name));
        Assert.True(PeerReference.TryParse($"/ip4/192.0.2.7/tcp/4001/p2p/{Id}", out PeerReference? address, out _));
        Assert.Equal((Id, $"/ip4/192.0.2.7/tcp/4001/p2p/{Id}"), (address.Peer!.ToString(), address.Address!.ToString()));
        Assert.True(PeerReference.TryParse("laptop", out PeerReference? name, out _));
        Assert.Equal((null, "laptop"), (name.Peer, name.Name));
    }

    [Theory]
    [InlineData("", "not a peer")]
    [InlineData("  ", "not a peer")]
    [InlineData("/ip4/192.0.2.7/tcp/4001", "does not say which peer")]
    [InlineData("/ip4/192.0.2.7/tcp", "not a multiaddr")]
    [InlineData("12D3KooWGRUbA5pSNDXg4kKLUUuqgzEgNDMRYVTyuRoT9MnSNC0z", "looks like a peer id")]
    [InlineData("ein Name, der mit seinen Umlauten (äöü) länger als dreiundsechzig Bytes ist", "at most 63 bytes")]
    public void What_is_no_peer_is_explained(string text, string why)
    {
        Assert.False(PeerReference.TryParse(text, out _, out string? error));
        Assert.Contains(why, error, StringComparison.Ordinal);
    }
}
