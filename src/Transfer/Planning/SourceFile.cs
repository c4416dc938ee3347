using FastShare.Transfer.Storage.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transfer.Planning;

/// <summary>
/// A file being sent: the very file that was listed, opened without following a link. Reads may come from several threads.
/// </summary>
internal sealed class SourceFile : IDisposable
{
    private const int SmallBytes = 64 << 10; // the least size of a chunk

    private readonly SourceEntry _source;
    private readonly LinuxHandle? _handle; // on Linux
    private readonly PortableFile? _file; // elsewhere
    private bool _isSparse; // takes less room than it is long; written when the file is opened and looked at again

    private SourceFile(SourceEntry source, LinuxHandle? handle, PortableFile? file)
    {
        _source = source;
        _handle = handle;
        _file = file;
    }

    /// <summary>Opens the file.</summary>
    /// <param name="entry">A file, as it was listed.</param>
    /// <param name="isReadAtOnce">
    /// Whether <see cref="HasChanged"/> will be asked when all of it was read, before anything of it is used: then a file that is not sparse
    /// is not looked at now.
    /// </param>
    /// <param name="folder">The folder that its caller's last file was in: its neighbours are found by their names alone.</param>
    /// <exception cref="TransferException">
    /// <see cref="TransferError.SourceChanged"/>: it is gone, or no longer the file that was listed (another one, size or time);
    /// <see cref="TransferError.AccessDenied"/>; <see cref="TransferError.StorageFault"/>.
    /// </exception>
    public static SourceFile Open(SourceEntry entry, bool isReadAtOnce = false, SourceFolder? folder = null)
    {
        if (entry.Entry.Kind != EntryKind.File) throw new ArgumentException("Only files are opened.", nameof(entry));
        SourceFile file = LinuxCalls.IsSupported ? OpenLinux(entry, folder) : OpenPortable(entry);
        try
        {
            if (!(isReadAtOnce && !entry.IsSparse) && file.HasChanged()) throw Changed(entry, null);
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Reads at an offset until the span is full or the file ends; returns the bytes read. Fewer than the manifest's size promises mean
    /// that the file was cut meanwhile.
    /// </summary>
    /// <exception cref="TransferException">The device failed.</exception>
    public int Read(long offset, Span<byte> destination)
    {
        try
        {
            if (_handle is null) return _file!.Read(offset, destination);
            int result = LinuxFile.Read(_handle, offset, destination);
            return result >= 0 ? result : throw LinuxError.From(-result, "read", _source.FullPath);
        }
        catch (TransferException e)
        {
            // unreadable is all the receiver needs to know of the cause; this side's log has the inner one
            throw Changed(_source, e);
        }
    }

    /// <summary>
    /// Whether the open file is not, or no longer, the one that was listed: to be asked again when all of it was read. A change within
    /// the grain of the file system's clock (a few milliseconds at worst) that keeps the size is not seen.
    /// </summary>
    public bool HasChanged()
    {
        StorageStat stat;
        if (_handle is null)
        {
            stat = _file!.Stat();
        }
        else
        {
            using LinuxHandle.Lease own = _handle.Use();
            int result = LinuxPaths.StatAt(own.Descriptor, "", out stat);
            if (result != 0) throw LinuxError.From(-result, "look at", _source.FullPath);
        }

        _isSparse = stat.AllocatedBytes < stat.Size;
        return stat.Kind != StorageKind.File
            || stat.Size != _source.Entry.Size
            || stat.ModifiedUnixNanoseconds != _source.Entry.ModifiedUnixNanoseconds
            || stat.FileId != _source.FileId
            || stat.Device != _source.Device;
    }

    /// <summary>
    /// Whether the range is a hole as far as the system tells: it reads as zeros and takes no room. False where it cannot tell. By one
    /// reader at a time.
    /// </summary>
    public bool IsHole(long offset, long length)
    {
        if (!_isSparse || _handle is null) return false;
        using LinuxHandle.Lease own = _handle.Use();
        long data = LinuxCalls.Seek(own.Descriptor, offset, LinuxCalls.SeekData);
        if (data < 0) return System.Runtime.InteropServices.Marshal.GetLastPInvokeError() == LinuxError.NoData;
        return data >= offset + length;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _handle?.Dispose();
        _file?.Dispose();
    }

    private static SourceFile OpenLinux(SourceEntry entry, SourceFolder? folder)
    {
        // Without blocking, should a pipe stand there now. A link swapped for a folder on the way leads to another file, which
        // the inode tells.
        int flags = LinuxCalls.ReadOnly | LinuxCalls.NoFollow | LinuxCalls.NonBlock | LinuxCalls.CloseOnExec;
        int result = folder?.Open(entry, flags) ?? LinuxPaths.OpenAt(LinuxCalls.CurrentFolder, entry.FullPath, flags);
        if (result < 0)
        {
            TransferException cause = LinuxError.From(-result, "open", entry.FullPath);
            throw -result is LinuxError.NoEntry or LinuxError.NotFolder or LinuxError.Loop ? Changed(entry, cause) : cause;
        }

        // a hint: whether it is taken makes no difference to the result; what is read with one call needs none
        if (entry.Entry.Size > SmallBytes) LinuxCalls.Advise(result, 0, 0, LinuxCalls.AdviceSequential);
        return new SourceFile(entry, new LinuxHandle(result), null);
    }

    private static SourceFile OpenPortable(SourceEntry entry)
    {
        if (PortableError.StatPath(entry.FullPath)?.Kind != StorageKind.File) throw Changed(entry, null);
        return PortableError.Run("open", entry.FullPath, () =>
        {
            var stream = new FileStream(entry.FullPath, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 0);
            return new SourceFile(entry, null, new PortableFile(stream, entry.FullPath));
        });
    }

    private static TransferException Changed(SourceEntry entry, Exception? inner) => new(
        TransferError.SourceChanged,
        inner is null
            ? $"“{PeerText.Escape(entry.FullPath)}” is no longer the file that was listed; send it again."
            : $"“{PeerText.Escape(entry.FullPath)}” cannot be read any more; send it again. {inner.Message}",
        inner)
    { Path = entry.Entry.Path };
}
