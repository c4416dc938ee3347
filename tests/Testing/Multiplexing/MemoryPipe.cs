using System.Threading.Tasks.Sources;
using FastShare.Transport;

namespace FastShare.Testing.Multiplexing;

/// <summary>
/// One direction of bytes with bounded room: one reader, one writer. Reads allocate nothing, neither do writes that find room, so
/// tests can measure what the code under test allocates.
/// </summary>
internal sealed class MemoryPipe(int capacity, int maxRead) : IValueTaskSource<int>
{
    private readonly Lock _sync = new();
    private readonly byte[] _ring = new byte[capacity];
    private ManualResetValueTaskSourceCore<int> _read = new() { RunContinuationsAsynchronously = true };
    private Memory<byte> _destination; // of the pending read; empty: there is none
    private TaskCompletionSource? _room;
    private int _start;
    private int _count;
    private bool _finished;
    private string? _broken;

    /// <summary>Completes when a writer should try again. Take it before the attempt that it follows.</summary>
    public Task Room
    {
        get
        {
            lock (_sync) return (_room ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        }
    }

    public ValueTask<int> ReadAsync(Memory<byte> destination)
    {
        lock (_sync)
        {
            if (!_destination.IsEmpty) throw new InvalidOperationException("two reads at a time");
            if (_count > 0) return new ValueTask<int>(Take(destination.Span));
            if (_finished) return new ValueTask<int>(0);
            if (_broken is not null) return ValueTask.FromException<int>(Broken());
            _destination = destination;
            _read.Reset();
            return new ValueTask<int>(this, _read.Version);
        }
    }

    /// <summary>Writes what there is room for, and returns how much that was.</summary>
    public int Write(ReadOnlySpan<byte> data)
    {
        lock (_sync)
        {
            int written = 0;
            while (true)
            {
                if (_broken is not null) throw Broken();
                if (_finished) throw new InvalidOperationException("a write after the end");
                int count = Put(data[written..]);
                written += count;
                if (_count > 0 && !_destination.IsEmpty)
                {
                    int taken = Take(_destination.Span);
                    _destination = default;
                    _read.SetResult(taken);
                }

                if (count == 0 || written == data.Length) return written;
            }
        }
    }

    /// <summary>The writer has ended: the reader sees what is left, then the end.</summary>
    public void Finish()
    {
        lock (_sync)
        {
            if (_broken is not null) return;
            _finished = true;
            if (_destination.IsEmpty) return;
            _destination = default;
            _read.SetResult(0);
        }
    }

    /// <summary>Both ends fail; bytes in flight are lost, unless the writer had finished before.</summary>
    public void Break(string message)
    {
        lock (_sync)
        {
            _broken ??= message;
            if (!_finished) _count = 0;
            _room?.TrySetResult();
            if (_destination.IsEmpty) return;
            _destination = default;
            _read.SetException(Broken());
        }
    }

    int IValueTaskSource<int>.GetResult(short token) => _read.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<int>.GetStatus(short token) => _read.GetStatus(token);

    void IValueTaskSource<int>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _read.OnCompleted(continuation, state, token, flags);

    private int Put(ReadOnlySpan<byte> data)
    {
        int end = (_start + _count) % capacity;
        int count = Math.Min(data.Length, Math.Min(capacity - _count, capacity - end));
        data[..count].CopyTo(_ring.AsSpan(end));
        _count += count;
        return count;
    }

    private int Take(Span<byte> destination)
    {
        int count = Math.Min(Math.Min(destination.Length, maxRead), Math.Min(_count, capacity - _start));
        _ring.AsSpan(_start, count).CopyTo(destination);
        _start = (_start + count) % capacity;
        _count -= count;
        _room?.TrySetResult();
        _room = null;
        return count;
    }

    private TransportException Broken() => new(TransportError.ConnectionReset, _broken!);
}
