using System.Buffers;
using FastShare.Transport.Security;

namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>
/// The one task that reads: takes frames apart and hands payloads to their streams. It waits for the channel only, never for the
/// writer or for a stream's reader, and checks every limit before it makes state or takes memory.
/// </summary>
internal sealed class FrameReader(YamuxConnection connection, IByteChannel channel)
{
    private const int DrainBlock = 64 << 10;

    // Headers and small payloads come through this page, large payloads go straight into their stream's blocks. A channel that waits
    // with a page of ours holds no block of its own while the connection is idle.
    private readonly byte[] _page = new byte[4 << 10];
    private int _start; // received and not taken: _start to _end
    private int _end;
    private Turn _turn;
    private IMemoryOwner<byte>? _drain; // for payloads that nobody reads; rented when first needed
    private RateBudget _idleFrames = new(connection.Options.IdleFrameBurst, connection.Options.IdleFramesPerSecond);
    private RateBudget _churn = new(connection.Options.ChurnBurst, connection.Options.ChurnPerSecond);
    private long _lastInputTicks; // volatile

    /// <summary>When anything last came. Thread-safe.</summary>
    public TimeSpan LastInput => TimeSpan.FromTicks(Volatile.Read(ref _lastInputTicks));

    /// <summary>Reads until the connection is over, and says why it is. Never fails.</summary>
    public async Task RunAsync()
    {
        try
        {
            await ReadAsync().ConfigureAwait(false);
        }
        catch (TransportException e) when (e.Error == TransportError.ConnectionReset && connection.Writer.SaidGoodbye)
        {
            connection.End(reason: null, goAway: null); // a socket closed with bytes unread; those were not asked for any more
        }
        catch (TransportException e)
        {
            connection.End(e, e.Error == TransportError.ProtocolViolation ? GoAwayCode.ProtocolError : null);
        }
        catch (Exception e)
        {
            connection.EndByDefect(e);
        }
        finally
        {
            _drain?.Dispose();
        }
    }

    private async Task ReadAsync()
    {
        while (true)
        {
            while (_end - _start < YamuxHeader.Size)
            {
                _page.AsSpan(_start, _end - _start).CopyTo(_page);
                _end -= _start;
                _start = 0;
                int count = await channel.ReadAsync(_page.AsMemory(_end), CancellationToken.None).ConfigureAwait(false);
                if (count == 0)
                {
                    OnEnd(midFrame: _end > 0);
                    return;
                }

                _end += count;
                Volatile.Write(ref _lastInputTicks, connection.Now.Ticks);
            }

            string? fault = YamuxHeader.Read(_page.AsSpan(_start), out YamuxHeader header);
            _start += YamuxHeader.Size;
            if (fault is not null) throw YamuxFaults.Violation(fault);
            if (header.Type == FrameType.GoAway)
            {
                bool goodbye = header.Length == (uint)GoAwayCode.Normal;
                connection.End(goodbye ? null : YamuxFaults.GoneAway(header.Length), goAway: null, goodbye: goodbye);
                return;
            }

            if (header.Type == FrameType.Ping)
            {
                OnPing(header);
                continue;
            }

            YamuxStream? stream = OnStreamFrame(header);
            if (header.Type != FrameType.Data) continue;

            int remaining = (int)header.Length; // at most a window, so it fits
            while (remaining > 0)
            {
                Memory<byte> memory = stream is null ? default : Reserve(stream, remaining);
                bool wanted = !memory.IsEmpty;
                if (!wanted)
                {
                    memory = (_drain ??= connection.Options.Pool.Rent(DrainBlock)).Memory;
                    if (memory.Length > remaining) memory = memory[..remaining];
                }

                int count = 0;
                try
                {
                    if (_start == _end && memory.Length < _page.Length)
                    {
                        _start = 0;
                        _end = await channel.ReadAsync(_page, CancellationToken.None).ConfigureAwait(false);
                        count = TakeFromPage(memory.Span);
                    }
                    else
                    {
                        count = _start < _end
                            ? TakeFromPage(memory.Span)
                            : await channel.ReadAsync(memory, CancellationToken.None).ConfigureAwait(false);
                    }
                }
                finally
                {
                    if (wanted) stream!.Incoming.Commit(count);
                }

                if (count == 0)
                {
                    OnEnd(midFrame: true);
                    return;
                }

                remaining -= count;
                if (_turn.IsOver(count)) await Task.Yield();
                Volatile.Write(ref _lastInputTicks, connection.Now.Ticks);
            }

            if (stream is not null && header.Has(FrameFlags.Fin))
            {
                lock (connection.Gate) stream.OnFin();
            }
        }
    }

    private int TakeFromPage(Span<byte> destination)
    {
        int count = Math.Min(destination.Length, _end - _start);
        _page.AsSpan(_start, count).CopyTo(destination);
        _start += count;
        return count;
    }

    private void OnPing(YamuxHeader header)
    {
        Count(ref _idleFrames, "pings and empty frames");
        lock (connection.Gate)
        {
            if (header.Has(FrameFlags.Syn)) connection.Pings.OnPing(header.Length);
            else connection.Pings.OnPong(header.Length, connection.Now);
            connection.Writer.QueuePing();
        }
    }

    /// <summary>
    /// Everything about a data frame or window update but its payload and, for data, the end that follows the payload.
    /// </summary>
    /// <returns>The stream that takes the payload; null: drain it.</returns>
    private YamuxStream? OnStreamFrame(YamuxHeader header)
    {
        uint payload = header.Type == FrameType.Data ? header.Length : 0;
        // No stream has ever been granted more, so even for unknown ids, which keep no state, this is a lie.
        if (payload > Math.Max(connection.Options.MaxStreamWindow, connection.Options.InitialWindow))
            throw YamuxFaults.Violation($"a frame of {payload} bytes on stream {header.StreamId}");
        if (header is { Length: 0, Flags: FrameFlags.None }) Count(ref _idleFrames, "pings and empty frames");
        lock (connection.Gate)
        {
            YamuxStream? stream;
            if (header.Has(FrameFlags.Syn))
            {
                stream = OnSyn(header);
                if (stream is null) return null;
            }
            else if (!connection.Streams.TryGet(header.StreamId, out stream))
            {
                return null; // closed a moment ago, most likely; rust, go and js ignore it as well
            }

            return OnKnownStream(stream!, header, payload);
        }
    }

    private YamuxStream? OnSyn(YamuxHeader header)
    {
        // What the frame carries beside the SYN is checked before the stream exists (CVE-2026-32314, CVE-2026-31814).
        uint limit = header.Type == FrameType.Data ? SendCredit.Initial : uint.MaxValue - SendCredit.Initial;
        if (header.Length > limit)
        {
            string what = header.Type == FrameType.Data ? "data" : "credit";
            throw YamuxFaults.Violation($"stream {header.StreamId} opens with {header.Length} bytes of {what}");
        }

        bool stillborn = header.Has(FrameFlags.Rst);
        switch (connection.Streams.Admit(header.StreamId, refuse: stillborn || connection.IsClosing, out YamuxStream? stream))
        {
            case StreamTable.Admission.WrongParity:
                throw YamuxFaults.Violation($"it opens stream {header.StreamId}, whose number belongs to this side");
            case StreamTable.Admission.Reused:
                throw YamuxFaults.Violation($"it opens stream {header.StreamId} a second time");
            case StreamTable.Admission.Refused:
                Count(ref _churn, "streams opened and reset or refused");
                if (!stillborn && !connection.IsClosing && !connection.Writer.TryQueueRefusal(header.StreamId))
                    throw YamuxFaults.Violation("it opens streams faster than it reads that they are refused");
                return null;
            default:
                connection.Streams.Offer(stream!);
                return stream;
        }
    }

    private YamuxStream? OnKnownStream(YamuxStream stream, YamuxHeader header, uint payload)
    {
        bool answered = stream.Acknowledge();
        if (answered) connection.Streams.OnAcknowledged();
        bool news = answered || header.Has(FrameFlags.Syn | FrameFlags.Rst) || (header.Has(FrameFlags.Fin) && !stream.IsFinReceived);
        if (header.Length == 0 && header.Flags != FrameFlags.None && !news) Count(ref _idleFrames, "pings and empty frames");
        if (header.Has(FrameFlags.Rst))
        {
            // The length of a window update is go's error code here, never credit.
            if (stream.IsRemote) Count(ref _churn, "streams opened and reset or refused");
            stream.OnReset(header.Type == FrameType.WindowUpdate ? header.Length : 0);
            return null;
        }

        if (header.Type == FrameType.WindowUpdate)
        {
            if (!stream.TryAddCredit(header.Length)) throw YamuxFaults.Violation($"the credit of stream {stream.Id} exceeds 2^32-1 bytes");
            if (header.Has(FrameFlags.Fin)) stream.OnFin();
            return stream;
        }

        if (payload > 0 && stream.IsFinReceived)
        {
            stream.ResetLocked(); // data behind the end: this stream cannot be trusted, the others can
            return null;
        }

        if (payload > 0) stream.OnAnswer();
        switch (stream.Incoming.Announce(payload))
        {
            case StreamInput.Announcement.Excessive:
                throw YamuxFaults.Violation($"it sends {payload} bytes on stream {stream.Id}, more than its window allows");
            case StreamInput.Announcement.Unwanted when payload > 0:
                stream.OnInputDropped();
                break;
        }

        return stream;
    }

    private static Memory<byte> Reserve(YamuxStream stream, int remaining)
    {
        Memory<byte> memory = stream.Incoming.Reserve(remaining, out bool outOfMemory);
        if (outOfMemory) stream.Reset();
        return memory;
    }

    private void Count(ref RateBudget budget, string what)
    {
        if (!budget.TryTake(connection.Now)) throw YamuxFaults.Violation($"too many {what}");
    }

    private void OnEnd(bool midFrame)
    {
        // go leaves without a go-away; with nothing open and no frame cut off, that is an orderly close. So is the answer to our own
        // go-away, which may be here before the writer has heard that it was sent.
        bool orderly = !midFrame && (connection.StreamCount == 0 || connection.Writer.SaidGoodbye);
        string where = midFrame ? "in the middle of a frame" : "with streams open";
        connection.End(
            orderly ? null : new TransportException(TransportError.ConnectionClosed, $"the remote side closed the connection {where}"),
            goAway: null);
    }
}
