using FastShare.Transport.Security;

namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>
/// The one task that writes: gathers frames into batches, control frames before data, data of all sendable streams in turn, and
/// flushes when a batch is full or nothing more is ready.
/// </summary>
/// <remarks>
/// What waits to be sent needs no queue that could grow: streams hold their own pending flags and credit sums, pings have one slot
/// each way, and refused streams a bounded list. Queues and requests are guarded by the connection's gate; the batch belongs to
/// the loop. The gate is never held while the channel works.
/// </remarks>
internal sealed class FrameWriter(YamuxConnection connection, IByteChannel channel)
{
    private const int HeadersPerBatch = 512;

    // Refusals that wait; a peer that opens streams faster than it reads their refusals has no business here.
    private const int MaxRefusals = 1024;

    // Room that a header may take on the wire, with the overhead of a sealed record that it begins.
    private const int HeaderMargin = 64;

    private readonly byte[] _headers = new byte[HeadersPerBatch * YamuxHeader.Size]; // loop; unchanged until the batch is flushed
    private readonly List<YamuxStream> _batch = []; // loop: streams whose memory is in the batch
    private readonly WakeSignal _wake = new();

    private readonly Queue<YamuxStream> _control = []; // gate: each stream at most once
    private readonly Queue<YamuxStream> _data = []; // gate: each stream at most once
    private readonly Queue<uint> _refusals = []; // gate

    private Turn _turn; // loop
    private int _headerBytes; // loop: bytes of _headers in the batch
    private GoAwayCode? _goAway; // gate: the last frame to send
    private bool _drainFirst; // gate: but only after everything that can be sent
    private bool _stopped; // gate: nothing more is to be sent
    private bool _saidGoodbye; // set once, volatile
    private long _flushStartedTicks = -1; // volatile

    private enum Step
    {
        Nothing,
        Written,
        Last,
    }

    /// <summary>Since when the channel has been busy with a batch; null: it is not. Thread-safe.</summary>
    public TimeSpan? FlushStarted => Volatile.Read(ref _flushStartedTicks) is var ticks and >= 0 ? TimeSpan.FromTicks(ticks) : null;

    /// <summary>Whether a go-away without an error was handed to the channel, so that the remote side may hang up. Thread-safe.</summary>
    public bool SaidGoodbye => Volatile.Read(ref _saidGoodbye);

    /// <summary>A stream has control frames to send. Gate held.</summary>
    public void QueueControl(YamuxStream stream)
    {
        if (stream.InControlQueue || _stopped) return;
        stream.InControlQueue = true;
        _control.Enqueue(stream);
        _wake.Wake();
    }

    /// <summary>A stream has data and credit, or its end, to send. Gate held.</summary>
    public void QueueData(YamuxStream stream)
    {
        if (stream.InDataQueue || _stopped) return;
        stream.InDataQueue = true;
        _data.Enqueue(stream);
        _wake.Wake();
    }

    /// <summary>A ping or pong waits. Gate held.</summary>
    public void QueuePing() => _wake.Wake();

    /// <summary>Refuses a stream (RST). False: too many refusals wait already. Gate held.</summary>
    public bool TryQueueRefusal(uint id)
    {
        if (_refusals.Count >= MaxRefusals) return false;
        _refusals.Enqueue(id);
        _wake.Wake();
        return true;
    }

    /// <summary>
    /// Ends the writing with a go-away: at once, or after everything that can be sent now. The first call decides. Gate held.
    /// </summary>
    public void RequestGoAway(GoAwayCode code, bool drainFirst)
    {
        _goAway ??= code;
        _drainFirst |= drainFirst;
        _wake.Wake();
    }

    /// <summary>An error overtakes a polite end: what waits is not sent any more. Gate held.</summary>
    public void HurryGoAway(GoAwayCode code)
    {
        _goAway = code;
        _drainFirst = false;
        _wake.Wake();
    }

    /// <summary>Ends the writing without a word. Gate held.</summary>
    public void Stop()
    {
        _stopped = true;
        _wake.Wake();
    }

    /// <summary>Writes until the end. Never fails: an error of the channel ends the connection.</summary>
    public async Task RunAsync()
    {
        try
        {
            await WriteAsync().ConfigureAwait(false);
        }
        catch (TransportException e)
        {
            connection.End(e, goAway: null);
        }
        catch (Exception e)
        {
            connection.EndByDefect(e);
        }
        finally
        {
            lock (connection.Gate)
            {
                _stopped = true;
                FinishBatch();
            }
        }
    }

    private async Task WriteAsync()
    {
        while (true)
        {
            Step step = WriteNext();
            if (step == Step.Nothing && channel.Pending == 0 && _headerBytes == 0)
            {
                lock (connection.Gate)
                {
                    if (_stopped) return;
                }

                await _wake.WaitAsync().ConfigureAwait(false);
                continue;
            }

            bool full = channel.Pending + HeaderMargin >= channel.BatchSize || _headerBytes == _headers.Length;
            if (step == Step.Written && !full) continue;
            int bytes = channel.Pending;
            Volatile.Write(ref _flushStartedTicks, connection.Now.Ticks);
            await channel.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            Volatile.Write(ref _flushStartedTicks, -1);
            lock (connection.Gate) FinishBatch();
            if (_turn.IsOver(bytes)) await Task.Yield();
            if (step != Step.Last) continue;
            channel.CloseWrite();
            connection.End(reason: null, goAway: null);
            return;
        }
    }

    /// <summary>Writes all control frames that fit, or one data frame.</summary>
    private Step WriteNext()
    {
        int start = _headerBytes;
        ReadOnlyMemory<byte> payload = default;
        bool last = false;
        lock (connection.Gate)
        {
            if (_stopped) return Step.Nothing;
            if (_goAway is not null && !_drainFirst)
            {
                last = true;
            }
            else
            {
                TakeControl();
                if (_headerBytes == start && !TryTakeData(out payload)) last = _goAway is not null;
            }

            if (last)
            {
                Put(new YamuxHeader(FrameType.GoAway, FrameFlags.None, 0, (uint)_goAway!.Value));
                _stopped = true;
                Volatile.Write(ref _saidGoodbye, _goAway == GoAwayCode.Normal);
            }
        }

        if (_headerBytes == start) return Step.Nothing;
        channel.Write(new ReadOnlyMemory<byte>(_headers, start, _headerBytes - start));
        if (!payload.IsEmpty) channel.Write(payload);
        return last ? Step.Last : Step.Written;
    }

    private void TakeControl()
    {
        while (_headerBytes < _headers.Length && connection.Pings.TryTake(connection.Now, out YamuxHeader ping)) Put(ping);
        while (_headerBytes < _headers.Length && _refusals.TryDequeue(out uint id))
            Put(new YamuxHeader(FrameType.WindowUpdate, FrameFlags.Rst, id, 0));
        while (_headerBytes < _headers.Length && _control.TryDequeue(out YamuxStream? stream))
        {
            stream.InControlQueue = false;
            if (stream.TryTakeControl(out YamuxHeader header)) Put(header);
        }
    }

    private bool TryTakeData(out ReadOnlyMemory<byte> payload)
    {
        payload = default;
        while (_data.TryDequeue(out YamuxStream? stream))
        {
            stream.InDataQueue = false;
            if (!stream.IsSendable) continue;
            int limit = _data.Count == 0 ? connection.Options.MaxPayload : connection.Options.SharedPayload;
            if (stream.TakeData(limit, out YamuxHeader header, out payload)) _batch.Add(stream);
            Put(header);
            if (stream.IsSendable)
            {
                stream.InDataQueue = true;
                _data.Enqueue(stream);
            }

            return true;
        }

        return false;
    }

    private void Put(YamuxHeader header)
    {
        header.Write(_headers.AsSpan(_headerBytes));
        _headerBytes += YamuxHeader.Size;
    }

    /// <summary>Nothing refers to the batch's memory any more: completes the writes in it. Gate held.</summary>
    private void FinishBatch()
    {
        _headerBytes = 0;
        foreach (YamuxStream stream in _batch) stream.OnFlushed();
        _batch.Clear();
    }
}
