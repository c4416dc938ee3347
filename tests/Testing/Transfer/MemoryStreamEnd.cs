using System.Buffers;
using System.IO.Pipelines;
using FastShare.Transfer.Sessions;
using FastShare.Transport;
using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;
using FastShare.Transport.Telemetry;

namespace FastShare.Testing.Transfer;

/// <summary>One end of a stream on a <see cref="MemoryLink"/>, with the contract of a multiplexed stream.</summary>
internal sealed class MemoryStreamEnd : ITransferStream, ITransferPath
{
    /// <summary>
    /// yamux's first window: smaller than a chunk, so that whoever waits for a whole chunk before consuming waits for ever.
    /// </summary>
    private const int Window = 256 << 10;

    private readonly MemoryLink _link;
    private readonly CancellationTokenSource _reset;
    private readonly LinkWriter _output;
    private readonly LinkReader _input;

    private MemoryStreamEnd(MemoryLink link, string protocol, PeerId peer, CancellationTokenSource reset, Direction input, Direction output)
    {
        Peer = peer;
        _link = link;
        _reset = reset;
        _input = new LinkReader(link, reset.Token, input);
        _output = new LinkWriter(link, protocol, reset.Token, output);
    }

    public PeerId Peer { get; }

    public ITransferPath Path => this;

    public TimeSpan? RoundTripTime => _link.RoundTripTime;

    public ISocketTuning? Socket => _link.Socket;

    public ConnectionCounters? Counters => null;

    /// <summary>
    /// Whether the other end has consumed all that got through to it. So has one that will read nothing more, as its stream or its link is
    /// at an end.
    /// </summary>
    public bool IsConsumed => _output.IsConsumed || _reset.IsCancellationRequested || _link.IsBroken;

    public PipeReader Input => _input;

    public PipeWriter Output => _output;

    public static (MemoryStreamEnd Near, MemoryStreamEnd Far) CreatePair(MemoryLink link, string protocol, PeerId near, PeerId far)
    {
        Direction there = new(), back = new();
        var reset = new CancellationTokenSource();
        return (
            new MemoryStreamEnd(link, protocol, far, reset, back, there), new MemoryStreamEnd(link, protocol, near, reset, there, back));
    }

    // A wish, which this network does not grant.
    public void WidenWindow(int bytes)
    {
    }

    public async ValueTask PingAsync(CancellationToken cancellationToken)
    {
        using var any = CancellationTokenSource.CreateLinkedTokenSource(_link.Broken, cancellationToken);
        try
        {
            if (_link.IsUnanswered) await Task.Delay(Timeout.Infinite, any.Token);
            await _link.WaitWhileStalledAsync("ping", any.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
        }

        if (_link.IsBroken) throw MemoryLink.Lost();
    }

    public void Reset() => _reset.Cancel();

    public ValueTask AbandonConnectionAsync()
    {
        _link.Break();
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync()
    {
        if (!_output.IsComplete || !_input.IsAtEnd) Reset();
        return ValueTask.CompletedTask;
    }

    /// <summary>Runs an operation of a pipe that ends when the link breaks or the stream is reset.</summary>
    private static async ValueTask<T> GuardAsync<T>(
        MemoryLink link, CancellationToken reset, CancellationToken caller, Func<CancellationToken, ValueTask<T>> operation)
    {
        using var any = CancellationTokenSource.CreateLinkedTokenSource(link.Broken, reset, caller);
        try
        {
            any.Token.ThrowIfCancellationRequested();
            return await operation(any.Token);
        }
        catch (OperationCanceledException) when (!caller.IsCancellationRequested)
        {
            throw link.IsBroken ? MemoryLink.Lost() : new TransportException(TransportError.StreamReset, "the stream was reset");
        }
    }

    /// <summary>What one end has written and the other has not consumed.</summary>
    private sealed class Direction
    {
        private readonly Pipe _pipe = new(
            new PipeOptions(pauseWriterThreshold: Window, resumeWriterThreshold: Window / 2, useSynchronizationContext: false));

        private long _unconsumed; // interlocked

        public PipeReader Reader => _pipe.Reader;

        public PipeWriter Writer => _pipe.Writer;

        public bool IsConsumed => Interlocked.Read(ref _unconsumed) <= 0;

        public void Add(long bytes) => Interlocked.Add(ref _unconsumed, bytes);

        /// <summary>Nobody reads what is left.</summary>
        public void Close() => Interlocked.Exchange(ref _unconsumed, long.MinValue / 2);
    }

    private sealed class LinkReader(MemoryLink link, CancellationToken reset, Direction direction) : PipeReader
    {
        private readonly PipeReader _inner = direction.Reader;
        private ReadOnlySequence<byte> _read; // of the one reader at a time

        public bool IsAtEnd { get; private set; }

        public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

        public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
        {
            long bytes = _read.Slice(0, consumed).Length;
            _inner.AdvanceTo(consumed, examined);
            direction.Add(-bytes);
        }

        public override void CancelPendingRead() => _inner.CancelPendingRead();

        public override void Complete(Exception? exception = null)
        {
            _inner.Complete(exception);
            direction.Close();
        }

        public override async ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
        {
            // What came before a reset is still read; what a broken link held is lost.
            if (!link.IsBroken && _inner.TryRead(out ReadResult ready))
            {
                if (!ready.Buffer.IsEmpty || ready.IsCompleted) return Note(ready);
                _inner.AdvanceTo(ready.Buffer.Start);
            }

            try
            {
                return Note(await GuardAsync(link, reset, cancellationToken, _inner.ReadAsync));
            }
            catch (TransportException e) when (e.Error == TransportError.StreamReset)
            {
                if (_inner.TryRead(out ReadResult last) && (!last.Buffer.IsEmpty || last.IsCompleted)) return Note(last);
                throw;
            }
        }

        public override bool TryRead(out ReadResult result) => throw new NotSupportedException();

        private ReadResult Note(ReadResult result)
        {
            IsAtEnd |= result.IsCompleted;
            _read = result.Buffer;
            return result;
        }
    }

    private sealed class LinkWriter(MemoryLink link, string protocol, CancellationToken reset, Direction direction) : PipeWriter
    {
        private readonly PipeWriter _inner = direction.Writer;
        private readonly ArrayBufferWriter<byte> _buffered = new();

        public bool IsConsumed => direction.IsConsumed;

        public bool IsComplete { get; private set; }

        public override void Advance(int bytes) => _buffered.Advance(bytes);

        public override Memory<byte> GetMemory(int sizeHint = 0) => _buffered.GetMemory(sizeHint);

        public override Span<byte> GetSpan(int sizeHint = 0) => _buffered.GetSpan(sizeHint);

        public override void CancelPendingFlush() => _inner.CancelPendingFlush();

        public override void Complete(Exception? exception = null)
        {
            if (IsComplete) return;
            IsComplete = true;
            if (link.IsBroken) return;
            direction.Add(_buffered.WrittenCount);
            if (_buffered.WrittenCount > 0) _inner.Write(_buffered.WrittenSpan);
            _inner.Complete(exception);
        }

        public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default) =>
            WriteAsync(ReadOnlyMemory<byte>.Empty, cancellationToken);

        public override async ValueTask<FlushResult> WriteAsync(ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default)
        {
            if (_buffered.WrittenCount > 0)
            {
                await SendAsync(_buffered.WrittenMemory, cancellationToken);
                _buffered.ResetWrittenCount();
            }

            return await SendAsync(source, cancellationToken);
        }

        private async ValueTask<FlushResult> SendAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken) =>
            await GuardAsync(link, reset, cancellationToken, async token =>
            {
                await link.WaitWhileStalledAsync(protocol, token);
                if (link.Corrupts?.Invoke(protocol, bytes.Length) == true)
                {
                    byte[] wrong = bytes.ToArray();
                    wrong[wrong.Length / 2] ^= 1;
                    bytes = wrong;
                }

                // Piecewise, as a multiplexer does it: the reader sees parts.
                var result = default(FlushResult);
                int admitted = link.Admit(bytes.Length);
                direction.Add(admitted);
                for (int at = 0; at < admitted; at += 64 << 10)
                    result = await _inner.WriteAsync(bytes[at..Math.Min(admitted, at + (64 << 10))], token);
                if (admitted < bytes.Length) link.Break();
                link.Carried?.Invoke(link.BytesCarried);
                if (link.Lingers is { } lingers) await lingers(protocol, bytes.Length, token);
                token.ThrowIfCancellationRequested();
                return result;
            });
    }
}
