using System.IO.Pipelines;
using FastShare.Testing.Transfer;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Sessions;
using FastShare.Transfer.Verification;
using Microsoft.Extensions.Time.Testing;

namespace FastShare.Transfer.Tests.Sessions;

public class StandstillTests
{
    private const int MiB = 1 << 20;

    private readonly FakeTimeProvider _time = new();

    [Theory]
    [InlineData(true, 0, 0, true)]
    [InlineData(false, 0, 0, false)] // nothing is missing, or the receiver itself is at work
    [InlineData(true, 1, 0, false)] // it brings something now and then
    [InlineData(true, 0, 4 << 10, false)] // a slow path
    [InlineData(true, 0, 200, true)] // talk
    public void A_stream_stands_still_within_a_chunk_on_a_connection_that_has_nothing_else_to_bring(
        bool isWithinChunk, int heardASecond, int bytesASecond, bool standsStill)
    {
        var standstill = new Standstill(_time);
        bool any = false;
        for (int second = 0; second < 3 * Standstill.Seconds; second++)
        {
            any |= standstill.Check(isWithinChunk, second * heardASecond, second * bytesASecond);
            _time.Advance(TimeSpan.FromSeconds(1));
        }

        Assert.Equal(standsStill, any);
    }

    [Fact]
    public void Patience_begins_anew_with_whatever_comes()
    {
        var standstill = new Standstill(_time);
        Assert.False(standstill.Check(true, 1, 0));
        _time.Advance(TimeSpan.FromSeconds(Standstill.Seconds - 1));
        Assert.False(standstill.Check(true, 1, 0));
        Assert.False(standstill.Check(true, 2, 0));
        _time.Advance(TimeSpan.FromSeconds(Standstill.Seconds - 1));
        Assert.False(standstill.Check(true, 2, 0));
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.True(standstill.Check(true, 2, 0));
    }

    [Theory]
    [InlineData(0)] // the header alone
    [InlineData(MiB / 2)]
    public async Task A_stream_whose_sender_got_no_credit_is_given_up_and_its_chunk_taken_from_another(int arrived)
    {
        await using var pair = new TransferPair(time: _time);
        await using var sender = new ScriptedSender(pair.SenderNode, pair.ReceiverNode.LocalPeer);
        UInt128 session = await sender.OfferFilesAsync(2 * MiB);
        Transfer received = await pair.IncomingAsync(CancellationToken.None);
        byte[] chunk = new byte[MiB];
        PipeWriter lane = await sender.AttachAsync(session);
        await ScriptedSender.SendChunkAsync(lane, 0, 0, chunk);
        await ScriptedSender.SendChunkAsync(lane, 0, MiB, chunk[..arrived], digest: Digester.Of(chunk), length: MiB);
        LaneCount? ended = null;
        while (ended is null)
        {
            ControlMessage message = await sender.AdvanceUntilAsync(_time, sender.NextAsync());
            Assert.True(message.Type is MessageType.KeepAlive or MessageType.LaneEnded, $"{message.Type}");
            if (message.Type == MessageType.LaneEnded) ended = LaneCount.Parse(message.Type, message.Body);
        }

        Assert.Equal(new LaneCount(0, 1), ended);
        Assert.False(received.Completion.IsCompleted);
        await ScriptedSender.SendChunkAsync(await sender.AttachAsync(session, 1), 0, MiB, chunk);
        await ScriptedSender.WaitForMovedAsync(received, 2 * MiB);
    }
}
