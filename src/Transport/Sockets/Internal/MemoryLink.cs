namespace FastShare.Transport.Sockets.Internal;

/// <summary>One direction of a memory connection: a bounded queue of bytes. One sender and one receiver at a time.</summary>
internal sealed class MemoryLink(int window)
{
    private readonly Lock _lock = new();
    private byte[] _ring = []; // everything below: _lock
    private int _head;
    private int _count;
    private bool _ended;
    private TransportException? _receiveFault;
    private TransportException? _sendFault;
    private TaskCompletionSource? _changed;

    public async ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Task change;
            lock (_lock)
            {
                if (_receiveFault is not null) throw Again(_receiveFault);
                if (_count > 0) return Take(buffer.Span);
                if (_ended) return 0;
                change = NextChange();
            }

            await change.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    public async ValueTask SendAsync(ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Task change;
            lock (_lock)
            {
                if (_sendFault is not null) throw Again(_sendFault);
                if (_ended) throw new TransportException(TransportError.ConnectionClosed, "could not send: this direction was ended");
                data = data[Put(data.Span)..];
                if (data.IsEmpty) return;
                change = NextChange();
            }

            await change.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>No more bytes will come.</summary>
    public void End()
    {
        lock (_lock)
        {
            _ended = true;
            Changed();
        }
    }

    /// <summary>The sending end is closed: its sends fail, the receiver gets what was sent and then the end.</summary>
    public void CloseSender(TransportException fault)
    {
        lock (_lock)
        {
            _sendFault ??= fault;
            _ended = true;
            Changed();
        }
    }

    /// <summary>The receiving end is closed: its receives fail, bytes on the way are lost, and so does the sender.</summary>
    public void CloseReceiver(TransportException receiveFault, TransportException sendFault)
    {
        lock (_lock)
        {
            _receiveFault ??= receiveFault;
            _sendFault ??= sendFault;
            _ring = [];
            _count = _head = 0;
            Changed();
        }
    }

    private static TransportException Again(TransportException fault) => new(fault.Error, fault.Message, fault);

    private Task NextChange() => (_changed ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;

    private void Changed()
    {
        _changed?.TrySetResult();
        _changed = null;
    }

    private int Take(Span<byte> destination)
    {
        int count = Math.Min(destination.Length, _count);
        int first = Math.Min(count, _ring.Length - _head);
        _ring.AsSpan(_head, first).CopyTo(destination);
        _ring.AsSpan(0, count - first).CopyTo(destination[first..]);
        _head = (_head + count) % _ring.Length;
        _count -= count;
        Changed();
        return count;
    }

    private int Put(ReadOnlySpan<byte> source)
    {
        int count = Math.Min(source.Length, window - _count);
        if (count == 0) return 0;
        Grow(_count + count);
        int tail = (_head + _count) % _ring.Length;
        int first = Math.Min(count, _ring.Length - tail);
        source[..first].CopyTo(_ring.AsSpan(tail));
        source[first..count].CopyTo(_ring);
        _count += count;
        Changed();
        return count;
    }

    // Idle connections of a test with a thousand peers should not hold a full window each.
    private void Grow(int needed)
    {
        if (needed <= _ring.Length) return;
        byte[] larger = new byte[Math.Min(window, Math.Max(4096, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)needed)))];
        int first = Math.Min(_count, _ring.Length - _head);
        _ring.AsSpan(_head, first).CopyTo(larger);
        _ring.AsSpan(0, _count - first).CopyTo(larger.AsSpan(first));
        _ring = larger;
        _head = 0;
    }
}
