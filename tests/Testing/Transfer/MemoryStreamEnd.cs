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

    private MemoryStreamEnd(MemoryLink link, string protocol, PeerId peer, CancellationTokenSource reset, Pipe input, Pipe output)
    {
        Peer = peer;
        _link = link;
        _reset = reset;
        _input = new LinkReader(link, reset.Token, input.Reader);
        _output = new LinkWriter(link, protocol, reset.Token, output.Writer);
    }

    public PeerId Peer { get; }

    public ITransferPath Path => this;

    public TimeSpan? RoundTripTime => _link.RoundTripTime;

    public ISocketTuning? Socket => null;

    public ConnectionCounters? Counters => null;

    public PipeReader Input => _input;

    public PipeWriter Output => _output;

    public static (MemoryStreamEnd Near, MemoryStreamEnd Far) CreatePair(MemoryLink link, string protocol, PeerId near, PeerId far)
    {
        var options = new PipeOptions(pauseWriterThreshold: Window, resumeWriterThreshold: Window / 2, useSynchronizationContext: false);
        var there = new Pipe(options);
        var back = new Pipe(options);
        var reset = new CancellationTokenSource();
        return (
            new MemoryStreamEnd(link, protocol, far, reset, back, there), new MemoryStreamEnd(link, protocol, near, reset, there, back));
    }

    // A wish, which this network does not grant.
    public void WidenWindow(int bytes)
    {
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

    private sealed class LinkReader(MemoryLink link, CancellationToken reset, PipeReader inner) : PipeReader
    {
        public bool IsAtEnd { get; private set; }

        public override void AdvanceTo(SequencePosition consumed) => inner.AdvanceTo(consumed);

        public override void AdvanceTo(SequencePosition consumed, SequencePosition examined) => inner.AdvanceTo(consumed, examined);

        public override void CancelPendingRead() => inner.CancelPendingRead();

        public override void Complete(Exception? exception = null) => inner.Complete(exception);

        public override async ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
        {
            // What came before a reset is still read; what a broken link held is lost.
            if (!link.IsBroken && inner.TryRead(out ReadResult ready))
            {
                if (!ready.Buffer.IsEmpty || ready.IsCompleted) return Note(ready);
                inner.AdvanceTo(ready.Buffer.Start);
            }

            try
            {
                return Note(await GuardAsync(link, reset, cancellationToken, inner.ReadAsync));
            }
            catch (TransportException e) when (e.Error == TransportError.StreamReset)
            {
                if (inner.TryRead(out ReadResult last) && (!last.Buffer.IsEmpty || last.IsCompleted)) return Note(last);
                throw;
            }
        }

        public override bool TryRead(out ReadResult result) => throw new NotSupportedException();

        private ReadResult Note(ReadResult result)
        {
            IsAtEnd |= result.IsCompleted;
            return result;
        }
    }

    private sealed class LinkWriter(MemoryLink link, string protocol, CancellationToken reset, PipeWriter inner) : PipeWriter
    {
        private readonly ArrayBufferWriter<byte> _buffered = new();

        public bool IsComplete { get; private set; }

        public override void Advance(int bytes) => _buffered.Advance(bytes);

        public override Memory<byte> GetMemory(int sizeHint = 0) => _buffered.GetMemory(sizeHint);

        public override Span<byte> GetSpan(int sizeHint = 0) => _buffered.GetSpan(sizeHint);

        public override void CancelPendingFlush() => inner.CancelPendingFlush();

        public override void Complete(Exception? exception = null)
        {
            if (IsComplete) return;
            IsComplete = true;
            if (link.IsBroken) return;
            if (_buffered.WrittenCount > 0) inner.Write(_buffered.WrittenSpan);
            inner.Complete(exception);
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
                await link.WaitWhileStalledAsync(token);
                if (link.Corrupts?.Invoke(protocol, bytes.Length) == true)
                {
                    byte[] wrong = bytes.ToArray();
                    wrong[wrong.Length / 2] ^= 1;
                    bytes = wrong;
                }

                // Piecewise, as a multiplexer does it: the reader sees parts.
                var result = default(FlushResult);
                int admitted = link.Admit(bytes.Length);
                for (int at = 0; at < admitted; at += 64 << 10)
                    result = await inner.WriteAsync(bytes[at..Math.Min(admitted, at + (64 << 10))], token);
                if (admitted < bytes.Length) link.Break();
                link.Carried?.Invoke(link.BytesCarried);
                token.ThrowIfCancellationRequested();
                return result;
            });
    }
}
