using FastShare.Testing.Multiplexing;
using FastShare.Transport.Multiplexing;
using FastShare.Transport.Security;
using Microsoft.Extensions.Logging.Abstractions;

namespace FastShare.Transport.Tests.Multiplexing;

/// <summary>How many streams a fresh connection bears (js-libp2p: ten, until its handlers are in place).</summary>
public sealed class FirstStreamsTests
{
    [Fact]
    public async Task A_ninth_stream_waits_until_the_remote_side_has_answered_one()
    {
        (IByteChannel left, IByteChannel right) = MemoryByteChannel.CreatePair();
        await using YamuxConnection dialer = Start(left, ConnectionRole.Dialer), listener = Start(right, ConnectionRole.Listener);
        var streams = new List<IMuxedStream>();
        for (int i = 0; i < 8; i++) streams.Add(await dialer.OpenStreamAsync(CancellationToken.None));
        Task<IMuxedStream> ninth = dialer.OpenStreamAsync(CancellationToken.None).AsTask();
        await dialer.PingAsync(CancellationToken.None); // whatever could happen has happened by then
        Assert.False(ninth.IsCompleted);

        Assert.NotNull(await listener.AcceptStreamAsync(CancellationToken.None));
        streams.Add(await ninth);
        while (streams.Count < 257) streams.Add(await dialer.OpenStreamAsync(CancellationToken.None)); // 256 unanswered
        Assert.False(dialer.OpenStreamAsync(CancellationToken.None).IsCompleted);
    }

    [Fact]
    public async Task A_stream_given_up_before_its_answer_makes_room_for_one_only()
    {
        (IByteChannel left, IByteChannel right) = MemoryByteChannel.CreatePair();
        await using YamuxConnection dialer = Start(left, ConnectionRole.Dialer), listener = Start(right, ConnectionRole.Listener);
        IMuxedStream first = await dialer.OpenStreamAsync(CancellationToken.None);
        for (int i = 1; i < 8; i++) await dialer.OpenStreamAsync(CancellationToken.None);
        first.Reset();
        await dialer.OpenStreamAsync(CancellationToken.None);
        Assert.False(dialer.OpenStreamAsync(CancellationToken.None).IsCompleted);
    }

    private static YamuxConnection Start(IByteChannel channel, ConnectionRole role)
    {
        var connection = new YamuxConnection(channel, role, YamuxOptions.Default, TimeProvider.System, NullLogger.Instance);
        connection.Start();
        return connection;
    }
}
