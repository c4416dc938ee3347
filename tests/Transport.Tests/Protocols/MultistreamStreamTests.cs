using System.Buffers;
using System.IO.Pipelines;
using FastShare.Testing;
using FastShare.Transport.Protocols;
using static FastShare.Transport.Tests.Protocols.MultistreamTests;

namespace FastShare.Transport.Tests.Protocols;

/// <summary>Negotiation on streams, eager and lazy.</summary>
public sealed class MultistreamStreamTests
{
    private const string Hello = "/hello/1";
    private const string HelloMessage = "092f68656c6c6f2f310a";

    // Continuations run before the call that caused them returns, so the tests need not wait for them.
    private static readonly PipeOptions Inline = new(
        readerScheduler: PipeScheduler.Inline, writerScheduler: PipeScheduler.Inline, useSynchronizationContext: false);

    /// <summary>A stream under test and what its peer sees of it.</summary>
    private sealed class Stream : IDuplexPipe
    {
        private readonly Pipe _toPeer = new(Inline);
        private readonly Pipe _fromPeer = new(Inline);

        public PipeReader Input => _fromPeer.Reader;

        public PipeWriter Output => _toPeer.Writer;

        public async Task SendHex(string hex) => await _fromPeer.Writer.WriteAsync(ScriptedPeer.FromHex(hex));

        public void End() => _fromPeer.Writer.Complete();

        /// <summary>All that was sent so far, in hexadecimal.</summary>
        public string Sent()
        {
            if (!_toPeer.Reader.TryRead(out ReadResult result)) return "";
            string hex = Convert.ToHexStringLower(result.Buffer.ToArray());
            _toPeer.Reader.AdvanceTo(result.Buffer.End);
            return hex;
        }
    }

    private static async Task<string> ReadHex(PipeReader reader)
    {
        ReadResult result = await reader.ReadAsync();
        string hex = Convert.ToHexStringLower(result.Buffer.ToArray());
        reader.AdvanceTo(result.Buffer.End);
        return hex;
    }

    [Fact]
    public async Task A_dialer_sends_header_and_proposal_at_once_and_leaves_what_follows_the_answer()
    {
        var stream = new Stream();
        Task<string> select = Multistream.SelectAsync(stream, ["/other", Hello], CancellationToken.None).AsTask();
        Assert.Equal(Header + "072f6f746865720a", stream.Sent());
        await stream.SendHex(Header + Na);
        Assert.Equal(HelloMessage, stream.Sent());
        await stream.SendHex(HelloMessage + "010203");
        Assert.Equal(Hello, await select);
        Assert.Equal("010203", await ReadHex(stream.Input));
    }

    [Fact]
    public async Task A_listener_answers_at_once_and_leaves_what_follows_the_proposal()
    {
        var stream = new Stream();
        await stream.SendHex(Header + HelloMessage + "010203");
        Assert.Equal(Hello, await Multistream.RespondAsync(stream, id => id == Hello, CancellationToken.None));
        Assert.Equal(Header + HelloMessage, stream.Sent());
        Assert.Equal("010203", await ReadHex(stream.Input));
    }

    [Fact]
    public async Task A_listener_refuses_and_answers_ls_and_waits_for_the_next_proposal()
    {
        var stream = new Stream();
        Task<string?> respond = Multistream.RespondAsync(stream, id => id == Hello, CancellationToken.None).AsTask();
        foreach (char[] pair in (Header + Tls + "036c730a").Chunk(2)) await stream.SendHex(new string(pair)); // byte by byte
        Assert.Equal(Header + Na + Na, stream.Sent());
        await stream.SendHex(HelloMessage);
        Assert.Equal(Hello, await respond);
        Assert.Equal(HelloMessage, stream.Sent());
    }

    [Fact]
    public async Task A_dialer_that_gives_up_is_no_error()
    {
        var stream = new Stream();
        await stream.SendHex(Header + Tls);
        stream.End();
        Assert.Null(await Multistream.RespondAsync(stream, _ => false, CancellationToken.None));
    }

    [Fact]
    public async Task An_unsupported_protocol_and_an_early_end_are_different_errors()
    {
        var stream = new Stream();
        await stream.SendHex(Header + Na);
        var error = await Assert.ThrowsAsync<TransportException>(
            () => Multistream.SelectAsync(stream, [Hello], CancellationToken.None).AsTask());
        Assert.Equal(TransportError.UnsupportedProtocol, error.Error);
        Assert.Contains(Hello, error.Message, StringComparison.Ordinal);

        stream = new Stream();
        await stream.SendHex(Header);
        stream.End();
        error = await Assert.ThrowsAsync<TransportException>(
            () => Multistream.SelectAsync(stream, [Hello], CancellationToken.None).AsTask());
        Assert.Equal(TransportError.StreamReset, error.Error);
        Assert.Contains(Hello, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Too_many_proposals_and_garbage_end_the_negotiation()
    {
        var stream = new Stream();
        await stream.SendHex(Header + string.Concat(Enumerable.Repeat(Tls, 33)));
        var error = await Assert.ThrowsAsync<TransportException>(
            () => Multistream.RespondAsync(stream, _ => false, CancellationToken.None).AsTask());
        Assert.Equal(TransportError.LimitExceeded, error.Error);

        stream = new Stream();
        await stream.SendHex("ffff");
        error = await Assert.ThrowsAsync<TransportException>(
            () => Multistream.RespondAsync(stream, _ => false, CancellationToken.None).AsTask());
        Assert.Equal(TransportError.ProtocolViolation, error.Error);
    }

    [Fact]
    public async Task A_cancelled_negotiation_stops_waiting()
    {
        var stream = new Stream();
        using var cancel = new CancellationTokenSource();
        Task<string> select = Multistream.SelectAsync(stream, [Hello], cancel.Token).AsTask();
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => select);
    }

    [Fact]
    public async Task Lazily_the_proposal_leaves_with_the_first_bytes()
    {
        var stream = new Stream();
        LazyNegotiation lazy = LazyNegotiation.Begin(stream, Hello);
        Assert.Equal("", stream.Sent());
        await lazy.Output.WriteAsync(new byte[] { 1, 2 });
        Assert.Equal(Header + HelloMessage + "0102", stream.Sent());
        await lazy.Output.WriteAsync(new byte[] { 3 });
        Assert.Equal("03", stream.Sent());
        await stream.SendHex(Header + HelloMessage + "0405");
        Assert.Equal("0405", await ReadHex(lazy.Input));
        await stream.SendHex("06");
        Assert.Equal("06", await ReadHex(lazy.Input));
    }

    [Fact]
    public async Task Lazily_buffered_bytes_follow_the_proposal_too()
    {
        var stream = new Stream();
        LazyNegotiation lazy = LazyNegotiation.Begin(stream, Hello);
        lazy.Output.GetSpan(1)[0] = 7;
        lazy.Output.Advance(1);
        Assert.Equal("", stream.Sent());
        await lazy.Output.FlushAsync();
        Assert.Equal(Header + HelloMessage + "07", stream.Sent());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Lazily_an_end_without_bytes_is_still_preceded_by_the_proposal(bool async)
    {
        var stream = new Stream();
        LazyNegotiation lazy = LazyNegotiation.Begin(stream, Hello);
        if (async) await lazy.Output.CompleteAsync();
        else lazy.Output.Complete();
        Assert.Equal(Header + HelloMessage, stream.Sent());
    }

    [Fact]
    public async Task Lazily_a_reader_that_comes_first_sends_the_proposal()
    {
        var stream = new Stream();
        LazyNegotiation lazy = LazyNegotiation.Begin(stream, Hello);
        Task<string> read = ReadHex(lazy.Input);
        Assert.Equal(Header + HelloMessage, stream.Sent());
        await lazy.Output.WriteAsync(new byte[] { 1 });
        Assert.Equal("01", stream.Sent());
        await stream.SendHex(Header);
        await stream.SendHex(HelloMessage);
        Assert.False(read.IsCompleted);
        await stream.SendHex("0203");
        Assert.Equal("0203", await read);
    }

    [Fact]
    public async Task Lazily_what_is_written_while_the_reader_sends_the_proposal_follows_it()
    {
        var slow = new SlowFlushStream();
        LazyNegotiation lazy = LazyNegotiation.Begin(slow, Hello);
        Task<string> read = ReadHex(lazy.Input);
        lazy.Output.Write<byte>([1, 2, 3]); // the proposal's flush is under way
        Task flush = lazy.Output.FlushAsync().AsTask();
        Assert.False(flush.IsCompleted);
        Assert.Equal(Header + HelloMessage, slow.Written());
        slow.Release();
        await flush;
        Assert.Equal(Header + HelloMessage + "010203", slow.Written());
        slow.Release();
        await slow.FromPeer.Writer.WriteAsync(ScriptedPeer.FromHex(Header + HelloMessage + "04"));
        Assert.Equal("04", await read);
    }

    [Fact]
    public async Task Lazily_a_refusal_shows_in_every_read()
    {
        var stream = new Stream();
        LazyNegotiation lazy = LazyNegotiation.Begin(stream, Hello);
        await lazy.Output.WriteAsync(new byte[] { 1 });
        await stream.SendHex(Header + Na);
        for (int i = 0; i < 2; i++)
        {
            var error = await Assert.ThrowsAsync<TransportException>(() => ReadHex(lazy.Input));
            Assert.Equal(TransportError.UnsupportedProtocol, error.Error);
            Assert.Contains(Hello, error.Message, StringComparison.Ordinal);
            Assert.Throws<TransportException>(() => lazy.Input.TryRead(out _));
        }
    }

    [Theory]
    [InlineData("", TransportError.StreamReset)]
    [InlineData(Header, TransportError.StreamReset)]
    [InlineData(Header + Tls, TransportError.ProtocolViolation)]
    [InlineData("ffff", TransportError.ProtocolViolation)]
    public async Task Lazily_a_missing_or_wrong_answer_is_an_error(string answer, TransportError expected)
    {
        var stream = new Stream();
        LazyNegotiation lazy = LazyNegotiation.Begin(stream, Hello);
        await lazy.Output.WriteAsync(new byte[] { 1 });
        await stream.SendHex(answer);
        stream.End();
        Assert.Equal(expected, (await Assert.ThrowsAsync<TransportException>(() => ReadHex(lazy.Input))).Error);
    }

    [Fact]
    public async Task Lazily_who_only_writes_can_confirm()
    {
        var stream = new Stream();
        LazyNegotiation lazy = LazyNegotiation.Begin(stream, Hello);
        await lazy.Output.WriteAsync(new byte[] { 1 });
        Task confirm = lazy.ConfirmAsync(CancellationToken.None).AsTask();
        Assert.False(confirm.IsCompleted);
        await stream.SendHex(Header + HelloMessage);
        await confirm;

        stream = new Stream();
        lazy = LazyNegotiation.Begin(stream, Hello);
        await lazy.Output.WriteAsync(new byte[] { 1 });
        await stream.SendHex(Header + Na);
        var error = await Assert.ThrowsAsync<TransportException>(() => lazy.ConfirmAsync(CancellationToken.None).AsTask());
        Assert.Equal(TransportError.UnsupportedProtocol, error.Error);
    }

    [Fact]
    public async Task Lazily_a_cancelled_read_can_be_repeated()
    {
        var stream = new Stream();
        LazyNegotiation lazy = LazyNegotiation.Begin(stream, Hello);
        Task<ReadResult> read = lazy.Input.ReadAsync().AsTask();
        lazy.Input.CancelPendingRead();
        ReadResult result = await read;
        Assert.True(result is { IsCanceled: true, IsCompleted: false } && result.Buffer.IsEmpty);
        lazy.Input.AdvanceTo(result.Buffer.End);
        Assert.False(lazy.Input.TryRead(out _));
        await stream.SendHex(Header + HelloMessage + "01");
        Assert.True(lazy.Input.TryRead(out result));
        Assert.Equal(1, result.Buffer.Length);
        lazy.Input.AdvanceTo(result.Buffer.End);
    }

    /// <summary>A stream whose writer flushes when the test says so.</summary>
    private sealed class SlowFlushStream : PipeWriter, IDuplexPipe
    {
        private readonly ArrayBufferWriter<byte> _written = new();
        private readonly SemaphoreSlim _released = new(0);

        public Pipe FromPeer { get; } = new(Inline);

        public PipeReader Input => FromPeer.Reader;

        public PipeWriter Output => this;

        public string Written() => Convert.ToHexStringLower(_written.WrittenSpan);

        public void Release() => _released.Release();

        public override void Advance(int bytes) => _written.Advance(bytes);

        public override Memory<byte> GetMemory(int sizeHint = 0) => _written.GetMemory(sizeHint);

        public override Span<byte> GetSpan(int sizeHint = 0) => _written.GetSpan(sizeHint);

        public override async ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
        {
            if (Written().Length > (Header + HelloMessage).Length) return default;
            await _released.WaitAsync(cancellationToken);
            return default;
        }

        public override void CancelPendingFlush()
        {
        }

        public override void Complete(Exception? exception = null)
        {
        }
    }
}
