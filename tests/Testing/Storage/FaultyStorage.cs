using FastShare.Transfer.Storage.Internal;

namespace FastShare.Testing.Storage;

/// <summary>
/// A file system that counts calls by name and fails the ones it is told to: any storage can stand behind it. Thread-safe.
/// </summary>
internal sealed class FaultyStorage(IStorageSystem inner) : IStorageSystem
{
    private readonly List<string> _calls = []; // guarded by itself

    /// <summary>Asked before each call with its name and its number, from 0; an exception returned is thrown instead of the call. May hold the call.</summary>
    public Func<string, int, Exception?>? Fail { get; set; }

    /// <summary>Names of the calls so far.</summary>
    public IReadOnlyList<string> Calls
    {
        get
        {
            lock (_calls) return [.. _calls];
        }
    }

    /// <summary>Free bytes to pretend; null: the real ones.</summary>
    public long? Free { get; set; }

    public bool CanSyncFileSystem => inner.CanSyncFileSystem;

    public IStorageFolder OpenDestination(string folder)
    {
        Count("OpenDestination");
        return new Folder(this, inner.OpenDestination(folder));
    }

    public IStorageFolder? OpenExisting(string folder)
    {
        Count("OpenExisting");
        return inner.OpenExisting(folder) is { } there ? new Folder(this, there) : null;
    }

    public long FreeBytes(string folder) => Free ?? inner.FreeBytes(folder);

    private void Count(string name)
    {
        int number;
        lock (_calls)
        {
            number = _calls.Count;
            _calls.Add(name);
        }

        if (Fail?.Invoke(name, number) is { } e) throw e;
    }

    private sealed class Folder(FaultyStorage owner, IStorageFolder folder) : IStorageFolder
    {
        public IStorageFolder? OpenFolder(string path)
        {
            owner.Count("OpenFolder");
            return folder.OpenFolder(path) is { } opened ? new Folder(owner, opened) : null;
        }

        public bool CreateFolder(string name, int mode)
        {
            owner.Count("CreateFolder");
            return folder.CreateFolder(name, mode);
        }

        public IStorageFile CreateFile(string name, int mode)
        {
            owner.Count("CreateFile");
            return new FaultyFile(owner, folder.CreateFile(name, mode));
        }

        public IStorageFile? OpenFile(string name)
        {
            owner.Count("OpenFile");
            return folder.OpenFile(name) is { } opened ? new FaultyFile(owner, opened) : null;
        }

        public IStorageFile? OpenToRead(string path)
        {
            owner.Count("OpenToRead");
            return folder.OpenToRead(path) is { } opened ? new FaultyFile(owner, opened) : null;
        }

        public StorageStat? Stat(string path)
        {
            owner.Count("Stat");
            return folder.Stat(path);
        }

        public StorageStat Stat()
        {
            owner.Count("Stat");
            return folder.Stat();
        }

        public void Rename(string name, IStorageFolder to, string newName, bool replace)
        {
            owner.Count("Rename");
            folder.Rename(name, ((Folder)to).Inner, newName, replace);
        }

        public bool CreateSymlink(string name, string target)
        {
            owner.Count("CreateSymlink");
            return folder.CreateSymlink(name, target);
        }

        public string? ReadSymlink(string name) => folder.ReadSymlink(name);

        public void RemoveFile(string name)
        {
            owner.Count("RemoveFile");
            folder.RemoveFile(name);
        }

        public bool RemoveFolder(string name)
        {
            owner.Count("RemoveFolder");
            return folder.RemoveFolder(name);
        }

        public IDisposable? TryLock(string name)
        {
            owner.Count("TryLock");
            return folder.TryLock(name);
        }

        public IReadOnlyList<string> List()
        {
            owner.Count("List");
            return folder.List();
        }

        public void SetAttributes(int mode, long modifiedUnixNanoseconds)
        {
            owner.Count("SetAttributes");
            folder.SetAttributes(mode, modifiedUnixNanoseconds);
        }

        public void Sync()
        {
            owner.Count("Sync");
            folder.Sync();
        }

        public void SyncFileSystem()
        {
            owner.Count("SyncFileSystem");
            folder.SyncFileSystem();
        }

        public long FreeBytes() => owner.Free ?? folder.FreeBytes();

        public void Dispose() => folder.Dispose();

        private IStorageFolder Inner => folder;
    }

    private sealed class FaultyFile(FaultyStorage owner, IStorageFile file) : IStorageFile
    {
        public int Read(long offset, Span<byte> destination)
        {
            owner.Count("Read");
            return file.Read(offset, destination);
        }

        public void Write(long offset, ReadOnlySpan<byte> source)
        {
            owner.Count("Write");
            file.Write(offset, source);
        }

        public void MakeHole(long offset, long length)
        {
            owner.Count("MakeHole");
            file.MakeHole(offset, length);
        }

        public void SetLength(long length)
        {
            owner.Count("SetLength");
            file.SetLength(length);
        }

        public void Reserve(long length)
        {
            owner.Count("Reserve");
            file.Reserve(length);
        }

        public void SyncData()
        {
            owner.Count("SyncData");
            file.SyncData();
        }

        public void Sync()
        {
            owner.Count("SyncFile");
            file.Sync();
        }

        public void SetAttributes(int mode, long modifiedUnixNanoseconds)
        {
            owner.Count("SetFileAttributes");
            file.SetAttributes(mode, modifiedUnixNanoseconds);
        }

        public StorageStat Stat() => file.Stat();

        public void Dispose() => file.Dispose();
    }
}
