using FastShare.EndToEnd.Tests.Processes;

namespace FastShare.EndToEnd.Tests.KillStorm;

/// <summary>How much a storm moves.</summary>
/// <param name="SmallFiles">Files of up to 16 KiB.</param>
/// <param name="LargeBytes">Length of the one large file.</param>
/// <param name="MostKills">Of a round; each has at least one.</param>
internal sealed record StormSize(int SmallFiles, long LargeBytes, int MostKills);

/// <summary>
/// A mixed tree made from a size: many small files with names in several scripts, one large file, a sparse one, empty folders, modes and
/// times. Immutable once made; thread-safe.
/// </summary>
internal sealed class StormTree
{
    private const int Island = 1 << 20;

    private static readonly string[] _folders = ["plain", "größe", "документы", "写真/子", "ملفات", "📦 box", "a/b/c/d"];
    private static readonly string[] _modes = ["644", "600", "755", "444"];
    private static readonly DateTime _someTime = new(2019, 2, 3, 4, 5, 6, DateTimeKind.Utc);

    private readonly HashSet<string> _files = new(StringComparer.Ordinal);

    public StormTree(string root, StormSize size)
    {
        Root = root;
        var random = new Random(size.SmallFiles);
        for (int i = 0; i < size.SmallFiles; i++)
            Add($"{_folders[i % _folders.Length]}/ƒ {i:D5}.txt", random.Next(16 << 10), i);
        Add("large ☃.bin", size.LargeBytes, size.SmallFiles);
        AddSparse("sparse.img", islands: 8);
        Directory.CreateDirectory(Path.Combine(root, "empty"));
        Directory.CreateDirectory(Path.Combine(root, "a/empty/空"));
        SetFolders();
    }

    public string Root { get; }

    /// <summary>Bytes that have to be moved: all but holes.</summary>
    public long Payload { get; private set; }

    /// <summary>Everything that stands below <paramref name="destination"/> under a final name, as paths in this tree.</summary>
    public static IEnumerable<string> FinalFiles(string destination)
    {
        if (!Directory.Exists(destination)) return [];
        var options = new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = 0, IgnoreInaccessible = false };
        return new System.IO.Enumeration.FileSystemEnumerable<string>(
            destination, (ref System.IO.Enumeration.FileSystemEntry entry) => Path.GetRelativePath(destination, entry.ToFullPath()), options)
        {
            ShouldIncludePredicate = (ref System.IO.Enumeration.FileSystemEntry entry) => !entry.IsDirectory,
            ShouldRecursePredicate = (ref System.IO.Enumeration.FileSystemEntry entry) =>
                !entry.FileName.StartsWith(".fastshare-", StringComparison.Ordinal),
        };
    }

    /// <summary>What is wrong with a file that stands under a final name; null: nothing.</summary>
    public string? FaultOf(string destination, string relative)
    {
        if (!_files.Contains(relative)) return $"'{relative}' was not sent";
        string from = Path.Combine(Root, relative), to = Path.Combine(destination, relative);
        if (File.GetLastWriteTimeUtc(from) != File.GetLastWriteTimeUtc(to)) return $"'{relative}' has another time";
        if (!OperatingSystem.IsWindows() && File.GetUnixFileMode(from) != File.GetUnixFileMode(to)) return $"'{relative}' has another mode";
        using FileStream left = File.OpenRead(from), right = File.OpenRead(to);
        if (left.Length != right.Length) return $"'{relative}' has {right.Length} bytes of {left.Length}";
        byte[] a = new byte[1 << 17], b = new byte[1 << 17];
        for (int read; (read = left.ReadAtLeast(a, a.Length, throwOnEndOfStream: false)) > 0;)
        {
            right.ReadExactly(b, 0, read);
            if (!a.AsSpan(0, read).SequenceEqual(b.AsSpan(0, read))) return $"'{relative}' has other bytes before {left.Position}";
        }

        return null;
    }

    /// <summary>Fails unless the destination holds this tree, nothing else, and no staging.</summary>
    public void AssertDelivered(string destination)
    {
        FileTree.AssertEqual(Root, destination);
        if (OperatingSystem.IsWindows()) return;
        foreach (string folder in Directory.EnumerateDirectories(Root, "*", SearchOption.AllDirectories))
        {
            string delivered = Path.Combine(destination, Path.GetRelativePath(Root, folder));
            Assert.Equal(File.GetUnixFileMode(folder), File.GetUnixFileMode(delivered));
            Assert.Equal(Directory.GetLastWriteTimeUtc(folder), Directory.GetLastWriteTimeUtc(delivered));
        }
    }

    private void Add(string relative, long length, int seed)
    {
        string path = FileTree.WriteFile(Path.Combine(Root, relative), length, seed);
        Finish(path, relative, seed);
        Payload += length;
    }

    private void AddSparse(string relative, int islands)
    {
        string path = Path.Combine(Root, relative);
        byte[] island = new byte[Island];
        var random = new Random(islands);
        using (FileStream file = File.Create(path))
        {
            for (int i = 0; i < islands; i++)
            {
                random.NextBytes(island);
                file.Position = (4L * Island) + (i * 32L * Island);
                file.Write(island);
            }

            file.SetLength(islands * 32L * Island);
        }

        Finish(path, relative, seed: 3);
        Payload += (long)islands * Island;
    }

    private void Finish(string path, string relative, int seed)
    {
        File.SetLastWriteTimeUtc(path, _someTime.AddSeconds(seed * 61).AddTicks(seed));
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, (UnixFileMode)Convert.ToInt32(_modes[seed % _modes.Length], 8));
        _files.Add(relative);
    }

    // Last and deepest first: what is made in a folder changes its time.
    private void SetFolders()
    {
        int seed = 0;
        foreach (string folder in Directory.EnumerateDirectories(Root, "*", SearchOption.AllDirectories).OrderDescending().ToArray())
        {
            if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(folder, (UnixFileMode)Convert.ToInt32(++seed % 2 == 0 ? "755" : "750", 8));
            Directory.SetLastWriteTimeUtc(folder, _someTime.AddDays(seed));
        }
    }
}
