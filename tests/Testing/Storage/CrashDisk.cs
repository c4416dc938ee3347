using FastShare.Transfer.Storage.Internal;

namespace FastShare.Testing.Storage;

/// <summary>
/// A file system in memory that records every call which changes something, and tells afterwards what a power cut could have left at any
/// moment: what was synced is there; of the rest each page of 4 KiB, each size, each mode and time and each change of a name is there or
/// not, in any combination, pages also torn between sectors of 512 bytes. A rename is one change of both folders, as journalling file systems
/// promise; everything else comes in any order. Thread-safe.
/// </summary>
internal sealed partial class CrashDisk : IStorageSystem
{
    private const int PageBytes = 4096, SectorBytes = 512;

    private readonly Lock _gate = new();
    private readonly List<Node> _nodes = []; // guarded by _gate; the first one is the destination
    private readonly List<Change> _log = []; // guarded by _gate
    private readonly HashSet<(int Folder, string Name)> _locked = []; // guarded by _gate
    private List<Node> _durable; // what was there when recording began

    /// <summary>An empty disk.</summary>
    public CrashDisk()
    {
        _nodes.Add(new Node(0, StorageKind.Folder) { Mode = 0x1ED });
        _durable = [.. _nodes.Select(node => node.Copy())];
    }

    private enum ChangeKind : byte
    {
        Page,
        Size,
        Attributes,
        Names,
        SyncData,
        SyncFile,
        SyncFolder,
        SyncAll,
    }

    /// <summary>
    /// Calls that do nothing though they report success, by kind (SyncData, SyncFile, SyncFolder, SyncAll) and file name: how the tests
    /// make stores that leave a sync out.
    /// </summary>
    public Func<string, string, bool>? Ignores { get; init; }

    /// <summary>Changes recorded so far: a moment at which to cut the power.</summary>
    public int Moment
    {
        get
        {
            lock (_gate) return _log.Count;
        }
    }

    public bool CanSyncFileSystem { get; init; } = true;

    public IStorageFolder OpenDestination(string folder) => new Folder(this, 0);

    public IStorageFolder? OpenExisting(string folder) => new Folder(this, 0);

    public long FreeBytes(string folder) => long.MaxValue;

    /// <summary>A disk as the power cut at <paramref name="moment"/> may have left it.</summary>
    public CrashDisk CutPower(int moment, Random random)
    {
        lock (_gate)
        {
            var disk = new CrashDisk { CanSyncFileSystem = CanSyncFileSystem };
            disk._nodes.Clear();
            disk._nodes.AddRange(_durable.Select(node => node.Copy()));
            for (int id = disk._nodes.Count; id < _nodes.Count; id++)
            {
                disk._nodes.Add(new Node(id, _nodes[id].Kind) { Mode = _nodes[id].FirstMode, Target = _nodes[id].Target });
            }


            int[] data = new int[_nodes.Count], attributes = new int[_nodes.Count], names = new int[_nodes.Count];
            int all = 0;
            for (int i = 0; i < moment; i++)
            {
                Change change = _log[i];
                if (change.Kind == ChangeKind.SyncAll) all = i;
                else if (change.Kind is ChangeKind.SyncData or ChangeKind.SyncFile) data[change.Node] = i;
                if (change.Kind is ChangeKind.SyncFile or ChangeKind.SyncFolder) attributes[change.Node] = i;
                if (change.Kind == ChangeKind.SyncFolder) names[change.Node] = i;
            }

            // from "nothing that was not synced" through every mixture to "all of it"
            double kept = random.Next(6) switch { 0 => 0, 1 => 1, 2 => 0.9, 3 => 0.1, _ => 0.5 };
            double keptNames = random.Next(4) switch { 0 => 0, 1 => 1, _ => 0.5 };
            double torn = random.Next(3) == 0 ? 0.5 : 0;
            for (int i = 0; i < moment; i++)
            {
                Change change = _log[i];
                bool isSafe = i < all || change.Kind switch
                {
                    ChangeKind.Page or ChangeKind.Size => i < data[change.Node],
                    ChangeKind.Attributes => i < attributes[change.Node],
                    ChangeKind.Names => change.Effects!.Any(effect => i < names[effect.Folder]),
                    _ => true,
                };
                double chance = change.Kind == ChangeKind.Names ? keptNames : kept;
                if (!isSafe && random.NextDouble() >= chance) continue;
                byte[]? page = change.Page;
                if (!isSafe && page is not null && random.NextDouble() < torn)
                {
                    page = Tear(disk._nodes[change.Node].PageAt(change.Number), page, random);
                }

                disk.Apply(change with { Page = page });
            }

            foreach (Node node in disk._nodes) node.CutPages();
            disk._durable = [.. disk._nodes.Select(node => node.Copy())];
            return disk;
        }
    }

    /// <summary>The last changes before a moment, one a line, for who has to find out why a state is bad.</summary>
    public string Describe(int moment, int lines = 40)
    {
        lock (_gate)
        {
            return string.Join('\n', Enumerable.Range(Math.Max(0, moment - lines), Math.Min(moment, lines)).Select(i =>
            {
                Change change = _log[i];
                string effects = change.Effects is null
                    ? "" : string.Join(", ", change.Effects.Select(effect => $"{effect.Folder}/{effect.Name} = {effect.Target}"));
                return $"{i}: {change.Kind} {change.Node} {effects} {change.Number}";
            }));
        }
    }

    /// <summary>What a path holds: null if there is nothing, or no file.</summary>
    public byte[]? ReadFile(string path)
    {
        lock (_gate)
        {
            if (Find(0, path) is not { Kind: StorageKind.File } node) return null;
            byte[] content = new byte[node.Size];
            node.Read(0, content);
            return content;
        }
    }

    /// <summary>Looks at a path; null if there is nothing.</summary>
    public StorageStat? Look(string path)
    {
        lock (_gate) return Find(0, path)?.ToStat();
    }

    /// <summary>Every path there is.</summary>
    public IReadOnlyList<string> Paths()
    {
        var paths = new List<string>();
        lock (_gate) Walk(0, "");
        return paths;

        void Walk(int folder, string prefix)
        {
            foreach ((string name, int node) in _nodes[folder].Entries)
            {
                paths.Add(prefix + name);
                if (_nodes[node].Kind == StorageKind.Folder) Walk(node, prefix + name + "/");
            }
        }
    }

    private static byte[] Tear(byte[]? before, byte[] after, Random random)
    {
        byte[] torn = [.. after];
        for (int at = 0; at < PageBytes; at += SectorBytes)
        {
            if (random.Next(2) == 0) continue;
            if (before is null) torn.AsSpan(at, SectorBytes).Clear();
            else before.AsSpan(at, SectorBytes).CopyTo(torn.AsSpan(at));
        }

        return torn;
    }

    private Node? Find(int from, string path)
    {
        Node at = _nodes[from];
        foreach (string name in path.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            if (at.Kind != StorageKind.Folder || !at.Entries.TryGetValue(name, out int next)) return null;
            at = _nodes[next];
        }

        return at;
    }

    /// <summary>Under the gate.</summary>
    private void Record(Change change)
    {
        Apply(change);
        _log.Add(change);
    }

    private void RecordSync(ChangeKind kind, int node, string name)
    {
        lock (_gate)
        {
            if (Ignores?.Invoke(kind.ToString(), name) != true) _log.Add(new Change(kind, node));
        }
    }

    private void Apply(in Change change)
    {
        Node node = _nodes[change.Node];
        switch (change.Kind)
        {
            case ChangeKind.Page:
                node.SetPage(change.Number, change.Page!);
                break;
            case ChangeKind.Size:
                node.Size = change.Number;
                break;
            case ChangeKind.Attributes:
                node.Mode = change.Mode >= 0 ? change.Mode : node.Mode;
                node.Modified = change.Number;
                break;
            case ChangeKind.Names:
                foreach ((int folder, string name, int? target) in change.Effects!)
                {
                    if (target is { } id) _nodes[folder].Entries[name] = id;
                    else _nodes[folder].Entries.Remove(name);
                }

                break;
        }
    }

    private readonly record struct Effect(int Folder, string Name, int? Target);

    private readonly record struct Change(
        ChangeKind Kind, int Node, long Number = 0, byte[]? Page = null, int Mode = -1, Effect[]? Effects = null);

    private sealed class Node(int id, StorageKind kind)
    {
        private List<byte[]?> _pages = []; // images are never changed, only replaced

        public int Id => id;

        public StorageKind Kind => kind;

        public long Size { get; set; }

        public int Mode { get; set; }

        /// <summary>What it was made with, in one step with its name.</summary>
        public int FirstMode { get; init; }

        public long Modified { get; set; }

        public string? Target { get; init; }

        public Dictionary<string, int> Entries { get; private init; } = new(StringComparer.Ordinal);

        public Node Copy() => new(id, kind)
        {
            _pages = [.. _pages],
            Size = Size,
            Mode = Mode,
            Modified = Modified,
            Target = Target,
            Entries = new Dictionary<string, int>(Entries, StringComparer.Ordinal),
        };

        public byte[]? PageAt(long number) => number < _pages.Count ? _pages[(int)number] : null;

        public void SetPage(long number, byte[] page)
        {
            while (_pages.Count <= number) _pages.Add(null);
            _pages[(int)number] = page;
        }

        /// <summary>What is behind the end is gone: a file that grows later has zeros there.</summary>
        public void CutPages()
        {
            int whole = (int)((Size + PageBytes - 1) / PageBytes);
            if (_pages.Count > whole) _pages.RemoveRange(whole, _pages.Count - whole);
            int rest = (int)(Size % PageBytes);
            if (rest == 0 || _pages.Count < whole || _pages[^1] is not { } last) return;
            byte[] cut = [.. last];
            cut.AsSpan(rest).Clear();
            _pages[^1] = cut;
        }

        public int Read(long offset, Span<byte> destination)
        {
            int length = (int)Math.Clamp(Size - offset, 0, destination.Length);
            for (int done = 0; done < length;)
            {
                int at = (int)((offset + done) % PageBytes), take = Math.Min(PageBytes - at, length - done);
                if (PageAt((offset + done) / PageBytes) is { } page) page.AsSpan(at, take).CopyTo(destination[done..]);
                else destination.Slice(done, take).Clear();
                done += take;
            }

            return length;
        }

        public StorageStat ToStat() => new(kind, Size, Size, Mode, Modified, Modified, (ulong)id + 1, 1, 1, true);
    }
}
