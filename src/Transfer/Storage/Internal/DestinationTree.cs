using FastShare.Transfer.Planning;
using FastShare.Transport.Identity;

namespace FastShare.Transfer.Storage.Internal;

/// <summary>
/// The destination: final names, folders and links. Everything is resolved afresh beneath the opened root, so whatever somebody swaps
/// meanwhile, nothing lands elsewhere. Never removes anything. Thread-safe.
/// </summary>
internal sealed class DestinationTree(IStorageFolder root, IStorageSystem storage, FolderLedger ledger)
{
    // More folders than this are synced with the whole file system instead of one by one.
    private const int MostFoldersSynced = 64;

    private readonly Lock _gate = new();
    private readonly HashSet<string> _unsynced = new(StringComparer.Ordinal); // guarded by _gate: folders whose names changed
    private readonly List<(string Path, int Mode, long Modified)> _folders = []; // guarded by _gate: what Finish sets
    private readonly HashSet<string> _closed = new(StringComparer.Ordinal); // guarded by _gate: made 0700, no entry named them so far

    /// <summary>Looks at a final name; null if it is free.</summary>
    public StorageStat? Stat(ManifestEntry entry)
    {
        try
        {
            return root.Stat(entry.Path);
        }
        catch (TransferException e)
        {
            throw ForEntry(e, entry.Path);
        }
    }

    /// <summary>Whether what stands there is the entry: its size and time, as far as the file system keeps times.</summary>
    public static bool IsEqual(StorageStat there, ManifestEntry entry)
    {
        if (there.Kind != StorageKind.File || there.Size != entry.Size) return false;
        long time = there.ModifiedUnixNanoseconds;
        if (time == entry.ModifiedUnixNanoseconds) return true;
        // Coarser file systems round down: to 100 ns (NTFS), 1 µs, 1 s (HFS+, ext3), 2 s (FAT).
        foreach (long grain in (ReadOnlySpan<long>)[100, 1_000, 1_000_000_000, 2_000_000_000])
        {
            long rounded = entry.ModifiedUnixNanoseconds - ((entry.ModifiedUnixNanoseconds % grain) + grain) % grain;
            if (time == rounded) return true;
        }

        return false;
    }

    /// <summary>Renames a durable staged file to its final name.</summary>
    /// <exception cref="TransferException">It cannot stand there; the staged file is where it was.</exception>
    public void Place(IStorageFolder staging, string name, ManifestEntry entry, bool replace)
    {
        (string folderPath, string leaf) = Split(entry.Path);
        try
        {
            using IStorageFolder folder = EnsureFolder(folderPath, out _);
            staging.Rename(name, folder, leaf, replace);
        }
        catch (TransferException e) when (e.Error == TransferError.DestinationExists && !replace)
        {
            throw Exists(entry.Path, e);
        }
        catch (TransferException e)
        {
            throw ForEntry(e, entry.Path);
        }

        MarkUnsynced(folderPath);
    }

    /// <summary>Makes a folder unless it is there. Its mode and time are set by <see cref="Finish"/> if this transfer made it.</summary>
    public void CreateDirectory(ManifestEntry entry)
    {
        bool created;
        try
        {
            EnsureFolder(entry.Path, out created).Dispose();
        }
        catch (TransferException e)
        {
            throw ForEntry(e, entry.Path);
        }

        if (!created && !ledger.Contains(entry.Path)) return;
        lock (_gate)
        {
            _folders.Add((entry.Path, entry.Mode, entry.ModifiedUnixNanoseconds));
            if (entry.Mode >= 0) _closed.Remove(entry.Path);
        }
    }

    /// <summary>Makes a symbolic link unless an equal one is there.</summary>
    public void CreateSymlink(ManifestEntry entry)
    {
        (string folderPath, string leaf) = Split(entry.Path);
        try
        {
            using IStorageFolder folder = EnsureFolder(folderPath, out _);
            bool created = folder.CreateSymlink(leaf, entry.LinkTarget!);
            if (!created && folder.ReadSymlink(leaf) != entry.LinkTarget) throw Exists(entry.Path, null);
        }
        catch (TransferException e)
        {
            throw ForEntry(e, entry.Path);
        }

        MarkUnsynced(folderPath);
    }

    /// <summary>
    /// Sets modes and times of the folders this transfer made, deepest first, and makes all names durable, the root's last.
    /// </summary>
    /// <param name="staging">Where to try out what mode the umask leaves.</param>
    /// <returns>What failed on its own; a failed sync throws instead.</returns>
    public IReadOnlyList<TransferException> Finish(IStorageFolder staging)
    {
        string[] closed;
        (string Path, int Mode, long Modified)[] folders;
        HashSet<string> unsynced;
        lock (_gate)
        {
            folders = [.. _folders];
            _folders.Clear();
            closed = [.. _closed];
            _closed.Clear();
            unsynced = new HashSet<string>(_unsynced, StringComparer.Ordinal);
            _unsynced.Clear();
        }

        var failures = new List<TransferException>();
        if (closed.Length > 0) OpenUp(closed, DefaultMode(staging), failures);
        foreach ((string path, int mode, long modified) in folders.OrderByDescending(folder => Depth(folder.Path)))
        {
            try
            {
                using IStorageFolder? folder = root.OpenFolder(path);
                folder?.SetAttributes(mode, modified);
                unsynced.Add(path);
            }
            catch (TransferException e)
            {
                failures.Add(ForEntry(e, path));
            }
        }

        if (storage.CanSyncFileSystem && unsynced.Count > MostFoldersSynced)
        {
            root.SyncFileSystem();
            return failures;
        }

        foreach (string path in unsynced.OrderByDescending(Depth))
        {
            if (path.Length == 0) continue;
            IStorageFolder? folder = null;
            try
            {
                folder = root.OpenFolder(path);
            }
            catch (TransferException e)
            {
                // somebody took it away or made it unreadable, which is no failed sync
                failures.Add(ForEntry(e, path));
            }

            using (folder) folder?.Sync();
        }

        root.Sync();
        return failures;
    }

    /// <summary>The same failure with the entry's whole path.</summary>
    public static TransferException ForEntry(TransferException e, string path) => e.Path == path
        ? e
        : new TransferException(e.Error, $"“{PeerText.Escape(path)}”: {e.Message}", e) { Path = path };

    /// <summary>The error for a final name that is taken.</summary>
    public static TransferException Exists(string path, Exception? inner) => new(
        TransferError.DestinationExists,
        $"“{PeerText.Escape(path)}” is already there and is not the same file; move it away or replace it (--replace).", inner)
    {
        Path = path,
    };

    private static int Depth(string path) => path.Length == 0 ? 0 : 1 + path.AsSpan().Count('/');

    private static (string Folder, string Leaf) Split(string path)
    {
        int slash = path.LastIndexOf('/');
        return slash < 0 ? ("", path) : (path[..slash], path[(slash + 1)..]);
    }

    /// <summary>Opens a folder, making it and those above it where they are missing.</summary>
    /// <param name="path">The folder; empty: the root.</param>
    /// <param name="created">Whether this call made it.</param>
    private IStorageFolder EnsureFolder(string path, out bool created)
    {
        created = false;
        if (root.OpenFolder(path) is { } there) return there;
        (string parentPath, string leaf) = Split(path);
        using (IStorageFolder parent = EnsureFolder(parentPath, out _))
        {
            // nobody else looks in before Finish knows who may: the folder's own entry may come after its files are published
            created = parent.CreateFolder(leaf, 0x1C0);
        }

        if (created)
        {
            ledger.Add(path);
            lock (_gate)
            {
                _unsynced.Add(parentPath);
                _closed.Add(path);
            }
        }

        return root.OpenFolder(path) ?? throw new TransferException(
            TransferError.StorageFault, $"The folder “{PeerText.Escape(path)}” was removed while it was being made.")
        { Path = path };
    }

    /// <summary>The permission bits that a new folder gets by the umask; −1 where there are none.</summary>
    private static int DefaultMode(IStorageFolder staging)
    {
        staging.CreateFolder(Staging.ModeProbeName, 0x1FF);
        int mode = staging.Stat(Staging.ModeProbeName)?.Mode ?? -1;
        staging.RemoveFolder(Staging.ModeProbeName);
        return mode < 0 ? -1 : mode & 0x1FF;
    }

    /// <summary>Gives folders that no entry tells the mode of what any new folder gets.</summary>
    private void OpenUp(string[] paths, int mode, List<TransferException> failures)
    {
        foreach (string path in paths)
        {
            try
            {
                using IStorageFolder? folder = root.OpenFolder(path);
                folder?.SetAttributes(mode, folder.Stat().ModifiedUnixNanoseconds);
            }
            catch (TransferException e)
            {
                failures.Add(ForEntry(e, path));
            }
        }
    }

    private void MarkUnsynced(string folder)
    {
        lock (_gate) _unsynced.Add(folder);
    }
}
