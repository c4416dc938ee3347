using System.Buffers.Binary;
using System.IO.Hashing;
using System.Runtime.InteropServices;

namespace FastShare.Transfer.Storage.Internal;

/// <summary>
/// Remembers, across restarts, which folders this transfer made: only those get modes and times from the manifest; a folder that the
/// user had already keeps its own. A folder is made only once its key is durable, for it may outlast a power cut that takes the key;
/// so keys are added for a whole batch and synced together. Thread-safe.
/// </summary>
internal sealed class FolderLedger : IDisposable
{
    private const int MaxBytes = 16 << 22; // a key for each of the most entries a manifest may have

    private readonly Lock _gate = new();
    private readonly HashSet<UInt128> _made = []; // guarded by _gate
    private readonly IStorageFolder _staging;
    private IStorageFile? _file; // guarded by _gate; made with the first folder
    private long _length; // guarded by _gate
    private bool _isUnsynced; // guarded by _gate
    private bool _isNew; // guarded by _gate: its name is not durable yet

    /// <summary>Reads what an earlier run left.</summary>
    public FolderLedger(IStorageFolder staging)
    {
        _staging = staging;
        if (staging.Stat(Staging.FoldersName) is not { } stat) return;
        if (stat is { Kind: StorageKind.File, Links: 1, IsOwn: true, Size: <= MaxBytes })
        {
            _file = staging.OpenFile(Staging.FoldersName);
        }

        if (_file is null)
        {
            staging.RemoveFile(Staging.FoldersName);
            return;
        }

        byte[] bytes = new byte[stat.Size / 16 * 16];
        _length = _file.Read(0, bytes) / 16 * 16;
        HasEarlier = _length > 0;
        for (int at = 0; at < _length; at += 16) _made.Add(BinaryPrimitives.ReadUInt128BigEndian(bytes.AsSpan(at)));
    }

    /// <summary>Whether no folder was made.</summary>
    public bool IsEmpty
    {
        get
        {
            lock (_gate) return _made.Count == 0;
        }
    }

    /// <summary>Whether an earlier run made folders.</summary>
    public bool HasEarlier { get; }

    /// <summary>Whether this transfer made the folder, or was about to.</summary>
    public bool Contains(string path)
    {
        lock (_gate) return _made.Contains(KeyOf(path));
    }

    /// <summary>Adds a folder that is about to be made; <see cref="Sync"/> comes before making it.</summary>
    public void Add(string path)
    {
        UInt128 key = KeyOf(path);
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, key);
        lock (_gate)
        {
            if (!_made.Add(key) || _length >= MaxBytes) return;
            _isNew |= _file is null;
            _file ??= _staging.CreateFile(Staging.FoldersName, 0x180);
            _isUnsynced = true;
            _file.Write(_length, bytes);
            _length += 16;
        }
    }

    /// <summary>Makes the keys durable that were added.</summary>
    public void Sync()
    {
        lock (_gate)
        {
            if (!_isUnsynced) return;
            _isUnsynced = false;
            _file!.SyncData();
            if (_isNew) _staging.Sync();
            _isNew = false;
        }
    }

    /// <summary>Runs a sync that covers the whole file system, and so all keys that were added before.</summary>
    public void SyncWith(Action syncFileSystem)
    {
        lock (_gate)
        {
            syncFileSystem();
            _isUnsynced = _isNew = false;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_gate) _file?.Dispose();
    }

    private static UInt128 KeyOf(string path) => XxHash128.HashToUInt128(MemoryMarshal.AsBytes(path.AsSpan()));
}
