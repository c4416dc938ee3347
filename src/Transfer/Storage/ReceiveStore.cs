using FastShare.Transfer.Planning;

namespace FastShare.Transfer.Storage;

/// <summary>The receiving side's storage of one transfer.</summary>
internal sealed class ReceiveStore : IAsyncDisposable
{
    /// <summary>Opens the destination, making it if needed, locks the transfer and reads what an earlier run left.</summary>
    public static ReceiveStore Open(string folder, TransferId id, ReceiveStoreOptions options) => throw new NotImplementedException();

    /// <summary>Adds to the bytes to come; checks quota and free space.</summary>
    public void Expect(long bytes) => throw new NotImplementedException();

    /// <summary>Whether an equal final file (size and time) is there already, so that nothing needs to be sent.</summary>
    public bool TryGetExisting(ManifestEntry entry) => throw new NotImplementedException();

    /// <summary>Opens the staging file of an entry; it knows which chunks it already has.</summary>
    public ReceiveFile OpenFile(ManifestEntry entry, uint chunkSize) => throw new NotImplementedException();

    public void CreateDirectory(ManifestEntry entry) => throw new NotImplementedException();

    public void CreateSymlink(ManifestEntry entry) => throw new NotImplementedException();

    /// <summary>Publishes the small files that wait for their batch. Call it when idle and about every 2 s.</summary>
    public void PublishPending() => throw new NotImplementedException();

    /// <summary>Publishes what waits, sets modes and times of folders deepest first, syncs folders.</summary>
    public void Finish() => throw new NotImplementedException();

    /// <summary>Removes the staging folder and everything FastShare put in it.</summary>
    public void DiscardStaging() => throw new NotImplementedException();

    /// <summary>Stops cleanly: state is kept for a resume unless nothing is staged.</summary>
    public ValueTask DisposeAsync() => throw new NotImplementedException();
}
