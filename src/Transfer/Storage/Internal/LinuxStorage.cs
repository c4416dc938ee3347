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
        try
        {
            Directory.CreateDirectory(folder);
        }
        catch (UnauthorizedAccessException)
        {
            throw LinuxError.From(LinuxError.Access, "create the folder", folder);
        }
        catch (IOException e)
        {
            // the framework leaves errno in HResult, but reports a file in the way without one
            throw LinuxError.From(File.Exists(folder) ? LinuxError.NotFolder : e.HResult & 0xFFFF, "create the folder", folder);
        }

        return new LinuxFolder(OpenFolder(folder), folder);
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

    private static LinuxHandle OpenFolder(string folder)
    {
        int result = LinuxCalls.OpenAt(LinuxCalls.CurrentFolder, folder, LinuxCalls.Directory | LinuxCalls.CloseOnExec, 0);
        return result >= 0 ? new LinuxHandle(result) : throw LinuxError.From(Marshal.GetLastPInvokeError(), "open the folder", folder);
    }
}
