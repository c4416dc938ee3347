using FastShare.Transport.Security;
using FastShare.Transport.Telemetry;

namespace FastShare.Testing.Multiplexing;

/// <summary>
/// One end of two connected <see cref="IByteChannel"/>s in memory. Uses every freedom of the contract against the multiplexer: written
/// memory is referred to until the flush completes, and calls that overlap or start above the batch size fail loudly.
/// </summary>
internal sealed class MemoryByteChannel : IByteChannel
{
    private readonly MemoryPipe _output;
    private readonly MemoryPipe _input;
    private readonly List<ReadOnlyMemory<byte>> _batch = [];
    private readonly byte[] _copies; // what the batch held when it was written, to notice memory that changed before the flush
    private readonly bool _checkChanges;
    private int _copied;
    private int _writing; // interlocked: 1 while the writing side is busy

    private MemoryByteChannel(MemoryPipe output, MemoryPipe input, int batchSize, bool checkChanges)
    {
        _output = output;
        _input = input;
        BatchSize = batchSize;
        _checkChanges = checkChanges;
        _copies = checkChanges ? new byte[batchSize + (256 << 10)] : [];
    }

    public int Pending { get; private set; }

    public ConnectionCounters Counters { get; private init; } = new(TimeProvider.System);

    public int BatchSize { get; }

    /// <summary>Whether this end was aborted.</summary>
    public bool IsAborted { get; private set; }

    /// <summary>Whether this end was disposed.</summary>
    public bool IsDisposed { get; private set; }

    /// <summary>Flushes of a batch with content.</summary>
    public int Flushes { get; private set; }

    /// <summary>When set, sees every piece of memory as it is written.</summary>
    public Action<ReadOnlyMemory<byte>>? OnWrite { get; set; }

    /// <summary>Two connected ends.</summary>
    /// <param name="capacity">Bytes each direction holds before a flush waits.</param>
    /// <param name="batchSize">What <see cref="IByteChannel.BatchSize"/> says.</param>
    /// <param name="maxRead">Most bytes that one read yields; 1 dribbles.</param>
    /// <param name="checkChanges">Whether to compare memory between write and flush.</param>
    /// <param name="counters">The left end's; null: one of its own.</param>
    public static (MemoryByteChannel Left, MemoryByteChannel Right) CreatePair(
        int capacity = 1 << 20, int batchSize = 256 << 10, int maxRead = int.MaxValue, bool checkChanges = true,
        ConnectionCounters? counters = null)
    {
        var toRight = new MemoryPipe(capacity, maxRead);
        var toLeft = new MemoryPipe(capacity, maxRead);
        return (
            new MemoryByteChannel(toRight, toLeft, batchSize, checkChanges)
            {
                Counters = counters ?? new ConnectionCounters(TimeProvider.System),
            },
            new MemoryByteChannel(toLeft, toRight, batchSize, checkChanges));
    }

    public ValueTask<int> ReadAsync(Memory<byte> destination, CancellationToken cancellationToken) =>
        destination.IsEmpty ? throw new InvalidOperationException("a read needs room") : _input.ReadAsync(destination);

    public void Write(ReadOnlyMemory<byte> data)
    {
        if (Interlocked.Exchange(ref _writing, 1) != 0) throw new InvalidOperationException("two writers at a time");
        if (Pending >= BatchSize) throw new InvalidOperationException("a write starts above the batch size");
        if (data.Length > 256 << 10) throw new InvalidOperationException("a write of more than 256 KiB");
        OnWrite?.Invoke(data);
        _batch.Add(data);
        Pending += data.Length;
        if (_checkChanges)
        {
            data.Span.CopyTo(_copies.AsSpan(_copied));
            _copied += data.Length;
        }

        Volatile.Write(ref _writing, 0);
    }

    public ValueTask FlushAsync(CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref _writing, 1) != 0) throw new InvalidOperationException("two writers at a time");
        if (_batch.Count > 0) Flushes++;
        int piece = 0;
        int sent = 0;
        while (piece < _batch.Count)
        {
            sent += _output.Write(_batch[piece].Span[sent..]);
            if (sent < _batch[piece].Length) return FlushRestAsync(piece, sent, cancellationToken);
            piece++;
            sent = 0;
        }

        EndFlush();
        return default;
    }

    private async ValueTask FlushRestAsync(int piece, int sent, CancellationToken cancellationToken)
    {
        for (; piece < _batch.Count; piece++, sent = 0)
        {
            while (true)
            {
                Task room = _output.Room;
                sent += _output.Write(_batch[piece].Span[sent..]);
                if (sent == _batch[piece].Length) break;
                await room.WaitAsync(cancellationToken);
            }
        }

        EndFlush();
    }

    private void EndFlush()
    {
        int offset = 0;
        foreach (ReadOnlyMemory<byte> piece in _batch)
        {
            if (_checkChanges && !piece.Span.SequenceEqual(_copies.AsSpan(offset, piece.Length)))
                throw new InvalidOperationException("memory changed between write and the end of the flush");
            offset += piece.Length;
        }

        _batch.Clear();
        _copied = 0;
        Pending = 0;
        Volatile.Write(ref _writing, 0);
    }

    public void CloseWrite() => _output.Finish();

    public void Abort()
    {
        IsAborted = true;
        _output.Break("the connection was aborted by the other end");
        _input.Break("the connection was aborted");
    }

    /// <summary>Ends both directions as a crash of the other side would.</summary>
    public void Break() => Abort();

    public ValueTask DisposeAsync()
    {
        IsDisposed = true;
        Abort();
        return default;
    }
}
