using FastShare.Transport.Identity;

namespace FastShare.Transfer.Storage.Internal;

/// <summary>
/// What <see cref="PortableStorage"/> and the portable source share: times, stats and the mapping of the framework's errors.
/// </summary>
internal static class PortableError
{
    // HRESULTs of ERROR_HANDLE_DISK_FULL, ERROR_DISK_FULL, ERROR_FILE_EXISTS, ERROR_ALREADY_EXISTS (winerror.h)
    private const int HandleDiskFull = unchecked((int)0x80070027);
    private const int DiskFull = unchecked((int)0x80070070);
    private const int FileExists = unchecked((int)0x80070050);
    private const int AlreadyExists = unchecked((int)0x800700B7);

    /// <summary>Runs <paramref name="call"/>, mapping its failures.</summary>
    public static T Run<T>(string doing, string path, Func<T> call)
    {
        try
        {
            return call();
        }
        catch (Exception e) when (e is IOException and not TransferException or UnauthorizedAccessException)
        {
            throw From(e, doing, path);
        }
    }

    /// <summary>Runs <paramref name="call"/>, mapping its failures.</summary>
    public static void Run(string doing, string path, Action call) => Run(doing, path, () =>
    {
        call();
        return true;
    });

    /// <summary>The exception for one of the framework's.</summary>
    public static TransferException From(Exception e, string doing, string path)
    {
        (TransferError error, string wayOut) = e switch
        {
            UnauthorizedAccessException => (TransferError.AccessDenied, "check the permissions, or choose another folder"),
            PathTooLongException => (TransferError.UnsafeName, "the name is too long for this file system"),
            { HResult: HandleDiskFull or DiskFull or LinuxError.NoSpace } =>
                (TransferError.StorageFull, "free some space, then start the transfer again to resume it"),
            { HResult: FileExists or AlreadyExists or LinuxError.Exists } =>
                (TransferError.DestinationExists, "something of that name is already there"),
            _ => (TransferError.StorageFault, "see the system's error"),
        };
        return new TransferException(error, Text(doing, path, $"{e.Message} {wayOut}"), e) { Path = path };
    }

    /// <summary>A message in the form that all of storage's have.</summary>
    public static string Text(string doing, string path, string why) => $"Cannot {doing} “{PeerText.Escape(path)}”: {why}.";

    /// <summary>The error for a link where none may be.</summary>
    public static TransferException LinkInTheWay(string path) => new(
        TransferError.AccessDenied, Text("open", path, "a symbolic link stands in the way, and FastShare follows none"))
    { Path = path };

    /// <summary>The error for a name that something else has.</summary>
    public static TransferException Taken(string doing, string path, string why) =>
        new(TransferError.DestinationExists, Text(doing, path, why)) { Path = path };

    /// <summary>Looks at a path beneath a root, refusing links at every segment but the last.</summary>
    public static StorageStat? StatBeneath(string root, string relative)
    {
        string at = root;
        string[] segments = relative.Split(['/', Path.DirectorySeparatorChar], StringSplitOptions.RemoveEmptyEntries);
        for (int i = 0; i < segments.Length; i++)
        {
            at = Path.Combine(at, segments[i]);
            StorageStat? stat = StatPath(at);
            if (stat is null || i == segments.Length - 1) return stat;
            if (stat.Value.Kind == StorageKind.Symlink) throw LinkInTheWay(relative);
            if (stat.Value.Kind != StorageKind.Folder)
            {
                throw Taken("open", relative, "a file stands where a folder is needed");
            }
        }

        return StatPath(at);
    }

    /// <summary>Looks at a path itself; null if there is nothing.</summary>
    public static StorageStat? StatPath(string full)
    {
        var info = new FileInfo(full);
        FileAttributes attributes;
        try
        {
            attributes = File.GetAttributes(full);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            if (info.LinkTarget is null) return null;
            attributes = FileAttributes.ReparsePoint; // a link to nothing
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw From(e, "look at", full);
        }

        bool folder = attributes.HasFlag(FileAttributes.Directory);
        StorageKind kind = attributes.HasFlag(FileAttributes.ReparsePoint) || info.LinkTarget is not null ? StorageKind.Symlink
            : folder ? StorageKind.Folder
            : attributes.HasFlag(FileAttributes.Device) ? StorageKind.Special
            : StorageKind.File;
        FileSystemInfo known = folder ? new DirectoryInfo(full) : info;
        long modified = known.Exists ? Nanoseconds(known.LastWriteTimeUtc) : 0;
        long size = kind == StorageKind.File ? info.Length : 0;
        int mode = OperatingSystem.IsWindows() || !known.Exists ? -1 : (int)known.UnixFileMode;
        return new StorageStat(kind, size, size, mode, modified, modified, 0, 0, 1, true);
    }

    /// <summary>The framework's time for nanoseconds, clamped to what file systems take.</summary>
    public static DateTime Time(long unixNanoseconds)
    {
        DateTime time = DateTime.UnixEpoch.AddTicks(unixNanoseconds / 100);
        return time.Year < 1602 ? new DateTime(1602, 1, 1, 0, 0, 0, DateTimeKind.Utc) : time;
    }

    /// <summary>Nanoseconds for the framework's time, clamped to what 64 bits hold.</summary>
    public static long Nanoseconds(DateTime utc)
    {
        Int128 all = (Int128)(utc - DateTime.UnixEpoch).Ticks * 100;
        return all > long.MaxValue ? long.MaxValue : all < long.MinValue ? long.MinValue : (long)all;
    }
}
