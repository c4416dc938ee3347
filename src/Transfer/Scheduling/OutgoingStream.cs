using System.Buffers.Binary;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Sessions;
using FastShare.Transfer.Verification;
using FastShare.Transport.Buffers;
using FastShare.Transport.Identity;

namespace FastShare.Transfer.Scheduling;

/// <summary>What a stream's reader has to do next.</summary>
internal enum StreamStep
{
    /// <summary>A chunk is to be sent.</summary>
    Chunk,

    /// <summary>Everything went out once: the receiver is to be told size and root digest.</summary>
    End,

    /// <summary>The receiver has taken everything, or wants no more.</summary>
    Over,
}

/// <summary>
/// A source that is read once, in chunks, across connections. Chunks stay in a window until the receiver has taken them, so that a lost
/// lane or connection can be made good; no more is read than the window holds, which is the back-pressure.
/// </summary>
/// <remarks>
/// Thread-safe, but for <see cref="Begin"/> and <see cref="NextAsync"/>, which belong to one read stage at a time. A read of the source may
/// outlast a connection, and, where it cannot be cancelled, the transfer: it has its block to itself until it ends.
/// </remarks>
internal sealed class OutgoingStream : IAsyncDisposable
{
    /// <summary>How long the end waits for a read that was cancelled. One that ignores it ends by itself, some time.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(250);

    private readonly Stream _source;
    private readonly bool _leaveOpen;
    private readonly BlockPool _blocks;
    private readonly ProgressMeter _meter;
    private readonly TimeProvider _time;
    private readonly Digester _root = new(); // the reader's
    private readonly CancellationTokenSource _closing = new(); // holds no timer, so it is not disposed
    private readonly Pulse _news = new();
    private readonly Lock _gate = new();
    private readonly HeldChunk?[] _window; // guarded by _gate: chunk i at i modulo its length
    private readonly Queue<long> _repairs = new(); // guarded by _gate
    private long _taken; // guarded by _gate: chunks the receiver needs no more
    private long _next; // guarded by _gate: the chunk to be read next
    private long _cursor; // guarded by _gate: the chunk to be sent next
    private bool _endTold; // guarded by _gate
    private bool _over; // guarded by _gate: whether it was disposed
    private (long Size, UInt128 Root)? _end; // guarded by _gate
    private Task<HeldChunk?>? _reading; // guarded by _gate: who takes it away owns its result
    private long _read; // the reading task's
    private bool _sourceEnded; // the reading task's

    /// <param name="entry">The manifest's entry.</param>
    /// <param name="source">The bytes.</param>
    /// <param name="leaveOpen">Whether the source is not disposed with this.</param>
    /// <param name="windowBytes">Most bytes held.</param>
    /// <param name="blocks">Where memory comes from.</param>
    /// <param name="meter">Counts.</param>
    /// <param name="time">The clock.</param>
    public OutgoingStream(
        ManifestEntry entry, Stream source, bool leaveOpen, long windowBytes, BlockPool blocks, ProgressMeter meter, TimeProvider time)
    {
        Entry = entry;
        ChunkSize = Framing.ChunkSize.OfStream();
        _source = source;
        _leaveOpen = leaveOpen;
        _blocks = blocks;
        _meter = meter;
        _time = time;
        _window = new HeldChunk?[Math.Max(1, Math.Min(windowBytes, TransferProtocol.StreamWindow) / ChunkSize)];
    }

    public ManifestEntry Entry { get; }

    public uint ChunkSize { get; }

    /// <summary>Its size and root digest; null until it was read to its end.</summary>
    public (long Size, UInt128 Root)? End
    {
        get
        {
            lock (_gate) return _end;
        }
    }

    /// <summary>Whether anything was taken that could not be sent again.</summary>
    public bool HasForgotten
    {
        get
        {
            lock (_gate) return _taken > 0;
        }
    }

    /// <summary>A new connection's receiver wants it from this chunk on.</summary>
    /// <exception cref="TransferException">
    /// <see cref="TransferError.NotRepeatable"/>: that is no longer held; <see cref="TransferError.ProtocolViolation"/>: it was never sent.
    /// </exception>
    public void Begin(long from)
    {
        lock (_gate)
        {
            if (from < _taken)
            {
                throw new TransferException(
                    TransferError.NotRepeatable,
                    $"the receiver no longer has what it took of {PeerText.Escape(Entry.Path)}, which can be read only once; start its source anew")
                {
                    Path = Entry.Path,
                };
            }

            if (from > _next) throw TransferProtocol.Violation($"the receiver wants chunk {from} of a stream of which {_next} were sent");
            Forget(from);
            _repairs.Clear();
            _cursor = from;
            _endTold = false;
        }
    }

    /// <summary>What to do next; a chunk comes with a share of its memory, which the caller disposes.</summary>
    /// <exception cref="TransferException"><see cref="TransferError.SourceChanged"/>: the source failed, or is not as long as announced.</exception>
    public async ValueTask<(StreamStep Step, long Index, HeldChunk? Chunk)> NextAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            Task news = _news.Next;
            Task<HeldChunk?>? reading = null;
            lock (_gate)
            {
                if (_over || (_end is not null && _endTold && _taken == _next)) return (StreamStep.Over, 0, null);
                while (_repairs.TryDequeue(out long repair))
                {
                    if (repair >= _taken && repair < _next) return (StreamStep.Chunk, repair, Hand(repair));
                }

                if (_cursor < _taken) _cursor = _taken;
                if (_cursor < _next) return (StreamStep.Chunk, _cursor, Hand(_cursor++));
                if (_end is not null && !_endTold)
                {
                    _endTold = true;
                    return (StreamStep.End, 0, null);
                }

                // On its own thread: a source may block in what it calls asynchronous.
                if (_end is null && _next - _taken < _window.Length)
                    reading = _reading ??= Task.Run(ReadChunkAsync, CancellationToken.None);
            }

            if (reading is null)
            {
                await news.WaitAsync(cancellationToken).ConfigureAwait(false);
                continue;
            }

            if (!reading.IsCompleted) await Task.WhenAny(reading, news).WaitAsync(cancellationToken).ConfigureAwait(false);
            if (reading.IsCompleted && TryTakeRead(reading)) Keep(await reading.ConfigureAwait(false));
        }
    }

    /// <summary>The receiver has taken so many chunks from the first on.</summary>
    /// <returns>False: that is fewer than it has said before, or more than were sent.</returns>
    public bool Confirm(long taken)
    {
        lock (_gate)
        {
            if (_over) return taken <= _next; // said before the receiver knew
            if (taken < _taken || taken > Math.Max(_cursor, _taken)) return false;
            Forget(taken);
        }

        _news.Signal();
        return true;
    }

    /// <summary>A chunk has to be sent again, unless it was taken. False: it never was sent.</summary>
    public bool Repair(long index)
    {
        lock (_gate)
        {
            if (index >= _next) return false;
            _repairs.Enqueue(index);
        }

        _news.Signal();
        return true;
    }

    /// <summary>Bytes of a chunk that was read.</summary>
    public int LengthOf(long index)
    {
        lock (_gate) return _end is { } end ? Framing.ChunkSize.LengthOf(index, end.Size, ChunkSize) : (int)ChunkSize;
    }

    /// <summary>
    /// Nothing more is wanted: a stage that is at it finds it over. Returns the window's memory and disposes the source. What it was like is
    /// still known: size, digest, and that nothing of it can be sent again.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        Task<HeldChunk?>? reading;
        lock (_gate)
        {
            if (_over) return;
            _over = true;
            Forget(_next);
            reading = _reading;
            _reading = null;
        }

        _news.Signal();
        await _closing.CancelAsync().ConfigureAwait(false);
        Task end = EndAsync(reading);
        if (!end.IsCompleted) await Task.WhenAny(end, Task.Delay(Patience, _time)).ConfigureAwait(false);
    }

    private bool TryTakeRead(Task<HeldChunk?> reading)
    {
        lock (_gate)
        {
            if (_reading != reading) return false;
            _reading = null;
            return true;
        }
    }

    private async Task EndAsync(Task<HeldChunk?>? reading)
    {
        try
        {
            if (reading is not null) (await reading.ConfigureAwait(false))?.Dispose();
        }
        catch (TransferException)
        {
            // It was cancelled, or failed when nobody needed it any more.
        }

        if (_leaveOpen) return;
        try
        {
            await _source.DisposeAsync().ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // Somebody else's stream: how it ends does not change how the transfer ended.
        }
    }

    /// <summary>A share for who sends it. Under the gate.</summary>
    private HeldChunk Hand(long index)
    {
        HeldChunk chunk = _window[index % _window.Length]!;
        if (chunk.WasSent) _meter.AddResent(chunk.Length);
        chunk.WasSent = true;
        return chunk.Share();
    }

    /// <summary>Under the gate.</summary>
    private void Forget(long taken)
    {
        for (; _taken < taken; _taken++)
        {
            ref HeldChunk? chunk = ref _window[_taken % _window.Length];
            chunk!.Dispose();
            chunk = null;
        }
    }

    /// <summary>Puts a chunk in the window, or ends the stream.</summary>
    private void Keep(HeldChunk? chunk)
    {
        lock (_gate)
        {
            if (_over)
            {
                chunk?.Dispose();
                return;
            }

            if (chunk is not null)
            {
                Span<byte> bytes = stackalloc byte[16];
                BinaryPrimitives.WriteUInt128BigEndian(bytes, chunk.Digest);
                _root.Append(bytes);
                _window[_next++ % _window.Length] = chunk;
            }

            if (!_sourceEnded) return;
            _end = (_read, _root.Finish());
            _meter.EndOpen(Entry, _read);
        }
    }

    private async Task<HeldChunk?> ReadChunkAsync()
    {
        var chunk = new HeldChunk(_blocks.Rent((int)ChunkSize));
        int filled = 0;
        try
        {
            Memory<byte> memory = chunk.Memory[..(int)ChunkSize];
            while (filled < memory.Length)
            {
                int read = await _source.ReadAsync(memory[filled..], _closing.Token).ConfigureAwait(false);
                _sourceEnded = read == 0;
                if (_sourceEnded) break;
                filled += read;
            }

            _read += filled;
            if (Entry.Size != ManifestEntry.UnknownSize && (_read > Entry.Size || (_sourceEnded && _read < Entry.Size)))
            {
                string found = _sourceEnded && _read < Entry.Size ? $"ended after {_read}" : "has more";
                throw new IOException($"it was to have {Entry.Size} bytes, and {found}");
            }
        }
        catch (Exception e)
        {
            chunk.Dispose();
            string why = $"the source of {PeerText.Escape(Entry.Path)} failed after {_read} bytes: {e.Message}";
            TransferError error = e is TransferException { Error: TransferError.AccessDenied } ? TransferError.AccessDenied : TransferError.SourceChanged;
            throw new TransferException(error, why, e) { Path = Entry.Path };
        }

        if (filled > 0)
        {
            chunk.Fill(filled, Digester.Of(chunk.Memory.Span[..filled]));
            return chunk;
        }

        chunk.Dispose();
        return null;
    }
}
