using FastShare.Transport.Identity;

namespace FastShare.Transfer.Storage.Internal;

/// <summary>
/// Maps errno to <see cref="TransferException"/>: the only place that does. Numbers: asm-generic/errno-base.h and errno.h.
/// </summary>
internal static class LinuxError
{
    public const int NotPermitted = 1; // EPERM
    public const int NoEntry = 2; // ENOENT
    public const int Interrupted = 4; // EINTR
    public const int Io = 5; // EIO
    public const int NoData = 6; // ENXIO, from SEEK_DATA: nothing but a hole from there on
    public const int Again = 11; // EAGAIN, also EWOULDBLOCK
    public const int Access = 13; // EACCES
    public const int Exists = 17; // EEXIST
    public const int CrossDevice = 18; // EXDEV
    public const int NotFolder = 20; // ENOTDIR
    public const int IsFolder = 21; // EISDIR
    public const int Invalid = 22; // EINVAL
    public const int TooManyFilesSystem = 23; // ENFILE
    public const int TooManyFiles = 24; // EMFILE
    public const int TooBig = 27; // EFBIG
    public const int NoSpace = 28; // ENOSPC
    public const int ReadOnly = 30; // EROFS
    public const int TooManyLinks = 31; // EMLINK
    public const int NameTooLong = 36; // ENAMETOOLONG
    public const int NotImplemented = 38; // ENOSYS
    public const int NotEmpty = 39; // ENOTEMPTY
    public const int Loop = 40; // ELOOP
    public const int NotSupported = 95; // EOPNOTSUPP
    public const int Quota = 122; // EDQUOT

    /// <summary>The exception for a failed call.</summary>
    /// <param name="errno">The error.</param>
    /// <param name="doing">What was being done, as in "Cannot …".</param>
    /// <param name="path">What it was done to; may come from a peer.</param>
    public static TransferException From(int errno, string doing, string path)
    {
        (TransferError error, string wayOut) = errno switch
        {
            // both mean that no byte more fits until somebody makes room
            NoSpace or Quota => (TransferError.StorageFull, "free some space, then start the transfer again to resume it"),
            // a limit of the file system, not of the moment, but the way out is another destination just the same
            TooBig => (TransferError.StorageFull, "the file system takes no file of this size; choose another destination"),
            Access or NotPermitted => (TransferError.AccessDenied, "check the permissions, or choose another folder"),
            ReadOnly => (TransferError.AccessDenied, "the file system is read-only; choose another folder"),
            // from O_NOFOLLOW and RESOLVE_NO_SYMLINKS
            Loop => (TransferError.AccessDenied, "a symbolic link stands in the way, and FastShare follows none"),
            // from RESOLVE_BENEATH, or a mount point between staging and destination
            CrossDevice => (TransferError.AccessDenied, "it leads out of the folder or onto another file system"),
            Exists or IsFolder or NotEmpty => (TransferError.DestinationExists, "something of that name is already there"),
            NotFolder => (TransferError.DestinationExists, "something that is no folder stands where a folder is needed"),
            NameTooLong => (TransferError.UnsafeName, "the name is too long for this file system"),
            NoEntry => (TransferError.StorageFault, "it is gone"),
            TooManyFiles or TooManyFilesSystem => (TransferError.StorageFault, "too many files are open; raise the limit (ulimit -n)"),
            Io => (TransferError.StorageFault, "the device failed; check it before going on"),
            _ => (TransferError.StorageFault, "see the system's error"),
        };
        // the framework's text for errno; no allocation matters here
        string reason = System.Runtime.InteropServices.Marshal.GetPInvokeErrorMessage(errno);
        string message = $"Cannot {doing} “{PeerText.Escape(path)}”: {reason} (errno {errno}); {wayOut}.";
        return new TransferException(error, message) { Path = path };
    }
}
