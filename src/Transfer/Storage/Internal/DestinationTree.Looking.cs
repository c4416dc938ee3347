namespace FastShare.Transfer.Storage.Internal;

// Looking at final names by way of folders kept open: what is planned, and what arrives meanwhile, mostly lies in a few of them.
internal sealed partial class DestinationTree
{
    // One for planning and some for the files that arrive; each costs a descriptor.
    private const int MostLooked = 8;

    private readonly Lock _looking = new(); // taken before _gate
    private readonly List<(string Path, IStorageFolder? Folder)> _looked = []; // guarded by _looking: used last stands last; null: missing

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_looking)
        {
            foreach ((_, IStorageFolder? folder) in _looked) folder?.Dispose();
            _looked.Clear();
        }
    }

    /// <summary>
    /// Looks at a path by way of its folder, kept open from one call to the next. Somebody who moves or makes that folder meanwhile makes
    /// it look as if that came later: the rename that publishes replaces nothing, and nothing is ever written by this way.
    /// </summary>
    private StorageStat? StatInFolder(string path)
    {
        int slash = path.LastIndexOf('/');
        if (slash < 0) return root.Stat(path);
        lock (_looking) return Look(path.AsSpan(0, slash))?.Stat(path[(slash + 1)..]);
    }

    /// <summary>The folder, or null if it is missing. Under _looking.</summary>
    private IStorageFolder? Look(ReadOnlySpan<char> path)
    {
        for (int i = _looked.Count - 1; i >= 0; i--)
        {
            (string Path, IStorageFolder? Folder) known = _looked[i];
            if (!path.SequenceEqual(known.Path)) continue;
            if (i < _looked.Count - 1)
            {
                _looked.RemoveAt(i);
                _looked.Add(known);
            }

            return known.Folder;
        }

        string name = path.ToString();
        IStorageFolder? folder = root.OpenFolder(name);
        if (_looked.Count == MostLooked)
        {
            _looked[0].Folder?.Dispose();
            _looked.RemoveAt(0);
        }

        _looked.Add((name, folder));
        return folder;
    }

    /// <summary>After a folder was made: those that were missing may be there now.</summary>
    private void ForgetMissing()
    {
        lock (_looking) _looked.RemoveAll(static looked => looked.Folder is null);
    }
}
