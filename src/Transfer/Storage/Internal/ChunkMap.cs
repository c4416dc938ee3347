using System.Buffers;
using System.Buffers.Binary;
using System.IO.Hashing;

namespace FastShare.Transfer.Storage.Internal;

/// <summary>
/// Which chunks of a file are there, and their digests. A chunk is missing, busy (being written or read back), claimed (a journal says
/// it is there; not verified yet) or present. Pure; thread-safe.
/// </summary>
internal sealed class ChunkMap
{
    /// <summary>Most chunks of one file: 16 TiB of 1 MiB chunks. Two bits a chunk are taken at once, 2 × 2 MiB.</summary>
    public const long MaxChunks = 1 << 24;

    // Digests live in pages made when their first chunk arrives, so an announced size takes no memory for them.
    private const int PageSize = 1024;

    // Most files have one chunk, and there may be a million of them: the map of such a file is this object and its lock.
    private readonly Lock _gate = new();
    private readonly ulong[]? _states; // guarded by _gate: present, then busy; null for up to 64 chunks
    private readonly UInt128[]?[]? _digests; // guarded by _gate; null for one chunk
    private ulong _presentWord, _busyWord; // guarded by _gate; up to 64 chunks
    private UInt128 _digest; // guarded by _gate; one chunk
    private ulong[]? _claimed; // guarded by _gate; only after a resume
    private readonly List<long>? _changed; // guarded by _gate: chunks whose state no journal has yet, maybe more than once; null for one chunk
    private bool _hasChanged; // guarded by _gate; one chunk
    private long _presentCount, _claimedCount; // guarded by _gate

    /// <summary>A map with nothing in it.</summary>
    public ChunkMap(long size, uint chunkSize)
    {
        Size = size;
        ChunkSize = chunkSize;
        Count = CountOf(size, chunkSize);
        if (Words > 1) _states = new ulong[2 * Words];
        if (Count <= 1) return;
        _digests = new UInt128[]?[(Count + PageSize - 1) / PageSize];
        _changed = [];
    }

    /// <summary>Number of chunks of a file.</summary>
    public static long CountOf(long size, uint chunkSize) => size / chunkSize + (size % chunkSize == 0 ? 0 : 1);

    /// <summary>Bytes of the file.</summary>
    public long Size { get; }

    /// <summary>Bytes of each chunk but the last.</summary>
    public uint ChunkSize { get; }

    /// <summary>Number of chunks.</summary>
    public long Count { get; }

    /// <summary>Chunks present or claimed.</summary>
    public long ClaimCount
    {
        get
        {
            lock (_gate) return _presentCount + _claimedCount;
        }
    }

    /// <summary>Bytes of the chunks present.</summary>
    public long BytesPresent
    {
        get
        {
            lock (_gate)
            {
                if (_presentCount == 0) return 0;
                long last = Get(Present, Count - 1) ? LengthOf(Count - 1) - ChunkSize : 0;
                return _presentCount * ChunkSize + last;
            }
        }
    }

    /// <summary>Whether every chunk is present.</summary>
    public bool IsComplete
    {
        get
        {
            lock (_gate) return _presentCount == Count;
        }
    }

    /// <summary>Bytes of one chunk.</summary>
    public int LengthOf(long index) => (int)Math.Min(ChunkSize, Size - index * ChunkSize);

    /// <summary>Whether the chunk is present or claimed.</summary>
    public bool IsClaimed(long index)
    {
        lock (_gate) return Get(Present, index) || (_claimed is not null && Get(_claimed, index));
    }

    /// <summary>Takes a missing or claimed chunk for writing; false if it is present or busy.</summary>
    public bool TryBeginWrite(long index)
    {
        lock (_gate)
        {
            if (Get(Present, index) || Get(Busy, index)) return false;
            if (Unclaim(index)) MarkChanged(index);
            Set(Busy, index);
            return true;
        }
    }

    /// <summary>
    /// Takes a claimed chunk for reading back; waits while another thread has the chunk. Null: nothing to verify; then
    /// <paramref name="present"/> says whether it is there.
    /// </summary>
    public UInt128? BeginVerify(long index, out bool present)
    {
        lock (_gate)
        {
            // short: a chunk is busy only while one thread writes or reads it
            if (Get(Busy, index))
            {
                var wait = new SpinWait();
                while (Get(Busy, index))
                {
                    _gate.Exit();
                    wait.SpinOnce();
                    _gate.Enter();
                }
            }

            present = Get(Present, index);
            if (present || _claimed is null || !Get(_claimed, index)) return null;
            UInt128 digest = DigestOf(index);
            Unclaim(index);
            Set(Busy, index);
            return digest;
        }
    }

    /// <summary>Ends a write well.</summary>
    public void Complete(long index, UInt128 digest)
    {
        lock (_gate)
        {
            MarkPresent(index, digest);
            MarkChanged(index);
        }
    }

    /// <summary>Ends a verification well: the journal has said so all along.</summary>
    public void Confirm(long index, UInt128 digest)
    {
        lock (_gate) MarkPresent(index, digest);
    }

    /// <summary>Ends a write or a verification badly: the chunk is missing.</summary>
    public void Abort(long index)
    {
        lock (_gate)
        {
            Clear(Busy, index);
            MarkChanged(index);
        }
    }

    /// <summary>Adds a claim of a journal. Only while nobody else uses the map.</summary>
    public void Claim(long index, UInt128 digest)
    {
        lock (_gate)
        {
            _claimed ??= new ulong[Words];
            if (!Get(_claimed, index)) _claimedCount++;
            Set(_claimed, index);
            DigestOf(index) = digest;
        }
    }

    /// <summary>Takes a claim of a journal back. Only while nobody else uses the map.</summary>
    public void Withdraw(long index)
    {
        lock (_gate) Unclaim(index);
    }

    /// <summary>XXH128 over the digests of all chunks in order, each 16 bytes big-endian. Only when complete.</summary>
    public UInt128 RootDigest()
    {
        lock (_gate)
        {
            if (_presentCount != Count) throw new InvalidOperationException("The file is not complete.");
            var hash = new XxHash128();
            Span<byte> bytes = stackalloc byte[16];
            for (long i = 0; i < Count; i++)
            {
                BinaryPrimitives.WriteUInt128BigEndian(bytes, DigestOf(i));
                hash.Append(bytes);
            }

            return hash.GetCurrentHashAsUInt128();
        }
    }

    /// <summary>Chunks whose verification is still to come.</summary>
    public long UnverifiedCount
    {
        get
        {
            lock (_gate) return _claimedCount;
        }
    }

    /// <summary>
    /// Tells the journal which chunks have come and gone since the last call, or with <paramref name="all"/> every one that is present
    /// or claimed, which does not count as a call. Costs what changed.
    /// </summary>
    public void WriteChanges(uint serial, bool all, IBufferWriter<byte> destination)
    {
        lock (_gate)
        {
            long run = 0, end = 0; // chunks that are there, not written yet
            if (all)
            {
                for (long index = 0; index < Count; index++)
                {
                    if (Get(Present, index) || (_claimed is not null && Get(_claimed, index))) Add(index);
                }
            }
            else
            {
                if (_hasChanged) AddChanged(0);
                _hasChanged = false;
                if (_changed is not null) AddAllChanged(_changed);
            }

            WriteRun();

            void AddAllChanged(List<long> changed)
            {
                changed.Sort();
                long before = -1;
                foreach (long index in changed)
                {
                    if (index != before) AddChanged(index);
                    before = index;
                }

                changed.Clear();
            }

            void AddChanged(long index)
            {
                if (Get(Present, index) || (_claimed is not null && Get(_claimed, index))) Add(index);
                else JournalEntry.WriteLost(destination, serial, index);
            }

            void Add(long index)
            {
                if (index != end)
                {
                    WriteRun();
                    run = index;
                }

                end = index + 1;
            }

            void WriteRun()
            {
                if (run == end) return;
                JournalEntry.WriteChunks(destination, serial, run, (int)(end - run));
                for (; run < end; run++)
                {
                    BinaryPrimitives.WriteUInt128BigEndian(destination.GetSpan(16), DigestOf(run));
                    destination.Advance(16);
                }
            }
        }
    }

    private int Words => (int)((Count + 63) / 64);

    // Under the gate.
    private Span<ulong> Present => _states is null ? new Span<ulong>(ref _presentWord) : _states.AsSpan(0, Words);

    // Under the gate.
    private Span<ulong> Busy => _states is null ? new Span<ulong>(ref _busyWord) : _states.AsSpan(Words);

    /// <summary>Where the digest of a chunk is kept. Under the gate.</summary>
    private ref UInt128 DigestOf(long index)
    {
        if (_digests is null) return ref _digest;
        UInt128[] page = _digests[index / PageSize] ??= new UInt128[Math.Min(PageSize, Count - index / PageSize * PageSize)];
        return ref page[index % PageSize];
    }

    private void MarkPresent(long index, UInt128 digest)
    {
        Clear(Busy, index);
        Set(Present, index);
        DigestOf(index) = digest;
        _presentCount++;
    }

    private void MarkChanged(long index)
    {
        if (_changed is null) _hasChanged = true;
        else _changed.Add(index);
    }

    private bool Unclaim(long index)
    {
        if (_claimed is null || !Get(_claimed, index)) return false;
        Clear(_claimed, index);
        _claimedCount--;
        return true;
    }

    private static bool Get(ReadOnlySpan<ulong> bits, long index) => (bits[(int)(index >> 6)] >> (int)(index & 63) & 1) != 0;

    private static void Set(Span<ulong> bits, long index) => bits[(int)(index >> 6)] |= 1UL << (int)(index & 63);

    private static void Clear(Span<ulong> bits, long index) => bits[(int)(index >> 6)] &= ~(1UL << (int)(index & 63));
}
