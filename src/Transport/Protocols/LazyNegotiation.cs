using System.Buffers;
using System.IO.Pipelines;

namespace FastShare.Transport.Protocols;

/// <summary>
/// Optimistic multistream-select on a stream that this side opened: header, proposal and the first application bytes leave in one
/// write, and the peer's answer is checked before the first byte read. Saves a round trip; only for a protocol that the peer is known
/// to support.
/// </summary>
/// <remarks>
/// <para>The wire is the same as without it. Whoever starts with a read sends the proposal with that read. A refusal shows as
/// <see cref="TransportError.UnsupportedProtocol"/> from the first read; reset the stream then.</para>
/// <para>A user who only writes must await <see cref="ConfirmAsync"/> before completing <see cref="Input"/>: nothing else would tell
/// that the peer refused the protocol and dropped the bytes. Threads: as any stream, one reader and one writer at a time.</para>
/// </remarks>
internal sealed class LazyNegotiation : IDuplexPipe
{
    private readonly LazyReader _input;

    private readonly LazyWriter _output;

    private LazyNegotiation(IDuplexPipe stream, string protocol)
    {
        _output = new LazyWriter(stream.Output, protocol);
        _input = new LazyReader(stream, _output, protocol);
    }

    /// <inheritdoc/>
    public PipeReader Input => _input;

    /// <inheritdoc/>
    public PipeWriter Output => _output;

    /// <summary>
    /// An end that the application has asked for and that waits for the proposal to leave; to be awaited before the stream is disposed,
    /// which would reset it. Never faults.
    /// </summary>
    public Task Ending => _output.Ending;

    /// <summary>Takes over a fresh stream for one protocol; sends nothing yet.</summary>
    public static LazyNegotiation Begin(IDuplexPipe stream, string protocol) => new(stream, protocol);

    /// <summary>
    /// Sends the proposal if that has not happened and waits for the peer's answer. Counts as a read.
    /// </summary>
    /// <exception cref="TransportException"><see cref="TransportError.UnsupportedProtocol"/>: refused;
    /// <see cref="TransportError.ProtocolViolation"/>; <see cref="TransportError.StreamReset"/>: no answer came.</exception>
    public ValueTask ConfirmAsync(CancellationToken cancellationToken) => _input.ConfirmAsync(cancellationToken);

    /// <summary>Puts the proposal before the first bytes.</summary>
    /// <remarks>
    /// Usually the writer comes first and everything passes through. If the reader is first, it sends the proposal; what the writer
    /// does meanwhile is kept aside, for the inner writer allows one caller at a time.
    /// </remarks>
    private sealed class LazyWriter(PipeWriter inner, string protocol) : PipeWriter
    {
        private readonly Lock _lock = new();
        private bool _proposed; // guarded by _lock
        private Task? _sending; // the reader's flush; guarded by _lock, set at most once
        private ArrayBufferWriter<byte>? _aside; // by the writer, while _sending has not ended
        private Task? _ending; // set once, by the writer: finishes what Complete could not do at once; read anywhere

        /// <summary>Completes when an end that was asked for is on its way.</summary>
        public Task Ending => Volatile.Read(ref _ending) ?? Task.CompletedTask;

        public override bool CanGetUnflushedBytes => inner.CanGetUnflushedBytes;

        public override long UnflushedBytes => inner.UnflushedBytes + (_aside?.WrittenCount ?? 0);

        /// <summary>Called by the reader: sends the proposal unless the writer has put it before its bytes, and so will send it.</summary>
        /// <remarks>The token ends this wait only: the proposal belongs to both directions, and to every later read.</remarks>
        public Task ProposeNow(CancellationToken cancellationToken)
        {
            lock (_lock)
            {
                if (!_proposed)
                {
                    Propose();
                    _sending = inner.FlushAsync(CancellationToken.None).AsTask();
                }

                return _sending?.WaitAsync(cancellationToken) ?? Task.CompletedTask;
            }
        }

        public override Memory<byte> GetMemory(int sizeHint = 0) => Target().GetMemory(sizeHint);

        public override Span<byte> GetSpan(int sizeHint = 0) => Target().GetSpan(sizeHint);

        public override void Advance(int bytes) => Current.Advance(bytes);

        public override async ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
        {
            Target();
            await JoinAsync(cancellationToken).ConfigureAwait(false);
            return await inner.FlushAsync(cancellationToken).ConfigureAwait(false);
        }

        public override async ValueTask<FlushResult> WriteAsync(ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default)
        {
            Target();
            await JoinAsync(cancellationToken).ConfigureAwait(false);
            return await inner.WriteAsync(source, cancellationToken).ConfigureAwait(false);
        }

        public override void CancelPendingFlush() => inner.CancelPendingFlush();

        public override void Complete(Exception? exception = null)
        {
            if (_ending is not null) return;
            if (exception is null)
            {
                Target(); // an end without bytes is still preceded by the proposal
                if (_aside is not null)
                {
                    Volatile.Write(ref _ending, FinishAsync());
                    return;
                }
            }

            inner.Complete(exception);
        }

        public override async ValueTask CompleteAsync(Exception? exception = null)
        {
            if (_ending is not null)
            {
                await _ending.ConfigureAwait(false);
                return;
            }

            if (exception is null)
            {
                Target();
                await JoinAsync(CancellationToken.None).ConfigureAwait(false);
            }

            await inner.CompleteAsync(exception).ConfigureAwait(false);
        }

        private IBufferWriter<byte> Current => _aside is null ? inner : _aside;

        private IBufferWriter<byte> Target()
        {
            if (_ending is not null) throw new InvalidOperationException("the writer was completed");
            lock (_lock)
            {
                if (!_proposed) Propose();
                // Once something stands aside it must go first, so the next bytes join it until a flush.
                if (_sending is { IsCompleted: false }) _aside ??= new ArrayBufferWriter<byte>();
            }

            return Current;
        }

        private async Task FinishAsync()
        {
            await JoinAsync(CancellationToken.None).ConfigureAwait(false);
            inner.Complete();
        }

        // The token ends the wait and leaves everything as it was: what stands aside goes out with the next flush.
        private async ValueTask JoinAsync(CancellationToken cancellationToken)
        {
            Task? sending;
            lock (_lock) sending = _sending;
            if (sending is null) return;
            // Its failure is the reader's to tell; the stream fails this side as well where it concerns it.
            if (!sending.IsCompleted) await Task.WhenAny(sending).WaitAsync(cancellationToken).ConfigureAwait(false);
            if (_aside is null) return;
            inner.Write(_aside.WrittenSpan);
            _aside = null;
        }

        private void Propose()
        {
            _proposed = true;
            MultistreamMessage.Write(inner, MultistreamMessage.Header);
            MultistreamMessage.Write(inner, protocol);
        }
    }

    /// <summary>Checks header and echo, then passes everything through. All state is the reader's.</summary>
    private sealed class LazyReader(IDuplexPipe stream, LazyWriter writer, string protocol) : PipeReader
    {
        private readonly PipeReader _inner = stream.Input;
        private readonly string[] _protocols = [protocol];
        private MultistreamDialer? _dialer;
        private bool _confirmed;
        private bool _emptyResult; // the last result was not the inner reader's
        private TransportException? _failure;

        public async ValueTask ConfirmAsync(CancellationToken cancellationToken)
        {
            if (!await TryConfirmAsync(cancellationToken).ConfigureAwait(false))
                throw new OperationCanceledException("the pending read was cancelled");
        }

        public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default) =>
            _confirmed ? _inner.ReadAsync(cancellationToken) : ConfirmAndReadAsync(cancellationToken);

        private async ValueTask<ReadResult> ConfirmAndReadAsync(CancellationToken cancellationToken)
        {
            if (await TryConfirmAsync(cancellationToken).ConfigureAwait(false))
                return await _inner.ReadAsync(cancellationToken).ConfigureAwait(false);
            _emptyResult = true;
            return new ReadResult(ReadOnlySequence<byte>.Empty, isCanceled: true, isCompleted: false);
        }

        // False when CancelPendingRead ended the wait.
        private async ValueTask<bool> TryConfirmAsync(CancellationToken cancellationToken)
        {
            if (_confirmed) return true;
            if (_failure is null) await writer.ProposeNow(cancellationToken).ConfigureAwait(false);
            while (true)
            {
                if (_failure is not null) throw _failure;
                ReadResult result = await _inner.ReadAsync(cancellationToken).ConfigureAwait(false);
                if (Consume(result)) return true;
                if (result.IsCanceled) return false;
            }
        }

        public override bool TryRead(out ReadResult result)
        {
            while (!_confirmed)
            {
                result = default;
                if (_failure is not null) throw _failure;
                if (!_inner.TryRead(out ReadResult answer)) return false;
                if (!Consume(answer) && answer.IsCanceled)
                {
                    _emptyResult = true;
                    result = new ReadResult(ReadOnlySequence<byte>.Empty, isCanceled: true, isCompleted: false);
                    return true;
                }
            }

            return _inner.TryRead(out result);
        }

        // True once the echo was read. Failures are kept for this and every later read.
        private bool Consume(in ReadResult result)
        {
            ReadOnlySequence<byte> buffer = result.Buffer;
            Span<byte> scratch = stackalloc byte[MultistreamMessage.MaxEncodedLength];
            try
            {
                _dialer ??= CreateDialer();
                while (_dialer.State == MultistreamState.Open
                    && MultistreamMessage.TryRead(buffer, scratch, out ReadOnlySpan<byte> token, out int consumed))
                {
                    _dialer.Receive(token, Nowhere);
                    buffer = buffer.Slice(consumed);
                }

                _confirmed = _dialer.State == MultistreamState.Agreed;
                if (_dialer.State == MultistreamState.Refused) _failure = Multistream.Unsupported(_protocols);
                else if (!_confirmed && result.IsCompleted) _failure = Multistream.EndedEarly(_protocols);
            }
            catch (TransportException e)
            {
                _failure = e;
            }
            finally
            {
                _inner.AdvanceTo(buffer.Start, _confirmed || _failure is not null ? buffer.Start : buffer.End);
            }

            return _confirmed;
        }

        // The writer sends the same bytes; here only the checking half is used.
        private MultistreamDialer CreateDialer()
        {
            var dialer = new MultistreamDialer(_protocols);
            dialer.Begin(Nowhere);
            return dialer;
        }

        private static ArrayBufferWriter<byte> Nowhere => new(64);

        public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

        public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
        {
            if (_emptyResult) _emptyResult = false;
            else _inner.AdvanceTo(consumed, examined);
        }

        public override void CancelPendingRead() => _inner.CancelPendingRead();

        public override void Complete(Exception? exception = null) => _inner.Complete(exception);

        public override ValueTask CompleteAsync(Exception? exception = null) => _inner.CompleteAsync(exception);
    }
}
