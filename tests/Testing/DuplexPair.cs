using FastShare.Transport;
using FastShare.Transport.Identity;
using FastShare.Transport.Sockets;

namespace FastShare.Testing;

/// <summary>
/// Two connected <see cref="IDuplexConnection"/>s in memory. Calls complete synchronously whenever they can and then allocate
/// nothing; a full direction makes the sender wait.
/// </summary>
public static class DuplexPair
{
    private static readonly Multiaddr LeftAddress = Multiaddr.Parse("/ip4/127.0.0.1/tcp/1001");
    private static readonly Multiaddr RightAddress = Multiaddr.Parse("/ip4/127.0.0.1/tcp/1002");

    /// <summary>Makes a pair.</summary>
    /// <param name="capacity">Bytes that each direction holds before its sender waits.</param>
    /// <param name="maxReceive">Most bytes that one receive yields; 1 dribbles.</param>
    public static (MemoryConnection Left, MemoryConnection Right) Create(int capacity = 4 << 20, int maxReceive = int.MaxValue)
    {
        var toRight = new MemoryDirection(capacity, maxReceive);
        var toLeft = new MemoryDirection(capacity, maxReceive);
        var left = new MemoryConnection(toRight, toLeft, LeftAddress, RightAddress);
        var right = new MemoryConnection(toLeft, toRight, RightAddress, LeftAddress);
        return (left, right);
    }
}

/// <summary>One end of a <see cref="DuplexPair"/>.</summary>
public sealed class MemoryConnection : IDuplexConnection
{
    private readonly MemoryDirection _output;
    private readonly MemoryDirection _input;

    internal MemoryConnection(MemoryDirection output, MemoryDirection input, Multiaddr local, Multiaddr remote)
    {
        _output = output;
        _input = input;
        LocalAddress = local;
        RemoteAddress = remote;
    }

    /// <inheritdoc/>
    public Multiaddr LocalAddress { get; }

    /// <inheritdoc/>
    public Multiaddr RemoteAddress { get; }

    /// <summary>Whether <see cref="Abort"/> was called on this end.</summary>
    public bool IsAborted { get; private set; }

    /// <summary>Whether this end was disposed.</summary>
    public bool IsDisposed { get; private set; }

    /// <summary>Send calls made so far.</summary>
    public int Sends { get; private set; }

    /// <summary>Sizes of the buffers that receives were called with, oldest first.</summary>
    public List<int> ReceiveSizes { get; } = [];

    /// <summary>Whether <see cref="ReceiveSizes"/> is kept (it allocates).</summary>
    public bool RecordReceives { get; set; }

    /// <inheritdoc/>
    public ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (RecordReceives) ReceiveSizes.Add(buffer.Length);
        return _input.TryRead(buffer.Span, out int count) ? new ValueTask<int>(count) : WaitAsync(buffer, cancellationToken);
    }

    private async ValueTask<int> WaitAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task changed = _input.Changed;
            if (_input.TryRead(buffer.Span, out int count)) return count;
            await changed.WaitAsync(cancellationToken);
        }
    }

    /// <inheritdoc/>
    public ValueTask SendAsync(ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        Sends++;
        int sent = _output.Write(data.Span);
        return sent == data.Length ? default : SendRestAsync(data[sent..], cancellationToken);
    }

    private async ValueTask SendRestAsync(ReadOnlyMemory<byte> rest, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task changed = _output.Changed;
            rest = rest[_output.Write(rest.Span)..];
            if (rest.IsEmpty) return;
            await changed.WaitAsync(cancellationToken);
        }
    }

    /// <inheritdoc/>
    public ValueTask SendAsync(IReadOnlyList<ReadOnlyMemory<byte>> segments, CancellationToken cancellationToken)
    {
        Sends++;
        for (int i = 0; i < segments.Count; i++)
        {
            int sent = _output.Write(segments[i].Span);
            if (sent != segments[i].Length) return SendSegmentsAsync(segments, i, sent, cancellationToken);
        }

        return default;
    }

    private async ValueTask SendSegmentsAsync(
        IReadOnlyList<ReadOnlyMemory<byte>> segments, int index, int sent, CancellationToken cancellationToken)
    {
        await SendRestAsync(segments[index][sent..], cancellationToken);
        for (int i = index + 1; i < segments.Count; i++) await SendRestAsync(segments[i], cancellationToken);
    }

    /// <inheritdoc/>
    public void CloseWrite() => _output.Finish();

    /// <inheritdoc/>
    public void Abort()
    {
        IsAborted = true;
        _output.Break();
        _input.Break();
    }

    /// <summary>As closing a socket: what was sent still arrives, then the end; what the other side sends from now on fails.</summary>
    public ValueTask DisposeAsync()
    {
        IsDisposed = true;
        _output.Finish();
        _input.Break();
        return default;
    }
}

/// <summary>One direction of a <see cref="DuplexPair"/>: a bounded ring of bytes. Thread-safe.</summary>
internal sealed class MemoryDirection(int capacity, int maxReceive)
{
    private readonly Lock _lock = new();
    private byte[] _ring = new byte[Math.Min(capacity, 64 << 10)]; // guarded by _lock, as all below
    private int _head;
    private int _count;
    private bool _broken;
    private TaskCompletionSource? _changed;

    public bool IsFinished { get; private set; }

    /// <summary>Completes at the next change. Take it before trying, then try, then await it.</summary>
    public Task Changed
    {
        get
        {
            lock (_lock) return (_changed ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        }
    }

    public bool TryRead(Span<byte> destination, out int count)
    {
        lock (_lock)
        {
            count = 0;
            if (_broken) throw new TransportException(TransportError.ConnectionReset, "the in-memory connection was aborted");
            if (_count == 0) return IsFinished;
            count = Math.Min(Math.Min(destination.Length, maxReceive), _count);
            int first = Math.Min(count, _ring.Length - _head);
            _ring.AsSpan(_head, first).CopyTo(destination);
            _ring.AsSpan(0, count - first).CopyTo(destination[first..]);
            _head = (_head + count) % _ring.Length;
            _count -= count;
            Signal();
            return true;
        }
    }

    /// <summary>Takes as many bytes as there is room for and returns how many.</summary>
    public int Write(ReadOnlySpan<byte> data)
    {
        lock (_lock)
        {
            if (_broken) throw new TransportException(TransportError.ConnectionReset, "the in-memory connection was aborted");
            if (IsFinished) throw new TransportException(TransportError.InvalidOperation, "the sending direction was closed");
            int count = Math.Min(data.Length, capacity - _count);
            if (count == 0) return 0; // no change: signalling one would make senders spin
            if (_count + count > _ring.Length) Grow(_count + count);
            int tail = (_head + _count) % _ring.Length;
            int first = Math.Min(count, _ring.Length - tail);
            data[..first].CopyTo(_ring.AsSpan(tail));
            data[first..count].CopyTo(_ring);
            _count += count;
            Signal();
            return count;
        }
    }

    public void Finish()
    {
        lock (_lock)
        {
            IsFinished = true;
            Signal();
        }
    }

    public void Break()
    {
        lock (_lock)
        {
            _broken = true;
            Signal();
        }
    }

    private void Grow(int needed)
    {
        byte[] larger = new byte[Math.Min(capacity, Math.Max(needed, _ring.Length * 2))];
        int first = Math.Min(_count, _ring.Length - _head);
        _ring.AsSpan(_head, first).CopyTo(larger);
        _ring.AsSpan(0, _count - first).CopyTo(larger.AsSpan(first));
        _ring = larger;
        _head = 0;
    }

    private void Signal()
    {
        TaskCompletionSource? changed = _changed;
        _changed = null;
        changed?.SetResult();
    }
}
