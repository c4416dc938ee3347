using FastShare.Transfer.Planning.Internal;
using FastShare.Transfer.Storage.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transfer.Planning;

/// <summary>
/// Lists what is to be sent, while it is sent: each argument arrives under its last name; folders come before what is in them,
/// names in ordinal order, so the same tree gives the same manifest. Follows no link. What cannot be sent (unreadable, a pipe, a name
/// that the receiver would have to refuse) is passed over and told in <see cref="Failures"/>. Memory is for the names of the folders on
/// the way, and <see cref="ManifestValidator"/>'s. One user at a time, but for Failures.
/// </summary>
internal sealed class SourceLister
{
    /// <summary>Most failures kept; a last one says that there were more.</summary>
    public const int MaxFailures = 10_000;

    private readonly List<(string Folder, string Name, string Argument)> _arguments = [];
    private readonly bool _links;
    private readonly List<TransferException> _failures = []; // guarded by itself
    private readonly ManifestValidator _validator = new();

    /// <summary>Checks the arguments: each has to exist, and no two of them may arrive under one name.</summary>
    /// <param name="paths">Files and folders. A separator at the end is no difference.</param>
    /// <param name="includeLinks">Whether symbolic links are sent as links. Default: they are passed over.</param>
    /// <exception cref="TransferException">
    /// <see cref="TransferError.SourceNotFound"/>: one does not exist; <see cref="TransferError.UnsafeName"/>: two of them have
    /// one last name, or one has none.
    /// </exception>
    public SourceLister(IReadOnlyList<string> paths, bool includeLinks = false)
    {
        _links = includeLinks;
        var byName = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string path in paths)
        {
            string full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
            string name = Path.GetFileName(full);
            string? folder = Path.GetDirectoryName(full);
            if (folder is null || name.Length == 0)
            {
                throw Failed(TransferError.UnsafeName, path, "a whole file system has no name to arrive under; name a folder in it");
            }

            if (PortableError.StatPath(full) is null) throw Failed(TransferError.SourceNotFound, path, "there is no such file or folder");
            if (!byName.TryAdd(name, path))
            {
                throw Failed(
                    TransferError.UnsafeName, path,
                    $"“{PeerText.Escape(byName[name])}” would arrive under the same name; send them one after the other, or rename one");
            }

            _arguments.Add((folder, name, path));
        }
    }

    /// <summary>What was passed over so far, and why. May be read at any time.</summary>
    public IReadOnlyList<TransferException> Failures
    {
        get
        {
            lock (_failures) return [.. _failures];
        }
    }

    /// <summary>Files listed so far and bytes in them; grows while <see cref="List"/> runs.</summary>
    public (long Files, long Bytes) Total => (_validator.Files, _validator.TotalBytes);

    /// <summary>Lists everything. To be enumerated once, lazily: each step reads at most one folder.</summary>
    public IEnumerable<SourceEntry> List()
    {
        foreach ((string folder, string name, string argument) in _arguments)
        {
            SourceTree tree;
            StorageStat? stat;
            try
            {
                tree = SourceTree.Open(folder);
            }
            catch (TransferException e)
            {
                Fail(e.Error, argument, e.Message, e);
                continue;
            }

            using (tree)
            {
                try
                {
                    stat = tree.Stat(name);
                }
                catch (TransferException e)
                {
                    Fail(e.Error, argument, e.Message, e);
                    continue;
                }

                if (stat is null)
                {
                    Fail(TransferError.SourceNotFound, argument, "it is gone");
                    continue;
                }

                foreach (SourceEntry entry in Walk(tree, folder, name, stat.Value)) yield return entry;
            }
        }
    }

    /// <summary>The entry at a path and, depth first, all beneath it.</summary>
    private IEnumerable<SourceEntry> Walk(SourceTree tree, string root, string top, StorageStat topStat)
    {
        if (TryMake(tree, root, top, topStat) is not { } first) yield break;
        yield return first;
        if (first.Entry.Kind != EntryKind.Directory) yield break;

        var open = new Stack<(string Path, Queue<string> Names)>();
        open.Push((top, ReadNames(tree, top)));
        while (open.TryPeek(out (string Path, Queue<string> Names) folder))
        {
            if (!folder.Names.TryDequeue(out string? name))
            {
                open.Pop();
                continue;
            }

            string path = folder.Path + "/" + name;
            if (TryStat(tree, folder.Path, name, path) is not { } stat || TryMake(tree, root, path, stat) is not { } entry) continue;
            yield return entry;
            if (entry.Entry.Kind == EntryKind.Directory) open.Push((path, ReadNames(tree, path)));
        }
    }

    private Queue<string> ReadNames(SourceTree tree, string path)
    {
        var names = new List<string>();
        var unreadable = new List<string>();
        try
        {
            tree.List(path, names, unreadable);
        }
        catch (TransferException e)
        {
            Fail(e.Error, path, e.Message, e);
            names.Clear();
        }

        foreach (string name in unreadable)
        {
            Fail(TransferError.UnsafeName, path + "/" + name, "its name is not valid UTF-8; rename it to send it");
        }

        names.Sort(StringComparer.Ordinal);
        return new Queue<string>(names);
    }

    private StorageStat? TryStat(SourceTree tree, string folder, string name, string path)
    {
        try
        {
            StorageStat? stat = tree.StatListed(folder, name);
            if (stat is null) Fail(TransferError.SourceChanged, path, "it vanished while the folder was being listed");
            return stat;
        }
        catch (TransferException e)
        {
            Fail(e.Error, path, e.Message, e);
            return null;
        }
    }

    /// <summary>The entry for what was found; null, and a failure, if it cannot be sent.</summary>
    private SourceEntry? TryMake(SourceTree tree, string root, string path, StorageStat stat)
    {
        switch (stat.Kind)
        {
            case StorageKind.Special:
                Fail(TransferError.SourceNotFound, path, "it is a pipe, socket or device; only files, folders and links are sent");
                return null;
            case StorageKind.Symlink when !_links:
                Fail(TransferError.SourceNotFound, path, "it is a symbolic link, and FastShare follows none; name what it points to");
                return null;
        }

        EntryKind kind = stat.Kind switch
        {
            StorageKind.File => EntryKind.File,
            StorageKind.Folder => EntryKind.Directory,
            _ => EntryKind.Symlink,
        };
        try
        {
            string? target = kind == EntryKind.Symlink ? tree.ReadLink(path) : null;
            if (kind == EntryKind.Symlink && target is null)
            {
                Fail(TransferError.SourceChanged, path, "the link vanished, or its target is not valid UTF-8");
                return null;
            }

            var entry = new ManifestEntry(
                (uint)_validator.Entries, kind, path, kind == EntryKind.File ? stat.Size : 0, stat.Mode < 0 ? -1 : stat.Mode & 0x1FF,
                stat.ModifiedUnixNanoseconds, target);
            // what the receiver would refuse, the whole manifest with it, is not even offered
            _validator.Add(entry);
            return new SourceEntry(entry, root)
            {
                FileId = stat.FileId,
                Device = stat.Device,
                IsSparse = stat.AllocatedBytes < stat.Size,
            };
        }
        catch (TransferException e)
        {
            Fail(e.Error, path, e.Message, e);
            return null;
        }
    }

    private void Fail(TransferError error, string path, string why, Exception? inner = null)
    {
        lock (_failures)
        {
            if (_failures.Count > MaxFailures) return;
            _failures.Add(_failures.Count < MaxFailures
                ? Failed(error, path, why, inner)
                : new TransferException(error, "More could not be sent; the list is too long."));
        }
    }

    private static TransferException Failed(TransferError error, string path, string why, Exception? inner = null) =>
        new(error, $"Cannot send “{PeerText.Escape(path)}”: {why.TrimEnd('.')}.", inner) { Path = path };
}
