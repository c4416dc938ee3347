using FastShare.Transfer.Storage.Internal;

namespace FastShare.Transfer.Planning;

/// <summary>
/// The folder in which a reader of many files opened the last one, kept open: the next file is mostly its neighbour, and the system need
/// not walk the whole path to it again. Who moves the folder away meanwhile takes nothing along: whether a file is the one that was
/// listed is told by its inode, wherever it stands. Used by one loop.
/// </summary>
internal sealed class SourceFolder : IDisposable
{
    private string _root = "";
    private string _path = ""; // with the slash at its end
    private LinuxHandle? _handle;

    /// <summary>Opens a file of the entry's name in its folder; returns the descriptor, or −errno. On Linux.</summary>
    public int Open(SourceEntry entry, int flags)
    {
        string path = entry.Entry.Path;
        ReadOnlySpan<char> folder = path.AsSpan(0, path.LastIndexOf('/') + 1);
        if (_handle is null || entry.Root != _root || !folder.SequenceEqual(_path))
        {
            Dispose();
            _root = entry.Root;
            _path = folder.ToString();
            int result = LinuxPaths.OpenAt(
                LinuxCalls.CurrentFolder, Path.Combine(_root, _path), LinuxCalls.PathOnly | LinuxCalls.Directory | LinuxCalls.CloseOnExec);
            if (result < 0) return result;
            _handle = new LinuxHandle(result);
        }

        using LinuxHandle.Lease own = _handle.Use();
        return LinuxPaths.OpenAt(own.Descriptor, path.AsSpan(folder.Length), flags);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _handle?.Dispose();
        _handle = null;
    }
}
