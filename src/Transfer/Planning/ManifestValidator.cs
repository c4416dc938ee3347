using FastShare.Transfer.Planning.Internal;
using FastShare.Transport.Identity;

namespace FastShare.Transfer.Planning;

/// <summary>
/// Checks a manifest entry by entry, in order: names (<see cref="SafePath"/>), collisions in case or Unicode form, files where
/// folders are needed, dense ids, sizes, link targets. Holds 16 bytes for each path, up to 32 MiB for a million; folders known only from
/// the paths below them count, and one entry may bring 254. The sender runs the same checks while it lists, so an honest manifest is never
/// refused. Not thread-safe.
/// </summary>
/// <param name="maxEntries">Most entries taken. Default: the protocol's limit.</param>
internal sealed class ManifestValidator(long maxEntries = ManifestValidator.DefaultMaxEntries)
{
    /// <summary>Default limit of entries.</summary>
    public const long DefaultMaxEntries = Framing.TransferProtocol.MaxEntries;

    /// <summary>Most names kept in <see cref="RootNames"/>, <see cref="HiddenNames"/> and <see cref="MisleadingNames"/> each.</summary>
    public const int MaxNames = 100;

    private readonly PathTable _paths = new();
    private readonly List<string> _rootNames = [], _hiddenNames = [], _misleadingNames = [];
    private readonly int[] _folded = new int[SafePath.MaxPathBytes * NameFolding.MaxExpansion];
    private readonly List<PathTable.Key> _newFolders = [];
    private string _lastFolder = ""; // the parent of the last entry, known to be fine: most entries share it

    /// <summary>Entries taken so far; also the id the next one must have.</summary>
    public long Entries { get; private set; }

    /// <summary>Files among them, streams included.</summary>
    public long Files { get; private set; }

    /// <summary>Sum of their sizes, as far as they are known.</summary>
    public long TotalBytes { get; private set; }

    /// <summary>Streams among them whose size is not known.</summary>
    public long OpenEnded { get; private set; }

    /// <summary>Memory held to recognize paths, in bytes.</summary>
    public long MemoryHeld => _paths.MemoryHeld;

    /// <summary>Names of the top-level entries, at most the first 100, not escaped.</summary>
    public IReadOnlyList<string> RootNames => _rootNames;

    /// <summary>Paths with a segment that starts with a dot, at most the first 100, not escaped.</summary>
    public IReadOnlyList<string> HiddenNames => _hiddenNames;

    /// <summary>Paths with invisible or bidirectional characters, at most the first 100, not escaped.</summary>
    public IReadOnlyList<string> MisleadingNames => _misleadingNames;

    /// <summary>Checks the next entry against the rules and all entries before it. If it throws, the entry has left no trace.</summary>
    /// <exception cref="TransferException">
    /// <see cref="TransferError.UnsafeName"/>: a name or a link target; <see cref="TransferError.ProtocolViolation"/>: everything else.
    /// </exception>
    public void Add(ManifestEntry entry)
    {
        if (Entries >= maxEntries) throw Violation(entry, $"the manifest has more than {maxEntries} entries");
        if (entry.Id != Entries) throw Violation(entry, $"its id is {entry.Id} where {Entries} was due");
        CheckShape(entry);
        SafePath.Validate(entry.Path);
        if (entry.LinkTarget is not null && SafePath.CheckLinkTarget(entry.Path, entry.LinkTarget) is { } why)
        {
            throw SafePath.Unsafe(entry.Path, why);
        }

        if (entry.AnnouncedBytes > long.MaxValue - TotalBytes) throw Violation(entry, "the sizes add up to more than 2^63 bytes");

        AddPath(entry);
        Entries++;
        if (entry.HasContent) Files++;
        if (entry.Size == ManifestEntry.UnknownSize) OpenEnded++;
        TotalBytes += entry.AnnouncedBytes;
        Note(entry.Path);
    }

    private static void CheckShape(ManifestEntry entry)
    {
        if (entry.Kind is not (EntryKind.File or EntryKind.Directory or EntryKind.Symlink or EntryKind.Stream))
        {
            throw Violation(entry, $"its kind is {(byte)entry.Kind}");
        }

        if (entry.Size < 0 && (entry.Kind != EntryKind.Stream || entry.Size != ManifestEntry.UnknownSize)) throw Violation(entry, "its size is negative");
        if (entry.Size != 0 && !entry.HasContent) throw Violation(entry, "only files have a size");
        if (entry.Mode is < -1 or > 0x1FF) throw Violation(entry, "its mode has more than the permission bits");
        bool isLink = entry.Kind == EntryKind.Symlink;
        if (isLink != entry.LinkTarget is not null) throw Violation(entry, "only links have a target, and all do");
    }

    private void AddPath(ManifestEntry entry)
    {
        ReadOnlySpan<char> path = entry.Path;
        ReadOnlySpan<int> folded = _folded.AsSpan(0, NameFolding.Fold(path, _folded));
        PathTable.Key key = _paths.KeyOf(path, folded);
        PathUse use = _paths.Find(key, out bool sameSpelling);
        bool becomesExplicit = use == PathUse.ImplicitFolder && entry.Kind == EntryKind.Directory && sameSpelling;
        if (use != PathUse.None && !becomesExplicit)
        {
            throw SafePath.Unsafe(entry.Path, sameSpelling
                ? "the manifest names it twice"
                : "it differs from another entry only in case or Unicode form, which many file systems take for the same name");
        }

        int slash = path.LastIndexOf('/');
        ReadOnlySpan<char> folder = slash < 0 ? default : path[..slash];
        if (!folder.SequenceEqual(_lastFolder))
        {
            CollectNewFolders(entry.Path, folder, folded[..Math.Max(folded.LastIndexOf('/'), 0)]);
            foreach (PathTable.Key newFolder in _newFolders) _paths.Set(newFolder, PathUse.ImplicitFolder);
            _lastFolder = folder.ToString();
        }

        _paths.Set(key, entry.Kind == EntryKind.Directory ? PathUse.Folder : PathUse.Leaf);
    }

    /// <summary>Checks the folders above an entry, from the deepest up to the first known one, and collects the unknown.</summary>
    private void CollectNewFolders(string path, ReadOnlySpan<char> folder, ReadOnlySpan<int> folded)
    {
        _newFolders.Clear();
        while (!folder.IsEmpty)
        {
            PathTable.Key key = _paths.KeyOf(folder, folded);
            switch (_paths.Find(key, out bool sameSpelling))
            {
                case PathUse.None:
                    _newFolders.Add(key);
                    break;
                case PathUse.Leaf:
                    throw SafePath.Unsafe(path, "a file or link of the same manifest stands where a folder is needed");
                default:
                    if (sameSpelling) return; // the folders above it were checked when it was added
                    throw SafePath.Unsafe(path, "its folder differs from another one only in case or Unicode form");
            }

            int slash = folder.LastIndexOf('/');
            folder = slash < 0 ? default : folder[..slash];
            folded = folded[..Math.Max(folded.LastIndexOf('/'), 0)];
        }
    }

    private void Note(string path)
    {
        int slash = path.IndexOf('/', StringComparison.Ordinal);
        if (_rootNames.Count < MaxNames)
        {
            string root = slash < 0 ? path : path[..slash];
            // entries of one root follow one another in an honest manifest; a hostile one only repeats a name here
            if (_rootNames.Count == 0 || _rootNames[^1] != root) _rootNames.Add(root);
        }

        if (_hiddenNames.Count < MaxNames && SafePath.IsHidden(path)) _hiddenNames.Add(path);
        if (_misleadingNames.Count < MaxNames && SafePath.IsMisleading(path)) _misleadingNames.Add(path);
    }

    private static TransferException Violation(ManifestEntry entry, string why) =>
        new(TransferError.ProtocolViolation, $"Invalid manifest entry “{PeerText.Escape(entry.Path)}”: {why}.") { Path = entry.Path };
}
