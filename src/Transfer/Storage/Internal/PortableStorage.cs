namespace FastShare.Transfer.Storage.Internal;

/// <summary>
/// The receiving side's file system with nothing but the framework, for macOS, Windows and what <see cref="LinuxCalls"/> does not
/// cover. Weaker than the one for Linux: links in the way are looked for before each step instead of being excluded by the system, so
/// somebody with access to the destination can race it; names are not synced, so a file published right before a power cut may be
/// missing afterwards and is received again; on Windows, modes are not kept.
/// </summary>
internal sealed class PortableStorage : IStorageSystem
{
    /// <inheritdoc/>
    public bool CanSyncFileSystem => false;

    /// <inheritdoc/>
    public IStorageFolder OpenDestination(string folder)
    {
        string full = Path.GetFullPath(folder);
        PortableError.Run("create the folder", folder, () => Directory.CreateDirectory(full));
        return new PortableFolder(full, "");
    }

    /// <inheritdoc/>
    public IStorageFolder? OpenExisting(string folder)
    {
        string full = Path.GetFullPath(folder);
        return Directory.Exists(full) ? new PortableFolder(full, "") : null;
    }

    /// <inheritdoc/>
    public long FreeBytes(string folder)
    {
        string full = Path.GetFullPath(folder);
        string? at = full;
        while (at is not null && !Directory.Exists(at)) at = Path.GetDirectoryName(at);
        return PortableError.Run("look at the free space of", folder, () => new DriveInfo(at ?? full).AvailableFreeSpace);
    }
}

/// <summary>A folder by its path: <paramref name="root"/> is the user's own, <paramref name="relative"/> leads from there.</summary>
internal sealed class PortableFolder(string root, string relative) : IStorageFolder
{
    private string FullPath => Path.Combine(root, relative);

    /// <inheritdoc/>
    public IStorageFolder? OpenFolder(string path)
    {
        string joined = Path.Combine(relative, path);
        StorageStat? stat = PortableError.StatBeneath(root, joined);
        return stat?.Kind switch
        {
            null => null,
            StorageKind.Folder => new PortableFolder(root, joined),
            StorageKind.Symlink => throw PortableError.LinkInTheWay(path),
            _ => throw PortableError.Taken("open the folder", path, "it is a file"),
        };
    }

    /// <inheritdoc/>
    public bool CreateFolder(string name, int mode) => PortableError.Run("create the folder", name, () =>
    {
        string full = Path.Combine(FullPath, name);
        if (Exists(full)) return false;
        if (OperatingSystem.IsWindows()) Directory.CreateDirectory(full);
        else Directory.CreateDirectory(full, (UnixFileMode)(mode & 0x1FF));
        return true;
    });

    /// <inheritdoc/>
    public IStorageFile CreateFile(string name, int mode) => Open(name, FileMode.CreateNew, mode);

    /// <inheritdoc/>
    public IStorageFile? OpenFile(string name) => PortableError.StatBeneath(root, Path.Combine(relative, name))?.Kind switch
    {
        null => null,
        StorageKind.File => Open(name, FileMode.Open, -1),
        _ => throw PortableError.LinkInTheWay(name),
    };

    // times are set through what can write, on Windows
    /// <inheritdoc/>
    public IStorageFile? OpenToRead(string path) => OpenFile(path);

    /// <inheritdoc/>
    public StorageStat? Stat(string path) => PortableError.StatBeneath(root, Path.Combine(relative, path));

    /// <inheritdoc/>
    public StorageStat Stat() => PortableError.StatPath(FullPath)
        ?? throw new TransferException(TransferError.StorageFault, PortableError.Text("look at", FullPath, "it is gone"));

    /// <inheritdoc/>
    public void Rename(string name, IStorageFolder to, string newName, bool replace)
    {
        string target = Path.Combine(((PortableFolder)to).FullPath, newName);
        // a folder or link of that name is not a file to be replaced, and File.Move says so in words of its own
        if (Exists(target) && (!replace || Directory.Exists(target)))
        {
            throw PortableError.Taken("publish", newName, "something of that name is already there");
        }

        PortableError.Run("publish", newName, () => File.Move(Path.Combine(FullPath, name), target, replace));
    }

    /// <inheritdoc/>
    public bool CreateSymlink(string name, string target) => PortableError.Run("create the link", name, () =>
    {
        string full = Path.Combine(FullPath, name);
        if (Exists(full)) return false;
        File.CreateSymbolicLink(full, target);
        return true;
    });

    /// <inheritdoc/>
    public string? ReadSymlink(string name) =>
        PortableError.Run("look at", name, () => new FileInfo(Path.Combine(FullPath, name)).LinkTarget);

    /// <inheritdoc/>
    public void RemoveFile(string name) => PortableError.Run("remove", name, () => File.Delete(Path.Combine(FullPath, name)));

    /// <inheritdoc/>
    public bool RemoveFolder(string name) => PortableError.Run("remove the folder", name, () =>
    {
        string full = Path.Combine(FullPath, name);
        if (!Directory.Exists(full) || Directory.EnumerateFileSystemEntries(full).Any()) return false;
        Directory.Delete(full);
        return true;
    });

    /// <inheritdoc/>
    public IDisposable? TryLock(string name)
    {
        try
        {
            // flock on macOS, a share mode on Windows: both end with the process
            return new FileStream(Path.Combine(FullPath, name), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1);
        }
        catch (DirectoryNotFoundException)
        {
            return null;
        }
        catch (UnauthorizedAccessException e)
        {
            throw PortableError.From(e, "lock", name);
        }
        catch (IOException)
        {
            return null;
        }
    }

    /// <inheritdoc/>
    public IReadOnlyList<string> List() => PortableError.Run("list", FullPath, () =>
        Directory.EnumerateFileSystemEntries(FullPath).Select(path => Path.GetFileName(path)).ToList());

    /// <inheritdoc/>
    public void SetAttributes(int mode, long modifiedUnixNanoseconds) => PortableError.Run("set the time of", FullPath, () =>
    {
        if (mode >= 0 && !OperatingSystem.IsWindows()) File.SetUnixFileMode(FullPath, (UnixFileMode)(mode & 0x1FF));
        Directory.SetLastWriteTimeUtc(FullPath, PortableError.Time(modifiedUnixNanoseconds));
    });

    /// <inheritdoc/>
    public void Sync()
    {
        // the framework cannot
    }

    /// <inheritdoc/>
    public void SyncFileSystem() => throw new NotSupportedException("Ask CanSyncFileSystem first.");

    /// <inheritdoc/>
    public long FreeBytes() => PortableError.Run("look at the free space of", FullPath, () => new DriveInfo(FullPath).AvailableFreeSpace);

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    private static bool Exists(string full) => PortableError.StatPath(full) is not null;

    private PortableFile Open(string name, FileMode fileMode, int mode) => PortableError.Run("open", name, () =>
    {
        var options = new FileStreamOptions
        {
            Mode = fileMode,
            Access = FileAccess.ReadWrite,
            Share = FileShare.ReadWrite | FileShare.Delete,
            BufferSize = 0,
        };
        if (mode >= 0 && !OperatingSystem.IsWindows()) options.UnixCreateMode = (UnixFileMode)(mode & 0x1FF);
        string full = Path.Combine(FullPath, name);
        return new PortableFile(new FileStream(full, options), full);
    });
}

/// <summary>A file by the framework.</summary>
internal sealed class PortableFile(FileStream stream, string path) : IStorageFile
{
    /// <inheritdoc/>
    public int Read(long offset, Span<byte> destination)
    {
        try
        {
            int done = 0;
            while (done < destination.Length)
            {
                int count = RandomAccess.Read(stream.SafeFileHandle, destination[done..], offset + done);
                if (count == 0) break;
                done += count;
            }

            return done;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw PortableError.From(e, "read", path);
        }
    }

    /// <inheritdoc/>
    public void Write(long offset, ReadOnlySpan<byte> source)
    {
        try
        {
            RandomAccess.Write(stream.SafeFileHandle, source, offset);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw PortableError.From(e, "write", path);
        }
    }

    /// <inheritdoc/>
    public void MakeHole(long offset, long length) => StorageZeros.Write(this, offset, length);

    /// <inheritdoc/>
    public void SetLength(long length) =>
        PortableError.Run("set the length of", path, () => RandomAccess.SetLength(stream.SafeFileHandle, length));

    /// <inheritdoc/>
    public void Reserve(long length)
    {
        // the framework cannot, for a file that is open
    }

    /// <inheritdoc/>
    public void SyncData() => Sync();

    /// <inheritdoc/>
    public void Sync() => PortableError.Run("make durable", path, () => RandomAccess.FlushToDisk(stream.SafeFileHandle));

    /// <inheritdoc/>
    public void SetAttributes(int mode, long modifiedUnixNanoseconds) => PortableError.Run("set the time of", path, () =>
    {
        if (mode >= 0 && !OperatingSystem.IsWindows()) File.SetUnixFileMode(stream.SafeFileHandle, (UnixFileMode)(mode & 0x1FF));
        File.SetLastWriteTimeUtc(stream.SafeFileHandle, PortableError.Time(modifiedUnixNanoseconds));
    });

    /// <inheritdoc/>
    public StorageStat Stat() => PortableError.Run("look at", path, () =>
    {
        long modified = PortableError.Nanoseconds(File.GetLastWriteTimeUtc(stream.SafeFileHandle));
        long size = RandomAccess.GetLength(stream.SafeFileHandle);
        int mode = OperatingSystem.IsWindows() ? -1 : (int)File.GetUnixFileMode(stream.SafeFileHandle);
        return new StorageStat(StorageKind.File, size, size, mode, modified, modified, 0, 0, 1, true);
    });

    /// <inheritdoc/>
    public void Dispose() => stream.Dispose();
}
