using System.Buffers;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using FastShare.Transport.Buffers;
using FastShare.Transport.Sockets;
using FastShare.Transport.Telemetry;

namespace FastShare.Transport.Security.Internal;

/// <summary>
/// A connection's bytes as they are: buffers small reads, gathers small writes. Security protocols stand on it; with
/// <see cref="SecurityMode.InsecurePlaintext"/> the multiplexer does so directly.
/// </summary>
internal sealed class PlainChannel(IDuplexConnection connection, BlockPool? pool = null, TimeProvider? time = null) : IByteChannel
{
    /// <summary>
    /// From this size on, bytes are received straight into the caller's memory: a page costs less to receive by itself than to
    /// copy, and whoever waits with a page of his own makes an idle connection hold no block here.
    /// </summary>
    internal const int DirectRead = 4 << 10;

    /// <summary>Writes up to this size are copied together rather than given to the system as segments of their own.</summary>
    internal const int SmallWrite = 4 << 10;

    private const int BlockLength = 64 << 10;

    private readonly BlockPool _pool = pool ?? BlockPool.Shared;

    private DirectionGate _reads;
    private IMemoryOwner<byte>? _readOwner; // all _read… by the reader inside _reads
    private Memory<byte> _readBlock;
    private int _readStart;
    private int _readEnd;

    private DirectionGate _writes;
    private readonly List<ReadOnlyMemory<byte>> _segments = []; // this and all _write… by the writer inside _writes
    private IMemoryOwner<byte>? _writeOwner;
    private Memory<byte> _writeBlock;
    private int _writeUsed;
    private int _runStart; // where the last segment starts in _writeBlock, if it may grow; else -1
    private bool _writeFailed;

    private int _disposed; // interlocked

    /// <inheritdoc/>
    public ConnectionCounters Counters { get; } = new(time ?? TimeProvider.System);

    /// <inheritdoc/>
    public int Pending { get; private set; }

    /// <inheritdoc/>
    public int BatchSize => 256 << 10;

    /// <inheritdoc/>
    public ValueTask<int> ReadAsync(Memory<byte> destination, CancellationToken cancellationToken)
    {
        Debug.Assert(!destination.IsEmpty, "a read needs room");
        _reads.Enter();
        if (_readStart < _readEnd)
        {
            int served = Serve(destination.Span);
            ExitRead();
            return new ValueTask<int>(served);
        }

        ValueTask<int> received;
        bool direct = destination.Length >= DirectRead;
        long start;
        try
        {
            PrepareReadBlock(direct);
            Memory<byte> memory = direct ? destination : _readBlock;
            start = Counters.Begin(memory.Length);
            received = connection.ReceiveAsync(memory, cancellationToken);
        }
        catch (Exception e)
        {
            ExitRead();
            return ValueTask.FromException<int>(e);
        }

        // No state machine for what completes at once.
        if (!received.IsCompletedSuccessfully) return AwaitReceivedAsync(received, destination, direct);
        int count = received.Result;
        Counters.Add(ConnectionStage.Receive, start, count);
        int result = Deliver(count, destination.Span, direct);
        ExitRead();
        return new ValueTask<int>(result);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<int> AwaitReceivedAsync(ValueTask<int> received, Memory<byte> destination, bool direct)
    {
        Counters.BeginWait(ConnectionStage.ReceiveWait);
        try
        {
            int count = await received.ConfigureAwait(false);
            Counters.Add(ConnectionStage.Receive, 0, count);
            return Deliver(count, destination.Span, direct);
        }
        finally
        {
            Counters.EndWait(ConnectionStage.ReceiveWait);
            ExitRead();
        }
    }

    private void PrepareReadBlock(bool direct)
    {
        if (direct)
        {
            ReleaseReadBlock();
        }
        else if (_readOwner is null)
        {
            _readOwner = _pool.Rent(BlockLength);
            _readBlock = _readOwner.Memory;
        }
    }

    private int Deliver(int received, Span<byte> destination, bool direct)
    {
        if (direct) return received;
        _readStart = 0;
        _readEnd = received;
        return Serve(destination);
    }

    private int Serve(Span<byte> destination)
    {
        int count = Math.Min(destination.Length, _readEnd - _readStart);
        _readBlock.Span.Slice(_readStart, count).CopyTo(destination);
        _readStart += count;
        return count;
    }

    private void ExitRead()
    {
        if (_reads.Exit()) ReleaseReadBlock();
    }

    private void ReleaseReadBlock()
    {
        _readOwner?.Dispose();
        _readOwner = null;
        _readBlock = default;
        _readStart = _readEnd = 0;
    }

    /// <inheritdoc/>
    public void Write(ReadOnlyMemory<byte> data)
    {
        if (data.IsEmpty) return;
        _writes.Enter();
        try
        {
            ThrowIfWriteFailed();
            // A lone segment needs no gathering, so the first is never copied.
            if (data.Length > SmallWrite || _segments.Count == 0 || !TryAppendCopy(data)) AppendReference(data);
            Pending += data.Length;
        }
        finally
        {
            ExitWrite();
        }
    }

    private void AppendReference(ReadOnlyMemory<byte> data)
    {
        _segments.Add(data);
        _runStart = -1;
    }

    // False if the block is full: then the piece is referenced, which the contract allows.
    private bool TryAppendCopy(ReadOnlyMemory<byte> data)
    {
        if (_writeOwner is null)
        {
            _writeOwner = _pool.Rent(BlockLength);
            _writeBlock = _writeOwner.Memory;
            _writeUsed = 0;
        }

        if (_writeBlock.Length - _writeUsed < data.Length) return false;
        data.CopyTo(_writeBlock[_writeUsed..]);
        if (_runStart < 0)
        {
            _runStart = _writeUsed;
            _segments.Add(default);
        }

        _writeUsed += data.Length;
        _segments[^1] = _writeBlock[_runStart.._writeUsed];
        return true;
    }

    /// <inheritdoc/>
    public ValueTask FlushAsync(CancellationToken cancellationToken)
    {
        _writes.Enter();
        if (_segments.Count == 0 && !_writeFailed)
        {
            ExitWrite();
            return default;
        }

        ValueTask sent;
        long start = Counters.Begin(Pending);
        try
        {
            ThrowIfWriteFailed();
            // Until it succeeds: after a send that failed or was cancelled nobody knows how much the peer got.
            _writeFailed = true;
            sent = _segments.Count == 1
                ? connection.SendAsync(_segments[0], cancellationToken)
                : connection.SendAsync(_segments, cancellationToken);
        }
        catch (Exception e)
        {
            ReleaseWriteBlock();
            ExitWrite();
            return ValueTask.FromException(e);
        }

        Counters.Add(ConnectionStage.Send, start, Pending);
        if (!sent.IsCompletedSuccessfully) return AwaitSentAsync(sent);
        sent.GetAwaiter().GetResult();
        EndSend();
        return default;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask AwaitSentAsync(ValueTask sent)
    {
        Counters.BeginWait(ConnectionStage.SendWait);
        try
        {
            await sent.ConfigureAwait(false);
        }
        catch
        {
            ReleaseWriteBlock();
            ExitWrite();
            throw;
        }
        finally
        {
            Counters.EndWait(ConnectionStage.SendWait);
        }

        EndSend();
    }

    private void EndSend()
    {
        _writeFailed = false;
        ReleaseWriteBlock();
        ExitWrite();
    }

    private void ThrowIfWriteFailed()
    {
        if (_writeFailed) throw new TransportException(TransportError.ConnectionClosed, "an earlier write to the connection failed");
    }

    private void ExitWrite()
    {
        if (_writes.Exit()) ReleaseWriteBlock();
    }

    private void ReleaseWriteBlock()
    {
        _segments.Clear();
        Pending = 0;
        _runStart = -1;
        _writeOwner?.Dispose();
        _writeOwner = null;
        _writeBlock = default;
    }

    /// <inheritdoc/>
    public void CloseWrite() => connection.CloseWrite();

    /// <inheritdoc/>
    public void Abort() => connection.Abort();

    /// <summary>Ends both directions; calls inside fail. Disposes the connection.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        if (_reads.Close()) ReleaseReadBlock();
        if (_writes.Close()) ReleaseWriteBlock();
        await connection.DisposeAsync().ConfigureAwait(false);
    }
}
