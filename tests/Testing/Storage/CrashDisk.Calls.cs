using FastShare.Transfer;
using FastShare.Transfer.Storage.Internal;

namespace FastShare.Testing.Storage;

// The calls of the seam.
internal sealed partial class CrashDisk
{
    private static TransferException Failed(TransferError error, string name, string why) => new(error, $"“{name}”: {why}.") { Path = name };

    private sealed class Folder(CrashDisk disk, int id) : IStorageFolder
    {
        public IStorageFolder? OpenFolder(string path)
        {
            lock (disk._gate)
            {
                return disk.Find(id, path) switch
                {
                    null => null,
                    { Kind: StorageKind.Folder } node => new Folder(disk, node.Id),
                    { Kind: StorageKind.Symlink } => throw Failed(TransferError.AccessDenied, path, "a link"),
                    _ => throw Failed(TransferError.DestinationExists, path, "no folder"),
                };
            }
        }

        public bool CreateFolder(string name, int mode)
        {
            lock (disk._gate)
            {
                if (Own.Entries.ContainsKey(name)) return false;
                Make(name, new Node(disk._nodes.Count, StorageKind.Folder) { Mode = mode, FirstMode = mode });
                return true;
            }
        }

        public IStorageFile CreateFile(string name, int mode)
        {
            lock (disk._gate)
            {
                if (Own.Entries.ContainsKey(name)) throw Failed(TransferError.DestinationExists, name, "already there");
                return new OpenedFile(disk, Make(name, new Node(disk._nodes.Count, StorageKind.File) { Mode = mode, FirstMode = mode }), name);
            }
        }

        public IStorageFile? OpenFile(string name)
        {
            lock (disk._gate)
            {
                return disk.Find(id, name) switch
                {
                    null => null,
                    { Kind: StorageKind.File } node => new OpenedFile(disk, node.Id, name),
                    _ => throw Failed(TransferError.StorageFault, name, "no file"),
                };
            }
        }

        public IStorageFile? OpenToRead(string path) => OpenFile(path);

        public StorageStat? Stat(string path)
        {
            lock (disk._gate) return disk.Find(id, path)?.ToStat();
        }

        public StorageStat Stat()
        {
            lock (disk._gate) return Own.ToStat();
        }

        public void Rename(string name, IStorageFolder to, string newName, bool replace)
        {
            lock (disk._gate)
            {
                int target = ((Folder)to).Id;
                if (!Own.Entries.TryGetValue(name, out int node)) throw Failed(TransferError.StorageFault, name, "gone");
                if (!replace && disk._nodes[target].Entries.ContainsKey(newName))
                {
                    throw Failed(TransferError.DestinationExists, newName, "already there");
                }

                disk.Record(new Change(
                    ChangeKind.Names, id, Effects: [new Effect(id, name, null), new Effect(target, newName, node)]));
            }
        }

        public bool CreateSymlink(string name, string target)
        {
            lock (disk._gate)
            {
                if (Own.Entries.ContainsKey(name)) return false;
                Make(name, new Node(disk._nodes.Count, StorageKind.Symlink) { Target = target });
                return true;
            }
        }

        public string? ReadSymlink(string name)
        {
            lock (disk._gate) return disk.Find(id, name)?.Target;
        }

        public void RemoveFile(string name)
        {
            lock (disk._gate)
            {
                if (Own.Entries.ContainsKey(name)) disk.Record(new Change(ChangeKind.Names, id, Effects: [new Effect(id, name, null)]));
            }
        }

        public bool RemoveFolder(string name)
        {
            lock (disk._gate)
            {
                if (disk.Find(id, name) is not { Kind: StorageKind.Folder, Entries.Count: 0 }) return false;
                disk.Record(new Change(ChangeKind.Names, id, Effects: [new Effect(id, name, null)]));
                return true;
            }
        }

        public IDisposable? TryLock(string name)
        {
            lock (disk._gate)
            {
                if (!Own.Entries.ContainsKey(name)) Make(name, new Node(disk._nodes.Count, StorageKind.File) { Mode = 0x180, FirstMode = 0x180 });
                return disk._locked.Add((id, name)) ? new HeldLock(disk, id, name) : null;
            }
        }

        public IReadOnlyList<string> List()
        {
            lock (disk._gate) return [.. Own.Entries.Keys];
        }

        public void SetAttributes(int mode, long modifiedUnixNanoseconds)
        {
            lock (disk._gate) disk.Record(new Change(ChangeKind.Attributes, id, modifiedUnixNanoseconds, Mode: mode));
        }

        public void Sync() => disk.RecordSync(ChangeKind.SyncFolder, id, "");

        public void SyncFileSystem() => disk.RecordSync(ChangeKind.SyncAll, id, "");

        public long FreeBytes() => long.MaxValue;

        public void Dispose()
        {
        }

        private int Id => id;

        private Node Own => disk._nodes[id];

        private int Make(string name, Node node)
        {
            disk._nodes.Add(node);
            disk.Record(new Change(ChangeKind.Names, id, Effects: [new Effect(id, name, node.Id)]));
            return node.Id;
        }
    }

    private sealed class HeldLock(CrashDisk disk, int folder, string name) : IDisposable
    {
        public void Dispose()
        {
            lock (disk._gate) disk._locked.Remove((folder, name));
        }
    }

    private sealed class OpenedFile(CrashDisk disk, int id, string name) : IStorageFile
    {
        public int Read(long offset, Span<byte> destination)
        {
            lock (disk._gate) return disk._nodes[id].Read(offset, destination);
        }

        public void Write(long offset, ReadOnlySpan<byte> source)
        {
            lock (disk._gate)
            {
                Node node = disk._nodes[id];
                for (int done = 0; done < source.Length;)
                {
                    long number = (offset + done) / PageBytes;
                    int at = (int)((offset + done) % PageBytes), take = Math.Min(PageBytes - at, source.Length - done);
                    byte[] page = node.PageAt(number) is { } before ? [.. before] : new byte[PageBytes];
                    source.Slice(done, take).CopyTo(page.AsSpan(at));
                    disk.Record(new Change(ChangeKind.Page, id, number, page));
                    done += take;
                }

                if (offset + source.Length > node.Size) disk.Record(new Change(ChangeKind.Size, id, offset + source.Length));
            }
        }

        public void MakeHole(long offset, long length)
        {
            lock (disk._gate) StorageZeros.Write(this, offset, length);
        }

        public void SetLength(long length)
        {
            lock (disk._gate) disk.Record(new Change(ChangeKind.Size, id, length));
        }

        public void Reserve(long length)
        {
            lock (disk._gate)
            {
                if (length > disk._nodes[id].Size) disk.Record(new Change(ChangeKind.Size, id, length));
            }
        }

        public void SyncData() => disk.RecordSync(ChangeKind.SyncData, id, name);

        public void Sync() => disk.RecordSync(ChangeKind.SyncFile, id, name);

        public void SetAttributes(int mode, long modifiedUnixNanoseconds)
        {
            lock (disk._gate) disk.Record(new Change(ChangeKind.Attributes, id, modifiedUnixNanoseconds, Mode: mode));
        }

        public StorageStat Stat()
        {
            lock (disk._gate) return disk._nodes[id].ToStat();
        }

        public void Dispose()
        {
        }
    }
}
