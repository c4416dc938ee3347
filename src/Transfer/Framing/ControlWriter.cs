using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;

namespace FastShare.Transfer.Framing;

/// <summary>
/// Queues control messages and sends them in batches: posting never waits for the network, one pump writes. Thread-safe.
/// </summary>
/// <remarks>
/// Two buffers change places: messages gather in one while the other is on its way. Who posts many messages awaits
/// <see cref="WaitForRoomAsync"/> before each; the few others are bounded by what they answer.
/// </remarks>
internal sealed class ControlWriter(PipeWriter output)
{
    /// <summary>Bytes queued above which <see cref="WaitForRoomAsync"/> waits.</summary>
    private const int HighWater = 256 << 10;

    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _work = new(0, 1);
    private ArrayBufferWriter<byte> _filling = new(4096); // guarded by _gate
    private ArrayBufferWriter<byte> _sending = new(4096); // the pump's
    private TaskCompletionSource? _room; // guarded by _gate
    private bool _ended; // guarded by _gate: no message is taken any more

    /// <summary>Queues a message; after <see cref="Finish"/> it is dropped.</summary>
    public void Post<T>(MessageType type, T message)
        where T : IWireMessage
    {
        lock (_gate)
        {
            if (_ended) return;
            int start = _filling.WrittenCount;
            _filling.WriteUInt32(0);
            _filling.WriteByte((byte)type);
            message.Write(_filling);
            int length = _filling.WrittenCount - start - 4;
            if (length > TransferProtocol.MaxMessageLength)
                throw new InvalidOperationException($"a {type} message of {length} bytes was built");
            Span<byte> written = System.Runtime.InteropServices.MemoryMarshal.AsMemory(_filling.WrittenMemory).Span;
            BinaryPrimitives.WriteUInt32BigEndian(written[start..], (uint)length);
            BinaryPrimitives.WriteUInt64BigEndian(_filling.GetSpan(WireCheck.Size), WireCheck.Of(written[start..]));
            _filling.Advance(WireCheck.Size);
        }

        Wake();
    }

    /// <summary>Queues a message without a body.</summary>
    public void Post(MessageType type) => Post(type, default(Empty));

    /// <summary>Completes once little is queued.</summary>
    public Task WaitForRoomAsync(CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (_filling.WrittenCount < HighWater || _ended) return Task.CompletedTask;
            _room ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _room.Task.WaitAsync(cancellationToken);
        }
    }

    /// <summary>No more messages: the pump sends what is queued and ends.</summary>
    public void Finish()
    {
        lock (_gate) _ended = true;
        Wake();
    }

    /// <summary>Sends until <see cref="Finish"/>; run once, by the stream's owner. Does not complete the stream.</summary>
    public async Task PumpAsync(CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                await _work.WaitAsync(cancellationToken).ConfigureAwait(false);
                bool last;
                lock (_gate)
                {
                    last = _ended;
                    (_filling, _sending) = (_sending, _filling);
                    _room?.TrySetResult();
                    _room = null;
                }

                if (_sending.WrittenCount > 0)
                {
                    FlushResult result = await output.WriteAsync(_sending.WrittenMemory, cancellationToken).ConfigureAwait(false);
                    if (result.IsCompleted)
                        throw new TransferException(TransferError.ConnectionLost, "the other side closed the control stream");
                    _sending.ResetWrittenCount();
                }

                if (last) return;
            }
        }
        finally
        {
            lock (_gate)
            {
                _ended = true;
                _room?.TrySetResult();
                _room = null;
            }
        }
    }

    private void Wake()
    {
        lock (_gate)
        {
            if (_work.CurrentCount == 0) _work.Release();
        }
    }

    private readonly struct Empty : IWireMessage
    {
        public void Write(IBufferWriter<byte> writer)
        {
        }
    }
}
