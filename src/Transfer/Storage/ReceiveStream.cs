using FastShare.Transfer.Planning;
using FastShare.Transfer.Storage.Internal;

namespace FastShare.Transfer.Storage;

/// <summary>
/// A file being received into staging from its start to its end, whose size only its end tells. The journal knows nothing of it: no sender
/// can go on with it after this process, so what is left of it is removed. Used by one writer.
/// </summary>
internal sealed class ReceiveStream : IDisposable
{
    private readonly ReceiveStore _store;
    private readonly ManifestEntry _entry;
    private readonly StagedFile _staged;
    private IStorageFile? _data;
    private long _length;
    private bool _closed;

    internal ReceiveStream(ReceiveStore store, ManifestEntry entry, StagedFile staged)
    {
        _store = store;
        _entry = entry;
        _staged = staged;
    }

    /// <summary>Writes what follows. Blocks.</summary>
    /// <exception cref="TransferException">Storage failed, and the store with it.</exception>
    public void Write(ReadOnlySpan<byte> bytes)
    {
        _store.ThrowIfFaulted();
        try
        {
            (_data ??= _store.CreateData(_staged, _entry.Mode, out _)).Write(_length, bytes);
        }
        catch (TransferException e)
        {
            throw _store.SetFault(e, _entry.Path);
        }

        _length += bytes.Length;
        // Room was kept for what was announced.
        if (_entry.Size != ManifestEntry.UnknownSize) _store.CountUnclaimed(bytes.Length);
    }

    /// <summary>
    /// Puts what was written under its final name, as <see cref="ReceiveFile.Publish"/> does; <see cref="ReceiveStoreOptions.Published"/>
    /// tells. Nothing can be written any more.
    /// </summary>
    /// <exception cref="TransferException">Storage failed, and the store with it.</exception>
    public void Publish()
    {
        ObjectDisposedException.ThrowIf(_closed, this);
        _closed = true;
        ManifestEntry whole = _entry with { Kind = EntryKind.File, Size = _length };
        // Its map has no chunks, so it is complete, and there is nothing that the journal could claim.
        var file = new ReceiveFile(_store, whole, _staged);
        if (_data is not null) file.Attach(_data);
        file.Publish();
    }

    /// <summary>Unless it was published, what was written is thrown away.</summary>
    public void Dispose()
    {
        if (_closed) return;
        _closed = true;
        if (_data is null) return;
        _data.Dispose();
        _store.RemoveData(_staged);
    }
}
