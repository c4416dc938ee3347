namespace FastShare.EndToEnd.Tests.Processes;

/// <summary>Files and folders with contents, modes and times, made from a seed and compared.</summary>
internal static class FileTree
{
    private static readonly DateTime _someTime = new(2021, 3, 4, 5, 6, 7, DateTimeKind.Utc);

    /// <summary>Makes a file of pseudo-random content.</summary>
    public static string WriteFile(string path, long length, int seed = 1)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        var random = new Random(seed);
        byte[] block = new byte[1 << 16];
        using FileStream file = File.Create(path);
        for (long left = length; left > 0; left -= block.Length)
        {
            random.NextBytes(block);
            file.Write(block, 0, (int)Math.Min(left, block.Length));
        }

        return path;
    }

    /// <summary>Makes a folder with files of many sizes, nested and empty folders, odd names, modes and times.</summary>
    public static string Write(string root)
    {
        (string Path, long Length)[] files =
        [
            ("empty", 0), ("one", 1), ("odd size.bin", 70_001), ("deep/er/and/deeper/file.txt", 1_234), ("größe ☃.dat", 3_000_000),
            ("deep/script.sh", 42), ("deep/secret", 99), (".hidden", 7),
        ];
        for (int i = 0; i < files.Length; i++)
        {
            string path = WriteFile(Path.Combine(root, files[i].Path), files[i].Length, seed: i);
            File.SetLastWriteTimeUtc(path, _someTime.AddDays(i));
        }

        Directory.CreateDirectory(Path.Combine(root, "empty folder"));
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(Path.Combine(root, "deep/script.sh"), (UnixFileMode)Convert.ToInt32("755", 8));
            File.SetUnixFileMode(Path.Combine(root, "deep/secret"), (UnixFileMode)Convert.ToInt32("600", 8));
        }

        return root;
    }

    /// <summary>Fails unless both hold the same entries with the same contents, modes and times.</summary>
    public static void AssertEqual(string expected, string actual)
    {
        string[] entries = Entries(expected);
        Assert.Equal(entries, Entries(actual));
        foreach (string entry in entries)
        {
            string from = Path.Combine(expected, entry), to = Path.Combine(actual, entry);
            if (Directory.Exists(from))
            {
                Assert.True(Directory.Exists(to), $"{entry} is no folder");
                continue;
            }

            AssertSameContent(from, to);
            Assert.Equal(File.GetLastWriteTimeUtc(from), File.GetLastWriteTimeUtc(to));
            if (!OperatingSystem.IsWindows()) Assert.Equal(File.GetUnixFileMode(from), File.GetUnixFileMode(to));
        }
    }

    /// <summary>Fails unless both files hold the same bytes.</summary>
    public static void AssertSameContent(string expected, string actual)
    {
        using FileStream left = File.OpenRead(expected), right = File.OpenRead(actual);
        Assert.Equal(left.Length, right.Length);
        byte[] a = new byte[1 << 16], b = new byte[1 << 16];
        for (int read; (read = left.ReadAtLeast(a, a.Length, throwOnEndOfStream: false)) > 0;)
        {
            right.ReadExactly(b, 0, read);
            Assert.True(a.AsSpan(0, read).SequenceEqual(b.AsSpan(0, read)), $"{actual} differs from {expected}");
        }
    }

    /// <summary>What stands in a folder, besides staging; empty if the folder is not there.</summary>
    public static string[] Published(string folder) => Directory.Exists(folder)
        ? [.. Entries(folder).Where(entry => !entry.StartsWith(".fastshare-", StringComparison.Ordinal))]
        : [];

    private static string[] Entries(string root) =>
    [
        .. Directory.EnumerateFileSystemEntries(root, "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = 0 })
            .Select(path => Path.GetRelativePath(root, path)).Order(StringComparer.Ordinal),
    ];
}
