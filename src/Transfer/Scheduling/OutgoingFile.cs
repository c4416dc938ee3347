using FastShare.Transfer.Planning;
using FastShare.Transfer.Verification;
using FastShare.Transport.Identity;

namespace FastShare.Transfer.Scheduling;

/// <summary>
/// What the sender remembers of a file it has begun to send, until the receiver has settled it: its chunks' digests, across
/// connections. Written by the one read stage that has the file; digests cost 16 bytes a chunk.
/// </summary>
internal sealed class OutgoingFile
{
    // Most files have one chunk, and there may be a million of them: theirs are in the object.
    private readonly UInt128[]? _digests; // null for one chunk
    private readonly ulong[]? _known; // one bit a chunk; null for one
    private UInt128 _onlyDigest;
    private bool _knowsOnly;

    /// <exception cref="TransferException">The file has more chunks than an array can count (2 PiB at 1 MiB).</exception>
    public OutgoingFile(ManifestEntry entry, int chunkBits)
    {
        Entry = entry;
        ChunkSize = Framing.ChunkSize.Of(entry.Size, chunkBits);
        Chunks = Framing.ChunkSize.Count(entry.Size, ChunkSize);
        if (Chunks > Array.MaxLength)
        {
            throw new TransferException(TransferError.SourceNotFound,
                $"{PeerText.Escape(entry.Path)} is too large to be sent: {entry.Size} bytes")
            { Path = entry.Path };
        }

        if (Chunks == 1) return;
        _digests = Chunks == 0 ? [] : new UInt128[Chunks];
        _known = Chunks == 0 ? [] : new ulong[(Chunks + 63) / 64];
    }

    public ManifestEntry Entry { get; }

    public uint ChunkSize { get; }

    public long Chunks { get; }

    /// <summary>Whether a file end was told on the connection at hand; a repaired chunk with another digest repeats it.</summary>
    public bool Ended { get; set; }

    public bool Knows(long index) => _known is null ? _knowsOnly : (_known[index >> 6] & 1UL << (int)(index & 63)) != 0;

    /// <summary>Keeps a chunk's digest. True if it was known and is another now: the source changed in between.</summary>
    public bool Learn(long index, UInt128 digest)
    {
        ref UInt128 kept = ref _digests is null ? ref _onlyDigest : ref _digests[index];
        bool changed = Knows(index) && kept != digest;
        kept = digest;
        if (_known is null) _knowsOnly = true;
        else _known[index >> 6] |= 1UL << (int)(index & 63);
        return changed;
    }

    /// <summary>The root digest; every chunk must be known.</summary>
    public UInt128 Root(Digester digester) => _digests is null ? Digester.RootOf(_onlyDigest) : digester.RootOf(_digests);
}
