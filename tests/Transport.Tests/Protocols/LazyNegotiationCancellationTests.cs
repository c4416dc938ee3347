using System.IO.Pipelines;
using FastShare.Transport.Protocols;

namespace FastShare.Transport.Tests.Protocols;

public sealed class LazyNegotiationCancellationTests
{
    [Fact]
    public async Task A_first_read_that_was_cancelled_does_not_cancel_later_ones()
    {
        var toPeer = new Pipe();
        var fromPeer = new Pipe();
        PipeReader input = LazyNegotiation.Begin(new Duplex(fromPeer.Reader, toPeer.Writer), "/x").Input;
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            async () => await input.ReadAsync(new CancellationToken(canceled: true)));

        MultistreamMessage.Write(fromPeer.Writer, MultistreamMessage.Header);
        MultistreamMessage.Write(fromPeer.Writer, "/x");
        await fromPeer.Writer.WriteAsync("hi"u8.ToArray(), TestContext.Current.CancellationToken);
        ReadResult result = await input.ReadAsync(TestContext.Current.CancellationToken);
        Assert.Equal(2, result.Buffer.Length);
        Assert.True(toPeer.Reader.TryRead(out ReadResult sent));
        Assert.Equal(20 + 4, sent.Buffer.Length);
    }

    private sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
