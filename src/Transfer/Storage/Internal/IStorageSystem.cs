namespace FastShare.Transfer.Storage.Internal;

/// <summary>What kind of thing a name stands for.</summary>
internal enum StorageKind : byte
{
    /// <summary>A regular file.</summary>
    File,

    /// <summary>A folder.</summary>
    Folder,

    /// <summary>A symbolic link (or, on Windows, any reparse point).</summary>
    Symlink,

    /// <summary>Anything else: pipe, socket, device.</summary>
    Special,
}

/// <summary>What is known about a file, folder or link; the link itself, never what it points to.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Size">Length in bytes.</param>
/// <param name="AllocatedBytes">Bytes it takes on the disk.</param>
/// <param name="Mode">Permission bits with set-uid, set-gid and sticky, 0 to 07777; −1 where the system has none.</param>
/// <param name="ModifiedUnixNanoseconds">Time of last modification.</param>
/// <param name="ChangedUnixNanoseconds">
/// Time of the last change of anything, set by the system alone; where there is none, of modification.
/// </param>
/// <param name="FileId">What tells it from other files of its device (inode number); 0 where unknown.</param>
/// <param name="Device">The device; 0 where unknown.</param>
/// <param name="Links">Names it has.</param>
/// <param name="IsOwn">Whether it belongs to the user this process runs as; true where unknown.</param>
internal readonly record struct StorageStat(
    StorageKind Kind, long Size, long AllocatedBytes, int Mode, long ModifiedUnixNanoseconds, long ChangedUnixNanoseconds, ulong FileId,
    ulong Device, uint Links, bool IsOwn);

/// <summary>
/// The file system as the receiving side sees it: a seam, so that tests can fail, count, hold and lose what was not synced. All
/// failures are <see cref="TransferException"/>s. Implementations are thread-safe.
/// </summary>
internal interface IStorageSystem
{
    /// <summary>
    /// Whether <see cref="IStorageFolder.SyncFileSystem"/> makes many files durable at once. Otherwise each is synced by itself.
    /// </summary>
    bool CanSyncFileSystem { get; }

    /// <summary>Opens the user's own folder, making it (and its parents) if needed. Links in the user's own path are followed.</summary>
    IStorageFolder OpenDestination(string folder);

    /// <summary>Opens the user's own folder if it is there; null otherwise. Makes nothing.</summary>
    IStorageFolder? OpenExisting(string folder);

    /// <summary>Bytes free for this user where <paramref name="folder"/> is, or would be made.</summary>
    long FreeBytes(string folder);
}

/// <summary>
/// A folder held open. Paths are relative, with <c>/</c>, and resolve beneath it, following no link at any segment. Names are single
/// segments. Thread-safe.
/// </summary>
internal interface IStorageFolder : IDisposable
{
    /// <summary>Opens a folder beneath; null if there is nothing of that name. The empty path: this folder once more.</summary>
    /// <exception cref="TransferException">A link or file stands in the way, or the folder may not be read.</exception>
    IStorageFolder? OpenFolder(string path);

    /// <summary>Makes a folder; false if something of that name was there.</summary>
    bool CreateFolder(string name, int mode);

    /// <summary>Makes a file that must not exist.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="mode">Permission bits, less the process's umask.</param>
    IStorageFile CreateFile(string name, int mode);

    /// <summary>Opens a regular file for reading and writing; null if there is nothing of that name.</summary>
    IStorageFile? OpenFile(string name);

    /// <summary>
    /// Opens a regular file beneath for reading and <see cref="IStorageFile.SetAttributes"/>; null if there is nothing of that name.
    /// </summary>
    /// <exception cref="TransferException">A link or folder stands there or in the way, or the file may not be read.</exception>
    IStorageFile? OpenToRead(string path);

    /// <summary>Looks at a path beneath; null if there is nothing of that name.</summary>
    StorageStat? Stat(string path);

    /// <summary>Looks at the folder itself.</summary>
    StorageStat Stat();

    /// <summary>
    /// Renames atomically. Without <paramref name="replace"/>, <see cref="TransferError.DestinationExists"/> if the new name is taken.
    /// </summary>
    void Rename(string name, IStorageFolder to, string newName, bool replace);

    /// <summary>Makes a symbolic link; false if something of that name was there.</summary>
    bool CreateSymlink(string name, string target);

    /// <summary>What a symbolic link points to; null if it is none.</summary>
    string? ReadSymlink(string name);

    /// <summary>Removes a file or link; nothing there is fine.</summary>
    void RemoveFile(string name);

    /// <summary>Removes an empty folder; false if it is not empty or not there.</summary>
    bool RemoveFolder(string name);

    /// <summary>
    /// Locks by a file of that name, made if needed; null: somebody else holds it. The system frees it when the process dies.
    /// </summary>
    IDisposable? TryLock(string name);

    /// <summary>The names in this folder, in no particular order.</summary>
    IReadOnlyList<string> List();

    /// <summary>Sets permission bits (−1: leaves them) and modification time of the folder itself.</summary>
    void SetAttributes(int mode, long modifiedUnixNanoseconds);

    /// <summary>Makes the names in this folder durable.</summary>
    void Sync();

    /// <summary>Makes everything written to this folder's file system durable.</summary>
    void SyncFileSystem();

    /// <summary>Bytes free for this user.</summary>
    long FreeBytes();
}

/// <summary>A file held open. Thread-safe but for <see cref="IDisposable.Dispose"/>.</summary>
internal interface IStorageFile : IDisposable
{
    /// <summary>Reads at an offset until the span is full or the file ends; returns the bytes read.</summary>
    int Read(long offset, Span<byte> destination);

    /// <summary>Writes all of it at an offset.</summary>
    void Write(long offset, ReadOnlySpan<byte> source);

    /// <summary>
    /// Makes a range read as zeros, without room on the disk where the system can. Does not make the file longer.
    /// </summary>
    void MakeHole(long offset, long length);

    /// <summary>Makes the file as long; what comes in addition reads as zeros. Not while others write.</summary>
    void SetLength(long length);

    /// <summary>Takes room on the disk for that many bytes from the start, where the system can; the file may become as long.</summary>
    void Reserve(long length);

    /// <summary>Makes its content durable (fdatasync).</summary>
    void SyncData();

    /// <summary>Makes its content, times and mode durable (fsync).</summary>
    void Sync();

    /// <summary>Sets permission bits (−1: leaves them) and modification time. Set-uid, set-gid and sticky bits are dropped.</summary>
    void SetAttributes(int mode, long modifiedUnixNanoseconds);

    /// <summary>Looks at it.</summary>
    StorageStat Stat();
}
