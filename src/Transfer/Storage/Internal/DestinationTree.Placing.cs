using FastShare.Transfer.Planning;

namespace FastShare.Transfer.Storage.Internal;

// Final names for the files of a batch.
internal sealed partial class DestinationTree
{
    /// <summary>Starts giving final names to the files of a batch, which should come folder by folder.</summary>
    public Placing BeginPlacing(IStorageFolder staging) => new(this, staging);

    /// <summary>
    /// Gives final names, the folder of the last one kept open for the next. It ends with its batch: for no longer may somebody who moves
    /// a folder away take files with it. Not thread-safe.
    /// </summary>
    internal sealed class Placing(DestinationTree tree, IStorageFolder staging) : IDisposable
    {
        private IStorageFolder? _folder;
        private string _path = "";
        private bool _hasPlaced; // in this folder, which the tree does not know yet

        /// <summary>Renames a durable staged file to its final name.</summary>
        /// <exception cref="TransferException">It cannot stand there; the staged file is where it was.</exception>
        public void Place(string name, ManifestEntry entry, bool replace)
        {
            ReadOnlySpan<char> path = FolderOf(entry);
            string leaf = entry.Path[(path.Length == 0 ? 0 : path.Length + 1)..];
            try
            {
                bool kept = _folder is not null && path.SequenceEqual(_path);
                if (!kept) Open(path.ToString());
                try
                {
                    staging.Rename(name, _folder!, leaf, replace);
                }
                catch (TransferException e) when (kept && e.Error == TransferError.StorageFault)
                {
                    // somebody may have removed the folder since it was opened: then it is made again
                    Open(_path);
                    staging.Rename(name, _folder!, leaf, replace);
                }
            }
            catch (TransferException e) when (e.Error == TransferError.DestinationExists && !replace)
            {
                throw Exists(entry.Path, e);
            }
            catch (TransferException e)
            {
                throw ForEntry(e, entry.Path);
            }

            _hasPlaced = true;
        }

        /// <summary>Tells the tree whose names have changed: what syncs them comes after.</summary>
        public void End()
        {
            if (_hasPlaced) tree.MarkUnsynced(_path);
            _hasPlaced = false;
        }

        /// <inheritdoc/>
        public void Dispose() => _folder?.Dispose();

        private void Open(string path)
        {
            End();
            _folder?.Dispose();
            _folder = null;
            _folder = tree.EnsureFolder(path, out _);
            _path = path;
        }
    }
}
