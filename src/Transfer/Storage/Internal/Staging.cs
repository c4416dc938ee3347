using System.Buffers.Binary;
using FastShare.Transfer.Planning;

namespace FastShare.Transfer.Storage.Internal;

/// <summary>
/// The staging folder <c>.fastshare-&lt;id&gt;</c> of a transfer: made 0700, locked, and emptied of nothing but what FastShare puts there.
/// Not thread-safe.
/// </summary>
internal sealed class Staging : IDisposable
{
    /// <summary>Where the keys of the folders are kept that this transfer made; see <see cref="FolderLedger"/>.</summary>
    public const string FoldersName = "folders";

    /// <summary>
    /// Left behind after a failed sync: a serial (u32, big-endian) above those of all data files there were. What is in those is copied, not
    /// continued, by whichever run opens them; newer ones, the copies among them, are none of its concern, so it need not go before staging.
    /// </summary>
    public const string SyncFailedName = "sync-failed";

    /// <summary>A folder that exists for a moment, to see what mode a new one gets.</summary>
    public const string ModeProbeName = "mode";

    private const string LockName = "lock";

    private readonly IStorageFolder _destination;
    private readonly IDisposable _lock;

    private Staging(IStorageFolder destination, string name, IStorageFolder folder, IDisposable @lock)
    {
        _destination = destination;
        Name = name;
        Folder = folder;
        _lock = @lock;
    }

    /// <summary>Its name in the destination.</summary>
    public string Name { get; }

    /// <summary>The folder.</summary>
    public IStorageFolder Folder { get; }

    /// <summary>The name of a transfer's staging folder.</summary>
    public static string NameOf(TransferId id) => SafePath.StagingPrefix + id;

    /// <summary>Whether a name is one of a staging folder: the prefix and 32 lower-case hexadecimal digits.</summary>
    public static bool IsName(string name) =>
        name.Length == SafePath.StagingPrefix.Length + 32
        && name.StartsWith(SafePath.StagingPrefix, StringComparison.Ordinal)
        && !name.AsSpan(SafePath.StagingPrefix.Length).ContainsAnyExcept("0123456789abcdef");

    /// <summary>
    /// When the folder or anything in it last changed, in nanoseconds since 1970; the distant future if that cannot be told.
    /// </summary>
    public static long LastUse(IStorageFolder destination, string name)
    {
        try
        {
            using IStorageFolder? folder = destination.OpenFolder(name);
            if (folder is null) return long.MaxValue;
            long last = folder.Stat().ModifiedUnixNanoseconds;
            foreach (string inside in folder.List()) last = Math.Max(last, folder.Stat(inside)?.ModifiedUnixNanoseconds ?? 0);
            return last;
        }
        catch (TransferException)
        {
            return long.MaxValue; // not to be read: not to be removed either
        }
    }

    /// <summary>Makes the folder if needed and locks it. Null: another receiver, maybe in this process, holds it.</summary>
    public static Staging? TryOpen(IStorageFolder destination, string name, bool create)
    {
        // a holder that ends may remove the folder between our opening and locking it; then there is a new one to make
        for (int i = 0; i < 100; i++)
        {
            if (create) destination.CreateFolder(name, 0x1C0);
            IStorageFolder? folder = destination.OpenFolder(name);
            if (folder is null)
            {
                if (!create) return null;
                continue;
            }

            IDisposable? held = null;
            try
            {
                StorageStat stat = folder.Stat();
                if (!stat.IsOwn)
                {
                    throw new TransferException(
                        TransferError.AccessDenied,
                        $"The folder “{name}” in the destination belongs to another user; remove it and start again.");
                }

                held = folder.TryLock(LockName);
                if (held is not null)
                {
                    if (stat.Mode is not (-1 or 0x1C0)) folder.SetAttributes(0x1C0, stat.ModifiedUnixNanoseconds);
                    return new Staging(destination, name, folder, held);
                }

                if (destination.Stat(name) is { } now && now.FileId == stat.FileId)
                {
                    folder.Dispose();
                    return null;
                }
            }
            catch
            {
                held?.Dispose();
                folder.Dispose();
                throw;
            }

            folder.Dispose();
        }

        return null;
    }

    /// <summary>Data files of serials below this were there when a sync failed; 0: none did. What cannot be read means all.</summary>
    public uint ReadSyncFailed()
    {
        if (Folder.Stat(SyncFailedName) is not { } stat) return 0;
        if (stat is not { Kind: StorageKind.File, Links: 1, IsOwn: true, Size: sizeof(uint) }) return uint.MaxValue;
        using IStorageFile? file = Folder.OpenFile(SyncFailedName);
        Span<byte> serial = stackalloc byte[sizeof(uint)];
        return file?.Read(0, serial) == serial.Length ? BinaryPrimitives.ReadUInt32BigEndian(serial) : uint.MaxValue;
    }

    /// <summary>
    /// Notes that a sync failed. Not made durable: what a failed sync leaves in doubt is what the system's memory holds, and a power cut takes
    /// both.
    /// </summary>
    /// <param name="serials">Above those of all data files.</param>
    public void WriteSyncFailed(uint serials)
    {
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, serials);
        // written over where it is, so that it is there at every moment
        using IStorageFile file = Folder.OpenFile(SyncFailedName) ?? Folder.CreateFile(SyncFailedName, 0x180);
        file.Write(0, bytes);
    }

    /// <summary>The data files in a staging folder.</summary>
    public static IEnumerable<(string Name, uint EntryId, uint Serial)> DataFiles(IStorageFolder folder)
    {
        foreach (string name in folder.List())
        {
            if (StagedFile.TryParseName(name, out uint entryId, out uint serial)) yield return (name, entryId, serial);
        }
    }

    /// <summary>Removes all that is FastShare's, and the folder unless somebody else put something there. The lock goes last.</summary>
    public void Remove()
    {
        foreach ((string name, _, _) in DataFiles(Folder)) Folder.RemoveFile(name);
        foreach (string name in Folder.List().Where(JournalFiles.IsName)) Folder.RemoveFile(name);
        Folder.RemoveFile(FoldersName);
        Folder.RemoveFile(SyncFailedName);
        Folder.RemoveFolder(ModeProbeName);
        Folder.RemoveFile(LockName);
        _destination.RemoveFolder(Name);
    }

    /// <summary>Frees the lock.</summary>
    public void Dispose()
    {
        _lock.Dispose();
        Folder.Dispose();
    }
}
