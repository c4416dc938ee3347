using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Sockets.Internal;

/// <summary>
/// A TCP connection. Both directions try a non-blocking call first and wait for the kernel only when it has nothing (or no
/// room): draining a ready socket with plain calls costs about half the CPU of completing every read asynchronously.
/// </summary>
internal sealed class TcpConnection : IDuplexConnection
{
    // The framework pins up to this many segments on the stack; more would allocate per call. With 64 KiB frames and their
    // headers that is 256 KiB per system call, where the cost per byte has levelled off.
    private const int MaxGather = 8;

    // A dead peer shows after 30 s + 3 × 10 s even if nothing above probes it.
    private const int KeepAliveSeconds = 30, KeepAliveInterval = 10, KeepAliveProbes = 3;

    private readonly Socket _socket; // non-blocking; calls of different directions and disposal are independent
    private readonly List<ArraySegment<byte>> _gather = new(MaxGather); // the one sender's
    private int _aborted; // 0 or 1; interlocked

    private TcpConnection(Socket socket, LinuxTcpTuning tuning, Multiaddr local, Multiaddr remote)
    {
        _socket = socket;
        Tuning = tuning;
        LocalAddress = local;
        RemoteAddress = remote;
    }

    /// <summary>The kernel's options and measurements of this connection.</summary>
    public ISocketTuning Tuning { get; }

    public Multiaddr LocalAddress { get; }

    public Multiaddr RemoteAddress { get; }

    /// <summary>Takes over a connected socket.</summary>
    /// <exception cref="SocketException">The connection is already gone.</exception>
    public static TcpConnection Take(Socket socket)
    {
        socket.NoDelay = true; // small frames of the multiplexer must not wait for acknowledgements
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, KeepAliveSeconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, KeepAliveInterval);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, KeepAliveProbes);
        socket.Blocking = false;
        if (socket.LocalEndPoint is not IPEndPoint local || socket.RemoteEndPoint is not IPEndPoint remote)
            throw new SocketException((int)SocketError.NotConnected);
        var tuning = new LinuxTcpTuning(socket);
        tuning.LeavePacingIfNear();
        return new TcpConnection(socket, tuning, Multiaddr.FromTcp(local), Multiaddr.FromTcp(remote));
    }

    public ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested) return ValueTask.FromCanceled<int>(cancellationToken);
        if (buffer.IsEmpty) throw new ArgumentException("receiving needs a buffer", nameof(buffer));
        try
        {
            return TryReceive(buffer.Span, out int count) ? new ValueTask<int>(count) : WaitAndReceiveAsync(buffer, cancellationToken);
        }
        catch (TransportException e)
        {
            return ValueTask.FromException<int>(e);
        }
    }

    public ValueTask SendAsync(ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested) return ValueTask.FromCanceled(cancellationToken);
        if (data.IsEmpty) return default;
        try
        {
            int sent = TrySend(data.Span);
            return sent == data.Length ? default : SendRestAsync(data[sent..], cancellationToken);
        }
        catch (TransportException e)
        {
            return ValueTask.FromException(e);
        }
    }

    public ValueTask SendAsync(IReadOnlyList<ReadOnlyMemory<byte>> segments, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested) return ValueTask.FromCanceled(cancellationToken);
        try
        {
            return TryGather(segments, 0, out int index, out int offset)
                ? default
                : SendRestAsync(segments, index, offset, cancellationToken);
        }
        catch (TransportException e)
        {
            return ValueTask.FromException(e);
        }
    }

    public void CloseWrite()
    {
        try
        {
            _socket.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Already gone: the other direction reports why.
        }
    }

    public void Abort()
    {
        if (Interlocked.Exchange(ref _aborted, 1) != 0) return;
        // FIN first: bytes already given to the kernel still reach the remote side, unless it has sent bytes that were never read.
        CloseWrite();
        _socket.Dispose();
    }

    public ValueTask DisposeAsync()
    {
        Abort();
        return default;
    }

    // False: nothing there yet.
    private bool TryReceive(Span<byte> buffer, out int count)
    {
        SocketError error;
        try
        {
            count = _socket.Receive(buffer, SocketFlags.None, out error);
        }
        catch (ObjectDisposedException)
        {
            throw SocketErrors.Closed($"receive from {RemoteAddress}");
        }

        if (error == SocketError.WouldBlock) return false;
        if (error != SocketError.Success) throw Fault(error, "receive from");
        // Closing a socket wakes its reader with 0, as if the remote side had finished.
        if (count == 0 && Volatile.Read(ref _aborted) != 0) throw SocketErrors.Closed($"receive from {RemoteAddress}");
        return true;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<int> WaitAndReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                // Readiness only; the bytes are taken by the non-blocking call.
                await _socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None, cancellationToken).ConfigureAwait(false);
            }
            catch (SocketException e)
            {
                throw Fault(e.SocketErrorCode, "receive from", e);
            }
            catch (ObjectDisposedException)
            {
                throw SocketErrors.Closed($"receive from {RemoteAddress}");
            }

            if (TryReceive(buffer.Span, out int count)) return count;
        }
    }

    // Bytes taken by the kernel at once; 0 if it has no room.
    private int TrySend(ReadOnlySpan<byte> data)
    {
        int sent;
        SocketError error;
        try
        {
            sent = _socket.Send(data, SocketFlags.None, out error);
        }
        catch (ObjectDisposedException)
        {
            throw SocketErrors.Closed($"send to {RemoteAddress}");
        }

        if (error == SocketError.WouldBlock) return 0;
        return error == SocketError.Success ? sent : throw Fault(error, "send to");
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask SendRestAsync(ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        while (!data.IsEmpty)
        {
            try
            {
                int sent = await _socket.SendAsync(data, SocketFlags.None, cancellationToken).ConfigureAwait(false);
                data = data[sent..];
            }
            catch (SocketException e)
            {
                throw Fault(e.SocketErrorCode, "send to", e);
            }
            catch (ObjectDisposedException)
            {
                throw SocketErrors.Closed($"send to {RemoteAddress}");
            }
        }
    }

    // Sends from segment `index` on until all are sent (true) or the kernel has no room (false, and the position it got to).
    private bool TryGather(IReadOnlyList<ReadOnlyMemory<byte>> segments, int start, out int index, out int offset)
    {
        index = start;
        offset = 0;
        while (index < segments.Count)
        {
            _gather.Clear();
            int next = index;
            long wanted = 0;
            while (next < segments.Count && _gather.Count < MaxGather
                && MemoryMarshal.TryGetArray(segments[next], out ArraySegment<byte> segment))
            {
                if (segment.Count > 0) _gather.Add(segment);
                wanted += segment.Count;
                next++;
            }

            if (next == index) // not backed by an array
            {
                offset = TrySend(segments[index].Span);
                if (offset < segments[index].Length) return false;
                offset = 0;
                index++;
                continue;
            }

            long sent = _gather.Count == 0 ? 0 : TrySendGathered();
            if (sent < wanted)
            {
                while (sent >= segments[index].Length) sent -= segments[index++].Length;
                offset = (int)sent;
                return false;
            }

            index = next;
        }

        return true;
    }

    private int TrySendGathered()
    {
        int sent;
        SocketError error;
        try
        {
            sent = _socket.Send(_gather, SocketFlags.None, out error);
        }
        catch (ObjectDisposedException)
        {
            throw SocketErrors.Closed($"send to {RemoteAddress}");
        }

        if (error == SocketError.WouldBlock) return 0;
        return error == SocketError.Success ? sent : throw Fault(error, "send to");
    }

    // Waits with the one segment that did not fit, then gathers again.
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask SendRestAsync(
        IReadOnlyList<ReadOnlyMemory<byte>> segments, int index, int offset, CancellationToken cancellationToken)
    {
        do
        {
            await SendRestAsync(segments[index][offset..], cancellationToken).ConfigureAwait(false);
        }
        while (!TryGather(segments, index + 1, out index, out offset));
    }

    private TransportException Fault(SocketError error, string action, Exception? inner = null) =>
        Volatile.Read(ref _aborted) != 0
            ? SocketErrors.Closed($"{action} {RemoteAddress}")
            : SocketErrors.ToException(error, $"{action} {RemoteAddress}", inner);
}
