using System.Diagnostics;
using System.Runtime.CompilerServices;
using FastShare.Transport.Buffers;
using FastShare.Transport.Identity;
using FastShare.Transport.Telemetry;

namespace FastShare.Transport.Security.Internal;

/// <summary>
/// A channel sealed by Noise: the hot path of every connection. Payload is touched once on its way out, by the cipher, and once on
/// its way in. Noise has no closing message, so an end between records is an end; whether it came too early is for the multiplexer
/// to tell.
/// </summary>
internal sealed class NoiseChannel : IByteChannel
{
    /// <summary>
    /// Wire bytes in a batch: large enough that the system call costs little beside the cipher, small enough to stay in the
    /// processor's second-level cache between sealing and sending.
    /// </summary>
    private const int Batch = 256 << 10;

    private readonly IByteChannel _inner;
    private readonly PeerId _remotePeer;

    private DirectionGate _reads;
    private readonly NoiseRecordOpener _opener; // this and _readFailure by the reader inside _reads
    private TransportException? _readFailure;

    private DirectionGate _writes;
    private readonly NoiseRecordSealer _sealer; // this and _writeFailed by the writer inside _writes
    private bool _writeFailed;

    private int _disposed; // interlocked

    /// <summary>Goes on where the handshake ended; owns the inner channel and the ciphers.</summary>
    public NoiseChannel(IByteChannel inner, NoiseCipherState send, NoiseCipherState receive, PeerId remotePeer, BlockPool? pool = null)
    {
        _inner = inner;
        _remotePeer = remotePeer;
        _opener = new NoiseRecordOpener(receive, pool ?? BlockPool.Shared, inner.Counters);
        _sealer = new NoiseRecordSealer(send, pool ?? BlockPool.Shared);
    }

    /// <inheritdoc/>
    public ConnectionCounters Counters => _inner.Counters;

    /// <inheritdoc/>
    public int Pending => _sealer.Pending;

    /// <inheritdoc/>
    public int BatchSize => Batch;

    /// <inheritdoc/>
    public ValueTask<int> ReadAsync(Memory<byte> destination, CancellationToken cancellationToken)
    {
        Debug.Assert(!destination.IsEmpty, "a read needs room");
        _reads.Enter();
        try
        {
            // No state machine for what completes at once.
            while (true)
            {
                int count = ReadBuffered(destination.Span);
                if (count > 0)
                {
                    ExitRead();
                    return new ValueTask<int>(count);
                }

                ValueTask<int> received = _inner.ReadAsync(_opener.GetReceiveMemory(), cancellationToken);
                if (!received.IsCompletedSuccessfully) return AwaitReceivedAsync(received, destination, cancellationToken);
                if (Receive(received.Result)) continue;
                ExitRead();
                return new ValueTask<int>(0);
            }
        }
        catch (Exception e)
        {
            ExitRead();
            return ValueTask.FromException<int>(e);
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<int> AwaitReceivedAsync(ValueTask<int> received, Memory<byte> destination, CancellationToken cancellationToken)
    {
        try
        {
            if (!Receive(await received.ConfigureAwait(false))) return 0;
            while (true)
            {
                int count = ReadBuffered(destination.Span);
                if (count > 0) return count;
                if (!Receive(await _inner.ReadAsync(_opener.GetReceiveMemory(), cancellationToken).ConfigureAwait(false))) return 0;
            }
        }
        finally
        {
            ExitRead();
        }
    }

    // False at the end.
    private bool Receive(int count)
    {
        _opener.Received(count);
        if (count > 0) return true;
        return _opener.IsMidRecord ? throw Fail(Truncated()) : false;
    }

    private int ReadBuffered(Span<byte> destination)
    {
        if (_readFailure is not null) throw _readFailure;
        try
        {
            return _opener.Read(destination);
        }
        catch (TransportException e)
        {
            throw Fail(e);
        }
    }

    // The connection is worth nothing any more in either direction: whoever forges records must not learn more from it.
    private TransportException Fail(TransportException cause)
    {
        _inner.Abort();
        return _readFailure = new TransportException(cause.Error, cause.Message, cause) { Peer = _remotePeer };
    }

    private static TransportException Truncated() =>
        new(TransportError.ConnectionClosed, "the connection ended in the middle of a sealed record");

    private void ExitRead()
    {
        if (_reads.Exit()) _opener.Dispose();
    }

    /// <inheritdoc/>
    public void Write(ReadOnlyMemory<byte> data)
    {
        _writes.Enter();
        try
        {
            ThrowIfWriteFailed();
            _writeFailed = true; // unless all of it was sealed: a gap must not reach the peer
            long start = Counters.Begin(data.Length);
            _sealer.Write(data.Span);
            Counters.Add(ConnectionStage.Seal, start, data.Length);
            _writeFailed = false;
        }
        finally
        {
            ExitWrite();
        }
    }

    /// <inheritdoc/>
    public ValueTask FlushAsync(CancellationToken cancellationToken)
    {
        _writes.Enter();
        if (_sealer.Pending == 0 && !_writeFailed)
        {
            ExitWrite();
            return default;
        }

        ValueTask sent;
        try
        {
            ThrowIfWriteFailed();
            _writeFailed = true; // unless it succeeds: nobody knows how much of a failed or cancelled batch the peer got
            _inner.Write(_sealer.Finish());
            sent = _inner.FlushAsync(cancellationToken);
        }
        catch (Exception e)
        {
            ExitWrite();
            return ValueTask.FromException(e);
        }

        if (!sent.IsCompletedSuccessfully) return AwaitSentAsync(sent);
        sent.GetAwaiter().GetResult();
        EndSend();
        return default;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask AwaitSentAsync(ValueTask sent)
    {
        try
        {
            await sent.ConfigureAwait(false);
        }
        catch
        {
            ExitWrite();
            throw;
        }

        EndSend();
    }

    private void EndSend()
    {
        _sealer.Reset();
        _writeFailed = false;
        ExitWrite();
    }

    private void ThrowIfWriteFailed()
    {
        if (!_writeFailed) return;
        throw new TransportException(TransportError.ConnectionClosed, "an earlier write to the connection failed") { Peer = _remotePeer };
    }

    private void ExitWrite()
    {
        if (_writes.Exit()) _sealer.Dispose();
    }

    /// <inheritdoc/>
    public void CloseWrite() => _inner.CloseWrite();

    /// <inheritdoc/>
    public void Abort() => _inner.Abort();

    /// <summary>Ends both directions; calls inside fail. Wipes the keys and disposes the inner channel.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        if (_reads.Close()) _opener.Dispose();
        if (_writes.Close()) _sealer.Dispose();
        await _inner.DisposeAsync().ConfigureAwait(false);
    }
}
