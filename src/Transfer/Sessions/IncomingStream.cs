using System.Buffers;
using System.Buffers.Binary;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Verification;
using FastShare.Transport.Buffers;
using FastShare.Transport.Identity;

namespace FastShare.Transfer.Sessions;

/// <summary>
/// An entry that arrives as a stream: brings the chunks of several lanes in order for the one loop that delivers them, and checks the end.
/// Outlives connections. Holds at most <see cref="TransferProtocol.StreamWindow"/> bytes: a sender that sends further ahead breaks the
/// protocol. Thread-safe.
/// </summary>
internal sealed class IncomingStream : IDisposable
{
    private readonly BlockPool _blocks;
    private readonly Pulse _news = new();
    private readonly Digester _root = new(); // the delivering loop's
    private readonly Lock _gate = new();
    private readonly Dictionary<long, Piece> _pieces = []; // guarded by _gate: arrived, not handed to the delivering loop
    private readonly int _window; // chunks
    private long _next; // guarded by _gate: the chunk to deliver next
    private long _taken; // guarded by _gate: chunks delivered
    private long _last = -1; // guarded by _gate: the chunk that is shorter than the others, behind which none can be
    private long _bytes; // guarded by _gate: in chunks handed to the delivering loop
    private int _lastLength; // guarded by _gate: its length
    private long _extent; // guarded by _gate: where the chunk farthest behind ends, of all that ever came
    private StreamEnd? _end; // guarded by _gate
    private bool _over; // guarded by _gate

    /// <param name="entry">The manifest's entry: a stream, or a file that goes into a sink.</param>
    /// <param name="chunkBits">The offer's limit.</param>
    /// <param name="blocks">Where memory comes from.</param>
    public IncomingStream(ManifestEntry entry, int chunkBits, BlockPool blocks)
    {
        Entry = entry;
        ChunkSize = Framing.ChunkSize.OfStream(chunkBits);
        _window = (int)(TransferProtocol.StreamWindow / ChunkSize);
        _blocks = blocks;
    }

    public ManifestEntry Entry { get; }

    public uint ChunkSize { get; }

    /// <summary>Chunks delivered: what is not needed again.</summary>
    public long Taken
    {
        get
        {
            lock (_gate) return _taken;
        }
    }

    /// <summary>Size and root digest, as the sender has them; null: it has not ended yet.</summary>
    public StreamEnd? Ended
    {
        get
        {
            lock (_gate) return _end;
        }
    }

    /// <summary>Whether nothing more is needed from the sender.</summary>
    public bool HasEverything
    {
        get
        {
            lock (_gate) return _over || (_end is { } end && FirstMissing() == Chunks(end.Size));
        }
    }

    /// <summary>Why a chunk like this cannot come; null: it can.</summary>
    public string? Check(in ChunkHeader header)
    {
        lock (_gate)
        {
            long index = header.Offset / ChunkSize;
            string chunk = $"{header.Length} bytes at {header.Offset}";
            // Of one that was given up here the sender does not know yet: its chunks come, and are dropped.
            if (_over) return _end is { } told && _next == Chunks(told.Size) ? $"{chunk} of a stream of which none is missing" : null;
            if (header.Flags != ChunkFlags.None || header.Offset % ChunkSize != 0 || header.Length > ChunkSize) return $"{chunk} as a chunk of a stream";
            if (index < _next || _pieces.ContainsKey(index)) return $"{chunk} of a stream twice";
            if (index >= _taken + _window) return $"{chunk} of a stream of which {_taken} chunks were taken";
            bool isLast = header.Length < ChunkSize;
            if ((_last >= 0 && (isLast || index > _last)) || (isLast && _pieces.Count > 0 && _pieces.Keys.Max() > index))
                return $"{chunk} of a stream behind its end";
            long most = _end?.Size ?? (Entry.Size == ManifestEntry.UnknownSize ? long.MaxValue : Entry.Size);
            bool fits = _end is null ? header.Length <= most - header.Offset
                : index < Chunks(most) && header.Length == Framing.ChunkSize.LengthOf(index, most, ChunkSize);
            return fits ? null : $"{chunk} of a stream of {most} bytes";
        }
    }

    /// <summary>How many bytes longer the stream is with this chunk.</summary>
    public long Growth(in ChunkHeader header)
    {
        lock (_gate) return Math.Max(0, header.Offset + header.Length - _extent);
    }

    /// <summary>Takes a verified chunk that passes <see cref="Check"/>; copies it, or drops it. False: it does not pass any more.</summary>
    public bool Add(in ChunkHeader header, ReadOnlySpan<byte> payload)
    {
        lock (_gate)
        {
            if (_over) return true;
            if (Check(header) is not null) return false;
            _extent = Math.Max(_extent, header.Offset + payload.Length);
            IMemoryOwner<byte> block = _blocks.Rent(payload.Length);
            payload.CopyTo(block.Memory.Span);
            long index = header.Offset / ChunkSize;
            _pieces.Add(index, new Piece(block, payload.Length, header.Digest));
            if (payload.Length < ChunkSize) (_last, _lastLength) = (index, payload.Length);
        }

        _news.Signal();
        return true;
    }

    /// <summary>The sender has ended the stream. True the first time; it is repeated after a reconnection.</summary>
    /// <exception cref="TransferException">That contradicts what came before.</exception>
    public bool End(StreamEnd end)
    {
        lock (_gate)
        {
            if (_over) return false;
            if (_end is { } before)
                return before == end ? false : throw TransferProtocol.Violation("the sender ended a stream twice, differently");
            long chunks = Chunks(end.Size), seen = Math.Max(_next, _pieces.Count == 0 ? 0 : _pieces.Keys.Max() + 1);
            bool hasLast = end.Size % ChunkSize != 0;
            if (seen > chunks || (_last >= 0 ? end.Size != _last * ChunkSize + _lastLength : hasLast && seen == chunks)
                || (Entry.Size != ManifestEntry.UnknownSize && Entry.Size != end.Size))
                throw TransferProtocol.Violation($"the sender ended a stream after {end.Size} bytes, which is not where its chunks do");
            _end = end;
        }

        _news.Signal();
        return true;
    }

    /// <summary>
    /// The connection is lost: what lies behind a gap will be sent again. Returns the first chunk that is wanted on the next one.
    /// </summary>
    public long Rewind()
    {
        lock (_gate)
        {
            long missing = FirstMissing();
            foreach (long index in _pieces.Keys.Where(index => index > missing).ToArray())
            {
                _pieces.Remove(index, out Piece piece);
                piece.Block.Dispose();
            }

            if (_last > missing) _last = -1;
            return missing;
        }
    }

    /// <summary>
    /// The next chunk in order; the caller disposes its block, and says <see cref="Take"/> when it is delivered. Null: everything was, and it is
    /// what the sender has. Used by one loop.
    /// </summary>
    /// <exception cref="TransferException"><see cref="TransferError.VerificationFailed"/>: it is not.</exception>
    public async ValueTask<Piece?> NextAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            Task news = _news.Next;
            lock (_gate)
            {
                if (_pieces.Remove(_next, out Piece piece))
                {
                    _next++;
                    _bytes += piece.Length;
                    Span<byte> digest = stackalloc byte[16];
                    BinaryPrimitives.WriteUInt128BigEndian(digest, piece.Digest);
                    _root.Append(digest);
                    return piece;
                }

                if (_end is { } end && _next == Chunks(end.Size))
                {
                    if (_bytes == end.Size && _root.Finish() == end.Root) return null;
                    string why = $"{PeerText.Escape(Entry.Path)}: what arrived is not what the sender has; send it again";
                    throw new TransferException(TransferError.VerificationFailed, why) { Path = Entry.Path };
                }
            }

            await news.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>The chunk handed out last was delivered. Returns how many were.</summary>
    public long Take()
    {
        lock (_gate) return _taken = _next;
    }

    /// <summary>Nothing more is taken; what is held is given back.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _over = true;
            foreach (Piece piece in _pieces.Values) piece.Block.Dispose();
            _pieces.Clear();
        }
    }

    private long Chunks(long size) => Framing.ChunkSize.Count(size, ChunkSize);

    /// <summary>Under the gate.</summary>
    private long FirstMissing()
    {
        long missing = _next;
        while (_pieces.ContainsKey(missing)) missing++;
        return missing;
    }

    /// <summary>A chunk that arrived.</summary>
    internal readonly record struct Piece(IMemoryOwner<byte> Block, int Length, UInt128 Digest)
    {
        public ReadOnlyMemory<byte> Memory => Block.Memory[..Length];
    }
}
