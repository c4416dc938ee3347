using System.Buffers;
using System.Diagnostics;
using System.IO.Pipelines;
using System.Runtime.InteropServices;
using System.Threading.Tasks.Sources;

namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>
/// The sending direction of a stream. A write hands the application's own memory to the frame writer, slice by slice as credit and
/// the other streams allow, and completes once the channel has flushed the last of them; nothing is copied and nothing allocated.
/// Small writes gather in pooled blocks and go the same way when they are flushed.
/// </summary>
/// <remarks>
/// Cancelling a write waits for slices that are in the batch being flushed, because they refer to the caller's memory. If a part
/// of a <see cref="WriteAsync"/> had been sent, its rest is missing from the stream, so the stream cannot end properly any more:
/// further writes fail and <see cref="Complete"/> resets it. A cancelled flush of gathered bytes keeps the unsent ones for the next.
/// While no write is active the blocks belong to the application's one writer; everything else is guarded by the connection's gate.
/// </remarks>
internal sealed class StreamOutput(YamuxStream stream, YamuxConnection connection) : PipeWriter, IValueTaskSource<FlushResult>
{
    private const int SmallBlock = 4 << 10;
    private const int LargeBlock = 64 << 10;

    // Filled in place by the application, emptied by the frame writer while a write is active.
    private readonly List<Block> _blocks = [];
    private int _sentBlocks; // how many of them were taken entirely
    private int _gathered; // bytes in the blocks that were not taken

    private ReadOnlyMemory<byte> _direct; // what is left of the application's memory; goes behind the blocks
    private bool _directBegun; // a part of it was taken
    private bool _active; // a write is under way
    private bool _awaited; // and its caller waits for it
    private bool _inBatch; // slices of it are in the batch that the channel has not flushed yet
    private Exception? _abandoned; // how it ends once that batch is flushed
    private bool _cancelAbandoned; // or it ends as cancelled by CancelPendingFlush
    private bool _cancelNext;
    private bool _torn; // a cancelled write left a gap
    private bool _completed; // by the application
    private TransportException? _failure;

    private ManualResetValueTaskSourceCore<FlushResult> _wait = new() { RunContinuationsAsynchronously = true };
    private CancellationTokenRegistration _cancellation; // the writing caller's alone

    public override bool CanGetUnflushedBytes => true;

    public override long UnflushedBytes => _gathered;

    /// <summary>Bytes of the active write that no frame has taken. Gate held.</summary>
    internal long Remaining => _active && _abandoned is null && !_cancelAbandoned ? _gathered + _direct.Length : 0;

    /// <summary>Whether everything written was taken, so that the end may follow. Gate held.</summary>
    internal bool IsDrained => _gathered == 0 && _direct.IsEmpty;

    /// <summary>Whether the application has completed this direction. Gate held.</summary>
    internal bool IsCompleted => _completed;

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(sizeHint);
        if (_completed) throw new InvalidOperationException("the writer was completed");
        if (_active) throw new InvalidOperationException("a write is under way; await it first");
        if (_blocks.Count == 0 || _blocks[^1].Free.Length < Math.Max(1, sizeHint))
        {
            int size = Math.Max(sizeHint, _blocks.Count == 0 ? SmallBlock : LargeBlock);
            _blocks.Add(new Block(connection.Options.Pool.Rent(size)));
        }

        return _blocks[^1].Free;
    }

    public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    public override void Advance(int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        if (bytes == 0) return;
        if (_blocks.Count == 0 || bytes > _blocks[^1].Free.Length)
            throw new InvalidOperationException("advanced beyond the memory that was handed out");
        CollectionsMarshal.AsSpan(_blocks)[^1].End += bytes;
        _gathered += bytes;
    }

    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default) => Submit(default, cancellationToken);

    public override ValueTask<FlushResult> WriteAsync(ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default) =>
        Submit(source, cancellationToken);

    public override void CancelPendingFlush()
    {
        lock (connection.Gate)
        {
            if (!_active || !_awaited)
            {
                _cancelNext = true;
            }
            else if (_inBatch)
            {
                _cancelAbandoned = true;
            }
            else
            {
                EndAbandoned();
                _wait.SetResult(new FlushResult(isCanceled: true, isCompleted: false));
            }
        }
    }

    public override void Complete(Exception? exception = null)
    {
        lock (connection.Gate)
        {
            if (_completed) return;
            _completed = true;
            if (exception is not null || _torn)
            {
                stream.ResetLocked();
            }
            else if (_failure is null)
            {
                if (!_active && _gathered > 0)
                {
                    _active = true;
                    _awaited = false;
                }

                stream.EndOutput();
            }

            if (!_active) ReleaseBlocks();
            stream.OnOutputCompleted();
        }
    }

    /// <summary>
    /// Takes the next bytes to send, at most <paramref name="limit"/>; the memory stays unchanged until
    /// <see cref="OnFlushed"/>. Gate held.
    /// </summary>
    /// <returns>Whether this output is new to the batch and wants <see cref="OnFlushed"/>.</returns>
    internal bool Take(int limit, out ReadOnlyMemory<byte> slice)
    {
        if (_sentBlocks < _blocks.Count)
        {
            ref Block block = ref CollectionsMarshal.AsSpan(_blocks)[_sentBlocks];
            int count = Math.Min(limit, block.End - block.Start);
            slice = block.Owner.Memory.Slice(block.Start, count);
            block.Start += count;
            if (block.Start == block.End) _sentBlocks++;
            _gathered -= count;
        }
        else
        {
            int count = Math.Min(limit, _direct.Length);
            slice = _direct[..count];
            _direct = _direct[count..];
            _directBegun = true;
        }

        bool first = !_inBatch;
        _inBatch = true;
        return first;
    }

    /// <summary>The batch with the slices taken so far was flushed (or never will be: the connection is over). Gate held.</summary>
    internal void OnFlushed()
    {
        _inBatch = false;
        Debug.Assert(_active, "a batch refers to a write that has ended");
        if (_gathered == 0 && _direct.IsEmpty && _abandoned is not TransportException)
        {
            // All of it was sent: a cancellation came too late.
            _abandoned = null;
            _cancelAbandoned = false;
            EndWrite();
            if (_awaited) _wait.SetResult(default);
        }
        else if (_abandoned is { } cause)
        {
            EndAbandoned();
            if (_awaited) _wait.SetException(cause);
        }
        else if (_cancelAbandoned)
        {
            EndAbandoned();
            if (_awaited) _wait.SetResult(new FlushResult(isCanceled: true, isCompleted: false));
        }
    }

    /// <summary>Nothing can be sent any more. Gate held.</summary>
    internal void Fail(TransportException failure)
    {
        if (_failure is not null) return;
        _failure = failure;
        if (!_active) return;
        if (_inBatch)
        {
            _abandoned = failure.Again();
            return;
        }

        EndAbandoned();
        if (_awaited) _wait.SetException(failure.Again());
    }

    FlushResult IValueTaskSource<FlushResult>.GetResult(short token)
    {
        try
        {
            return _wait.GetResult(token);
        }
        finally
        {
            _cancellation.Dispose(); // waits for a callback that is running, so none reaches the next write
            _cancellation = default;
        }
    }

    ValueTaskSourceStatus IValueTaskSource<FlushResult>.GetStatus(short token) => _wait.GetStatus(token);

    void IValueTaskSource<FlushResult>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _wait.OnCompleted(continuation, state, token, flags);

    private ValueTask<FlushResult> Submit(ReadOnlyMemory<byte> source, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested) return ValueTask.FromCanceled<FlushResult>(cancellationToken);
        short version;
        lock (connection.Gate)
        {
            if (_completed) throw new InvalidOperationException("the writer was completed");
            if (_active) throw new InvalidOperationException("a write is already under way; await it first");
            if (_failure is not null) return ValueTask.FromException<FlushResult>(_failure.Again());
            if (_torn)
            {
                return ValueTask.FromException<FlushResult>(new TransportException(
                    TransportError.InvalidOperation, $"an earlier write to stream {stream.Id} was cancelled half-way; reset the stream"));
            }

            if (_cancelNext)
            {
                _cancelNext = false;
                return new ValueTask<FlushResult>(new FlushResult(isCanceled: true, isCompleted: false));
            }

            if (_gathered == 0 && source.IsEmpty) return default;
            if (connection.IsClosing) return ValueTask.FromException<FlushResult>(YamuxFaults.ConnectionOver(null, aborted: false));
            _direct = source;
            _directBegun = false;
            _active = _awaited = true;
            _wait.Reset();
            version = _wait.Version;
            stream.ScheduleData();
        }

        if (cancellationToken.CanBeCanceled)
        {
            _cancellation = cancellationToken.UnsafeRegister(
                static (output, token) => ((StreamOutput)output!).OnCancelled(token), this);
        }

        return new ValueTask<FlushResult>(this, version);
    }

    private void OnCancelled(CancellationToken token)
    {
        lock (connection.Gate)
        {
            if (!_active || !_awaited) return;
            if (_inBatch)
            {
                _abandoned ??= new OperationCanceledException(token);
                return;
            }

            EndAbandoned();
            _wait.SetException(new OperationCanceledException(token));
        }
    }

    /// <summary>Ends a write whose last byte was flushed.</summary>
    private void EndWrite()
    {
        ReleaseBlocks();
        _active = false;
    }

    /// <summary>Ends a write before its last byte was taken: the application's memory is let go, gathered bytes are kept.</summary>
    private void EndAbandoned()
    {
        _abandoned = null;
        _cancelAbandoned = false;
        if (_directBegun && !_direct.IsEmpty) _torn = true;
        _direct = default;
        _active = false;
        stream.NoteStarvation();
        if (_failure is not null || _completed)
        {
            ReleaseBlocks();
            if (_failure is null) stream.ResetLocked(); // the end was announced behind bytes that will never be sent
            return;
        }

        for (int i = 0; i < _sentBlocks; i++) _blocks[i].Owner.Dispose();
        _blocks.RemoveRange(0, _sentBlocks);
        _sentBlocks = 0;
    }

    private void ReleaseBlocks()
    {
        foreach (Block block in _blocks) block.Owner.Dispose();
        _blocks.Clear();
        _sentBlocks = 0;
        _gathered = 0;
    }

    /// <summary>A pooled block; bytes from <see cref="Start"/> to <see cref="End"/> are to be sent.</summary>
    private struct Block(IMemoryOwner<byte> owner)
    {
        public readonly IMemoryOwner<byte> Owner = owner;
        public int Start;
        public int End;

        public readonly Memory<byte> Free => Owner.Memory[End..];
    }
}
