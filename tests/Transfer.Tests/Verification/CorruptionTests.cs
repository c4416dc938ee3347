using FastShare.Testing.Transfer;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Verification;

namespace FastShare.Transfer.Tests.Verification;

public class CorruptionTests
{
    private const int MiB = 1 << 20;

    [Theory]
    [InlineData(100_000)]
    [InlineData(3 * MiB)]
    public async Task A_chunk_that_is_damaged_on_the_way_is_sent_again(int size)
    {
        await using var pair = new TransferPair();
        pair.AddFile("a", size);
        int damaged = 0;
        pair.Network.LinkMade = link => link.Corrupts = (protocol, length) =>
            protocol == TransferProtocol.DataId && length >= 65536 && Interlocked.Exchange(ref damaged, 1) == 0;
        Transfer sent = pair.Send();
        TransferResult result = await sent.Completion;
        Assert.Equal("", pair.Differences());
        Assert.Equal(Math.Min(size, MiB), result.BytesResent);
        Assert.Equal(size, sent.Progress.Bytes);
    }

    [Fact]
    public async Task A_way_that_damages_everything_ends_the_transfer_and_publishes_nothing()
    {
        await using var pair = new TransferPair();
        pair.AddFile("a", 3 * MiB);
        pair.Network.LinkMade = link => link.Corrupts = (protocol, length) => protocol == TransferProtocol.DataId && length >= 65536;
        Transfer sent = pair.Send();
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        Assert.Equal(TransferError.VerificationFailed, (await Assert.ThrowsAsync<TransferException>(() => sent.Completion)).Error);
        Assert.Equal(TransferError.VerificationFailed, (await Assert.ThrowsAsync<TransferException>(() => received.Completion)).Error);
        Assert.False(File.Exists(Path.Combine(pair.TargetFolder, "a")));
    }

    [Theory]
    [InlineData(TransferProtocol.ControlId, 12)]
    [InlineData(TransferProtocol.DataId, 5)]
    public async Task Whichever_write_is_damaged_every_name_and_byte_arrives_as_it_was_sent(string protocol, int writes)
    {
        for (int which = 0; which < writes; which++)
        {
            await using var pair = new TransferPair();
            for (int i = 0; i < 3; i++) pair.AddFile($"folder/file {i}", 1000); // of one size: nothing but the header tells them apart
            pair.AddFile("large", 3 * MiB);
            int seen = -1, hit = which;
            pair.Network.LinkMade = link => link.Corrupts = (id, length) => id == protocol && length > 0 && Interlocked.Increment(ref seen) == hit;
            TransferResult result = await pair.Send().Completion;
            Assert.True((which, "") == (which, pair.Differences()), $"write {which}: {pair.Differences()}");
            Assert.Empty(result.Failures);
        }
    }

    [Fact]
    public async Task A_way_that_damages_every_control_message_ends_the_transfer_with_its_cause()
    {
        await using var pair = new TransferPair();
        pair.AddFile("a", 100);
        pair.Network.LinkMade = link => link.Corrupts = (protocol, _) => protocol == TransferProtocol.ControlId;
        TransferException failure =
            await Assert.ThrowsAsync<TransferException>(() => pair.Send(new SendOptions { MaxRetries = 1 }).Completion);
        Assert.Equal(TransferError.ConnectionLost, failure.Error);
        Assert.False(Directory.Exists(pair.TargetFolder));
    }

    [Fact]
    public void Digests_in_pieces_equal_digests_at_once()
    {
        byte[] bytes = new byte[200_000];
        new Random(3).NextBytes(bytes);
        var digester = new Digester();
        for (int at = 0; at < bytes.Length; at += 777) digester.Append(bytes.AsSpan(at, Math.Min(777, bytes.Length - at)));
        Assert.Equal(Digester.Of(bytes), digester.Finish());
        // XXH128 of nothing, from the algorithm's reference implementation: the root digest of an empty file.
        Assert.Equal("99aa06d3014798d86001c324468d497f", Digester.ToText(digester.RootOf([])));
        Assert.Equal(Digester.RootOf(5), digester.RootOf([5]));
    }
}
