using System.Buffers;
using System.IO.Pipelines;
using System.Text;
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

    [Fact]
    public async Task A_writers_token_ends_its_wait_for_the_proposal_and_loses_no_byte()
    {
        var (stream, output) = ReaderFirst();
        output.Write("early "u8);
        using var cancellation = new CancellationTokenSource();
        ValueTask<FlushResult> flush = output.FlushAsync(cancellation.Token);
        Assert.False(flush.IsCompleted); // the reader's proposal is still on its way
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await flush);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            async () => await output.WriteAsync("never "u8.ToArray(), new CancellationToken(canceled: true)));
        stream.Release.SetResult();
        await output.WriteAsync("late"u8.ToArray(), TestContext.Current.CancellationToken);
        Assert.Equal("early late", stream.TextBehindProposal());
    }

    [Fact]
    public async Task Completing_while_the_proposal_is_on_its_way_sends_what_was_written_and_then_the_end()
    {
        var (stream, output) = ReaderFirst();
        output.Write("last words"u8);
        output.Complete();
        output.Complete(); // as with any pipe
        Assert.Throws<InvalidOperationException>(() => output.GetMemory());
        Assert.False(stream.IsCompleted);
        stream.Release.SetResult();
        await output.CompleteAsync();
        Assert.True(stream.IsCompleted);
        Assert.Equal("last words", stream.TextBehindProposal());
    }

    // The reader has sent the proposal, which hangs; a writer comes now.
    private static (HangingStream Stream, PipeWriter Output) ReaderFirst()
    {
        var stream = new HangingStream();
        LazyNegotiation lazy = LazyNegotiation.Begin(new Duplex(new Pipe().Reader, stream), "/x");
        _ = lazy.Input.ReadAsync(TestContext.Current.CancellationToken).AsTask(); // never answered
        return (stream, lazy.Output);
    }

    private sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;

    /// <summary>A stream's output whose first flush hangs until it is released; one caller at a time, as the contract says.</summary>
    private sealed class HangingStream : PipeWriter
    {
        private readonly ArrayBufferWriter<byte> _written = new();
        private bool _busy;

        public TaskCompletionSource Release { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public bool IsCompleted { get; private set; }

        public string TextBehindProposal() => Encoding.ASCII.GetString(_written.WrittenSpan[(20 + 4)..]);

        public override void Advance(int bytes) => _written.Advance(bytes);

        public override Memory<byte> GetMemory(int sizeHint = 0) => Idle().GetMemory(sizeHint);

        public override Span<byte> GetSpan(int sizeHint = 0) => Idle().GetSpan(sizeHint);

        public override async ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
        {
            Idle();
            _busy = true;
            await Release.Task.WaitAsync(cancellationToken);
            _busy = false;
            return default;
        }

        public override void CancelPendingFlush() => throw new NotSupportedException();

        public override void Complete(Exception? exception = null)
        {
            Idle();
            IsCompleted = true;
        }

        private ArrayBufferWriter<byte> Idle() => _busy ? throw new InvalidOperationException("a write is under way") : _written;
    }
}
