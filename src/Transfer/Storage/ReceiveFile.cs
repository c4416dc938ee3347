using FastShare.Transfer.Planning;

namespace FastShare.Transfer.Storage;

/// <summary>One file being received into staging. WriteChunk and HasChunk may be called from several threads.</summary>
internal sealed class ReceiveFile : IDisposable
{
    /// <summary>What it will become.</summary>
    public ManifestEntry Entry => throw new NotImplementedException();

    /// <summary>Number of chunks; 0 for an empty file.</summary>
    public long ChunkCount => throw new NotImplementedException();

    /// <summary>Bytes of the chunks it has.</summary>
    public long BytesPresent => throw new NotImplementedException();

    /// <summary>Whether every chunk is there and verified.</summary>
    public bool IsComplete => throw new NotImplementedException();

    /// <summary>Whether the chunk is there. After an unclean stop this reads the chunk back and verifies it the first time.</summary>
    public bool HasChunk(long index) => throw new NotImplementedException();

    /// <summary>Whether the chunk is there or claimed by the journal, without reading it back.</summary>
    public bool IsClaimed(long index) => throw new NotImplementedException();

    /// <summary>Writes a chunk whose digest the caller has verified. False: it was there already, nothing was written.</summary>
    public bool WriteChunk(long index, ReadOnlySpan<byte> payload, UInt128 digest) => throw new NotImplementedException();

    /// <summary>XXH128 over the chunks' digests, each 16 bytes big-endian, in order. Only when complete.</summary>
    public UInt128 RootDigest() => throw new NotImplementedException();

    /// <summary>
    /// Puts the complete file under its final name, now or with the next batch; <see cref="ReceiveStoreOptions.Published"/> tells.
    /// </summary>
    public void Publish() => throw new NotImplementedException();

    /// <summary>Throws the staged data away.</summary>
    public void Discard() => throw new NotImplementedException();

    /// <summary>Closes the file; what it has is kept for a resume.</summary>
    public void Dispose() => throw new NotImplementedException();
}
