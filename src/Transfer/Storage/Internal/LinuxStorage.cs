using System.Runtime.InteropServices;

namespace FastShare.Transfer.Storage.Internal;

/// <summary>The receiving side's file system on Linux, by descriptors and system calls.</summary>
internal sealed class LinuxStorage : IStorageSystem
{
    /// <inheritdoc/>
    public bool CanSyncFileSystem => true;

    /// <inheritdoc/>
    public IStorageFolder OpenDestination(string folder)
    {
        string full = Path.GetFullPath(folder);
        int errno = CreateFolders(full);
        return errno == 0 ? new LinuxFolder(OpenFolder(full), folder) : throw LinuxError.From(errno, "create the folder", folder);
    }

    /// <inheritdoc/>
    public IStorageFolder? OpenExisting(string folder)
    {
        string full = Path.GetFullPath(folder);
        return Directory.Exists(full) ? new LinuxFolder(OpenFolder(full), folder) : null;
    }

    /// <inheritdoc/>
    public long FreeBytes(string folder)
    {
        // up to the first folder that exists; the root always does
        string? at = Path.GetFullPath(folder);
        while (at is not null && !Directory.Exists(at)) at = Path.GetDirectoryName(at);
        using var opened = new LinuxFolder(OpenFolder(at ?? "/"), folder);
        return opened.FreeBytes();
    }

    /// <summary>Makes a folder and those above it; 0, or errno. Something else of that name is left for opening to report.</summary>
    private static int CreateFolders(string full)
    {
        if (LinuxCalls.MakeFolderAt(LinuxCalls.CurrentFolder, full, 0x1FF) == 0) return 0;
        int errno = Marshal.GetLastPInvokeError();
        if (errno == LinuxError.Exists) return 0;
        // some systems say so of a folder that is there (read-only ones, mount points of others): opening it tells
        if (errno != LinuxError.NoEntry) return Directory.Exists(full) ? 0 : errno;
        if (Path.GetDirectoryName(full) is not { } parent) return errno;
        errno = CreateFolders(parent);
        if (errno != 0) return errno;
        if (LinuxCalls.MakeFolderAt(LinuxCalls.CurrentFolder, full, 0x1FF) == 0) return 0;
        errno = Marshal.GetLastPInvokeError();
        return errno == LinuxError.Exists ? 0 : errno;
    }

    private static LinuxHandle OpenFolder(string folder)
    {
        int result = LinuxCalls.OpenAt(LinuxCalls.CurrentFolder, folder, LinuxCalls.Directory | LinuxCalls.CloseOnExec, 0);
        return result >= 0 ? new LinuxHandle(result) : throw LinuxError.From(Marshal.GetLastPInvokeError(), "open the folder", folder);
    }
}
