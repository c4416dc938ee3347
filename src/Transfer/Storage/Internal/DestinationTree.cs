using FastShare.Transfer.Planning;
using FastShare.Transport.Identity;

namespace FastShare.Transfer.Storage.Internal;

/// <summary>
/// The destination: final names, folders and links. Everything is resolved beneath the opened root, following no link, afresh for each
/// batch of files. Never removes anything. Thread-safe.
/// </summary>
internal sealed partial class DestinationTree(IStorageFolder root, IStorageSystem storage, FolderLedger ledger) : IDisposable
{
    // More folders than this are synced with the whole file system instead of one by one.
    private const int MostFoldersSynced = 64;

    private readonly Lock _gate = new();
    private readonly HashSet<string> _unsynced = new(StringComparer.Ordinal); // guarded by _gate: folders whose names changed
    private readonly List<(string Path, int Mode, long Modified)> _folders = []; // guarded by _gate: what Finish sets
    private readonly HashSet<string> _closed = new(StringComparer.Ordinal); // guarded by _gate: made 0700, no entry named them so far
    private readonly HashSet<string> _noted = new(StringComparer.Ordinal); // guarded by _gate: folders of this transfer that were in _closed

    /// <summary>Looks at a final name; null if it is free.</summary>
    public StorageStat? Stat(ManifestEntry entry)
    {
        try
        {
            StorageStat? there = StatInFolder(entry.Path);
            if (there is not null && ledger.HasEarlier) NoteEarlier(Split(entry.Path).Folder);
            return there;
        }
        catch (TransferException e)
        {
            throw ForEntry(e, entry.Path);
        }
    }

    /// <summary>Opens the file under a final name for reading; null if there is none.</summary>
    public IStorageFile? OpenToRead(ManifestEntry entry)
    {
        try
        {
            return root.OpenToRead(entry.Path);
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

    /// <summary>Makes the folders that files are about to be placed in; whether there was one to make.</summary>
    public bool MakeFolders(IEnumerable<string> folders)
    {
        bool any = false;
        foreach (string folder in folders)
        {
            try
            {
                EnsureFolder(folder, out bool created).Dispose();
                any |= created;
            }
            catch (TransferException)
            {
                // told when the file is placed
            }
        }

        return any;
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
            _noted.Add(entry.Path);
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
        lock (_gate)
        {
            folders = [.. _folders];
            _folders.Clear();
            closed = [.. _closed];
            _closed.Clear();
        }

        var failures = new List<TransferException>();
        if (closed.Length > 0) OpenUp(closed, DefaultMode(staging), failures);
        foreach ((string path, int mode, long modified) in folders.OrderByDescending(folder => Depth(folder.Path)))
        {
            try
            {
                using IStorageFolder? folder = root.OpenFolder(path);
                folder?.SetAttributes(mode, modified);
                MarkUnsynced(path);
            }
            catch (TransferException e)
            {
                failures.Add(ForEntry(e, path));
            }
        }

        failures.AddRange(SyncNames());
        return failures;
    }

    /// <summary>Makes all names durable that were given since the last call, deepest folder first, the root's last.</summary>
    /// <returns>Folders that could not be opened: somebody took them away or made them unreadable, which is no failed sync.</returns>
    /// <exception cref="TransferException">A sync failed.</exception>
    public IReadOnlyList<TransferException> SyncNames()
    {
        string[] folders;
        lock (_gate)
        {
            folders = [.. _unsynced];
            _unsynced.Clear();
        }

        if (folders.Length == 0) return [];
        if (storage.CanSyncFileSystem && folders.Length > MostFoldersSynced)
        {
            root.SyncFileSystem();
            return [];
        }

        var failures = new List<TransferException>();
        foreach (string path in folders.OrderByDescending(Depth))
        {
            if (path.Length == 0)
            {
                root.Sync();
                continue;
            }

            IStorageFolder? folder = null;
            try
            {
                folder = root.OpenFolder(path);
            }
            catch (TransferException e)
            {
                failures.Add(ForEntry(e, path));
                if (storage.CanSyncFileSystem) root.SyncFileSystem();
            }

            using (folder) folder?.Sync();
        }

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

    /// <summary>
    /// Notes which folders are about to be made for these paths, so that the notes can be made durable together, by the caller.
    /// </summary>
    public void Announce(IEnumerable<string> folders)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (string folder in folders)
        {
            for (string path = folder; path.Length > 0 && seen.Add(path) && !ledger.Contains(path); path = Split(path).Folder)
            {
                try
                {
                    if (root.Stat(path) is not null) break;
                }
                catch (TransferException)
                {
                    break; // whatever stands in the way is told when the folder is made
                }

                ledger.Add(path);
            }
        }
    }

    /// <summary>The folder that a final name stands in.</summary>
    public static ReadOnlySpan<char> FolderOf(ManifestEntry entry) =>
        entry.Path.AsSpan(0, Math.Max(0, entry.Path.LastIndexOf('/')));

    /// <summary>Folders that an earlier run made, and did not come to open up, are this run's to open up.</summary>
    private void NoteEarlier(string path)
    {
        for (; path.Length > 0; path = Split(path).Folder)
        {
            if (!ledger.Contains(path)) continue;
            lock (_gate)
            {
                if (!_noted.Add(path)) return;
                _closed.Add(path);
            }
        }
    }

    /// <summary>Opens a folder, making it and those above it where they are missing.</summary>
    /// <param name="path">The folder; empty: the root.</param>
    /// <param name="created">Whether this call made it.</param>
    private IStorageFolder EnsureFolder(string path, out bool created)
    {
        created = false;
        if (root.OpenFolder(path) is { } there)
        {
            if (ledger.HasEarlier) NoteEarlier(path);
            return there;
        }

        (string parentPath, string leaf) = Split(path);
        using (IStorageFolder parent = EnsureFolder(parentPath, out _))
        {
            ledger.Add(path);
            ledger.Sync();
            // nobody else looks in before Finish knows who may: the folder's own entry may come after its files are published
            created = parent.CreateFolder(leaf, 0x1C0);
        }

        ForgetMissing();
        if (created)
        {
            lock (_gate)
            {
                _unsynced.Add(parentPath);
                _closed.Add(path);
                _noted.Add(path);
            }
        }

        return root.OpenFolder(path) ?? throw new TransferException(
            TransferError.StorageFault, $"The folder “{PeerText.Escape(path)}” was removed while it was being made.")
        { Path = path };
    }

    /// <summary>The permission bits that a new folder gets by the umask; −1 where there are none.</summary>
    private static int DefaultMode(IStorageFolder staging)
    {
        staging.RemoveFolder(Staging.ModeProbeName); // of a run that was cut off
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
                MarkUnsynced(path);
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
