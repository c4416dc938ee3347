using System.Runtime.InteropServices;

namespace FastShare.Transfer.Storage.Internal;

/// <summary>A folder on Linux.</summary>
/// <param name="handle">The descriptor, owned.</param>
/// <param name="label">What messages call it.</param>
internal sealed class LinuxFolder(LinuxHandle handle, string label) : IStorageFolder
{
    // Permission bits of a folder: no set-gid, which would hand the group on, and no sticky bit.
    private const int PermissionBits = 0x1FF;

    /// <inheritdoc/>
    public IStorageFolder? OpenFolder(string path)
    {
        using LinuxHandle.Lease own = handle.Use();
        int result = LinuxPaths.Open(own.Descriptor, path, LinuxCalls.ReadOnly | LinuxCalls.Directory);
        if (result >= 0) return new LinuxFolder(new LinuxHandle(result), path);
        return result == -LinuxError.NoEntry ? null : throw LinuxError.From(-result, "open the folder", path);
    }

    /// <inheritdoc/>
    public bool CreateFolder(string name, int mode)
    {
        using LinuxHandle.Lease own = handle.Use();
        if (LinuxCalls.MakeFolderAt(own.Descriptor, name, (uint)(mode & PermissionBits)) == 0) return true;
        int errno = Marshal.GetLastPInvokeError();
        return errno == LinuxError.Exists ? false : throw LinuxError.From(errno, "create the folder", name);
    }

    /// <inheritdoc/>
    public IStorageFile CreateFile(string name, int mode)
    {
        using LinuxHandle.Lease own = handle.Use();
        int result = LinuxPaths.Open(own.Descriptor, name, LinuxCalls.ReadWrite | LinuxCalls.Create | LinuxCalls.Exclusive, mode);
        return result >= 0 ? new LinuxFile(new LinuxHandle(result), name) : throw LinuxError.From(-result, "create", name);
    }

    /// <inheritdoc/>
    public IStorageFile? OpenFile(string name) => OpenFile(name, LinuxCalls.ReadWrite);

    /// <inheritdoc/>
    public IStorageFile? OpenToRead(string path) => OpenFile(path, LinuxCalls.ReadOnly);

    private LinuxFile? OpenFile(string name, int access)
    {
        using LinuxHandle.Lease own = handle.Use();
        // without blocking, lest somebody put a pipe there
        int result = LinuxPaths.Open(own.Descriptor, name, access | LinuxCalls.NonBlock);
        if (result == -LinuxError.NoEntry) return null;
        if (result < 0) throw LinuxError.From(-result, "open", name);
        var file = new LinuxFile(new LinuxHandle(result), name);
        if (file.Stat().Kind == StorageKind.File) return file;
        file.Dispose();
        throw LinuxError.From(LinuxError.Invalid, "open as a file", name);
    }

    /// <inheritdoc/>
    public StorageStat? Stat(string path)
    {
        using LinuxHandle.Lease own = handle.Use();
        int result = LinuxPaths.Stat(own.Descriptor, path, out StorageStat stat);
        if (result == 0) return stat;
        return result == -LinuxError.NoEntry ? null : throw LinuxError.From(-result, "look at", path);
    }

    /// <inheritdoc/>
    public StorageStat Stat()
    {
        using LinuxHandle.Lease own = handle.Use();
        int result = LinuxPaths.StatAt(own.Descriptor, "", out StorageStat stat);
        return result == 0 ? stat : throw LinuxError.From(-result, "look at", label);
    }

    /// <inheritdoc/>
    public void Rename(string name, IStorageFolder to, string newName, bool replace)
    {
        using LinuxHandle.Lease from = handle.Use();
        using LinuxHandle.Lease target = ((LinuxFolder)to).Use();
        int errno = Rename(from.Descriptor, name, target.Descriptor, newName, replace);
        if (errno != 0) throw LinuxError.From(errno, "publish", newName);
    }

    /// <inheritdoc/>
    public bool CreateSymlink(string name, string target)
    {
        using LinuxHandle.Lease own = handle.Use();
        if (LinuxCalls.SymlinkAt(target, own.Descriptor, name) == 0) return true;
        int errno = Marshal.GetLastPInvokeError();
        return errno == LinuxError.Exists ? false : throw LinuxError.From(errno, "create the link", name);
    }

    /// <inheritdoc/>
    public string? ReadSymlink(string name)
    {
        using LinuxHandle.Lease own = handle.Use();
        return LinuxPaths.ReadLink(own.Descriptor, name);
    }

    /// <inheritdoc/>
    public void RemoveFile(string name)
    {
        using LinuxHandle.Lease own = handle.Use();
        if (LinuxCalls.UnlinkAt(own.Descriptor, name, 0) == 0) return;
        int errno = Marshal.GetLastPInvokeError();
        if (errno != LinuxError.NoEntry) throw LinuxError.From(errno, "remove", name);
    }

    /// <inheritdoc/>
    public bool RemoveFolder(string name)
    {
        using LinuxHandle.Lease own = handle.Use();
        if (LinuxCalls.UnlinkAt(own.Descriptor, name, LinuxCalls.AtRemoveDir) == 0) return true;
        int errno = Marshal.GetLastPInvokeError();
        return errno is LinuxError.NoEntry or LinuxError.NotEmpty or LinuxError.Exists
            ? false
            : throw LinuxError.From(errno, "remove the folder", name);
    }

    /// <inheritdoc/>
    public IDisposable? TryLock(string name)
    {
        using LinuxHandle.Lease own = handle.Use();
        while (true)
        {
            int result = LinuxPaths.Open(own.Descriptor, name, LinuxCalls.ReadWrite | LinuxCalls.Create | LinuxCalls.NonBlock, 0x180);
            if (result == -LinuxError.NoEntry) return null; // this very folder was removed
            if (result < 0) throw LinuxError.From(-result, "open the lock", name);
            var file = new LinuxHandle(result);
            while (LinuxCalls.Lock(result, LinuxCalls.LockExclusiveNonBlocking) != 0)
            {
                int errno = Marshal.GetLastPInvokeError();
                if (errno == LinuxError.Interrupted) continue;
                file.Dispose();
                return errno == LinuxError.Again ? null : throw LinuxError.From(errno, "lock", name);
            }

            // whoever held it may have removed the file between our opening and locking it: then the lock guards nothing
            if (LinuxPaths.StatAt(own.Descriptor, name, out StorageStat named) == 0
                && LinuxPaths.StatAt(result, "", out StorageStat locked) == 0
                && named.FileId == locked.FileId)
            {
                return file;
            }

            file.Dispose();
        }
    }

    /// <inheritdoc/>
    public IReadOnlyList<string> List()
    {
        using LinuxHandle.Lease own = handle.Use();
        // a descriptor of its own, for the position in the folder is shared by all users of one
        int folder = LinuxPaths.Open(own.Descriptor, "", LinuxCalls.ReadOnly | LinuxCalls.Directory);
        if (folder < 0) throw LinuxError.From(-folder, "list", label);
        using var listed = new LinuxHandle(folder);
        var names = new List<string>();
        int result = LinuxPaths.List(folder, names);
        return result == 0 ? names : throw LinuxError.From(-result, "list", label);
    }

    /// <inheritdoc/>
    public void SetAttributes(int mode, long modifiedUnixNanoseconds) =>
        LinuxFile.SetAttributes(handle, label, mode, modifiedUnixNanoseconds);

    /// <inheritdoc/>
    public void Sync() => LinuxFile.Sync(handle, label, LinuxCalls.Sync);

    /// <inheritdoc/>
    public void SyncFileSystem() => LinuxFile.Sync(handle, label, LinuxCalls.SyncFileSystem);

    /// <inheritdoc/>
    public unsafe long FreeBytes()
    {
        using LinuxHandle.Lease own = handle.Use();
        LinuxCalls.StatVfs stat;
        if (LinuxCalls.StatFileSystem(own.Descriptor, &stat) != 0)
        {
            throw LinuxError.From(Marshal.GetLastPInvokeError(), "look at the free space of", label);
        }

        return (long)UInt128.Min((UInt128)stat.AvailableBlocks * stat.FragmentSize, long.MaxValue);
    }

    /// <inheritdoc/>
    public void Dispose() => handle.Dispose();

    private LinuxHandle.Lease Use() => handle.Use();

    private static int Rename(int from, string name, int to, string newName, bool replace)
    {
        if (replace) return LinuxCalls.RenameAt(from, name, to, newName) == 0 ? 0 : Marshal.GetLastPInvokeError();

        if (LinuxCalls.RenameAt2(from, name, to, newName, LinuxCalls.RenameNoReplace) == 0) return 0;
        int errno = Marshal.GetLastPInvokeError();
        // file systems without the flag (NFS among them) say EINVAL, old kernels ENOSYS: a hard link does not replace either
        if (errno is not (LinuxError.Invalid or LinuxError.NotImplemented)) return errno;
        if (LinuxCalls.LinkAt(from, name, to, newName, 0) != 0)
        {
            errno = Marshal.GetLastPInvokeError();
            if (errno is not (LinuxError.NotPermitted or LinuxError.NotSupported or LinuxError.TooManyLinks)) return errno;
            // neither flag nor links (FAT, some FUSE): look first, though somebody else could still come between
            if (LinuxPaths.StatAt(to, newName, out _) != -LinuxError.NoEntry) return LinuxError.Exists;
            return LinuxCalls.RenameAt(from, name, to, newName) == 0 ? 0 : Marshal.GetLastPInvokeError();
        }

        // the name stands; a second name left in staging is removed with it
        return LinuxCalls.UnlinkAt(from, name, 0) == 0 ? 0 : Marshal.GetLastPInvokeError();
    }
}
