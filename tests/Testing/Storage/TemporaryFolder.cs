namespace FastShare.Testing.Storage;

/// <summary>
/// A folder of a test's own, removed with everything in it. In memory where the system has a place for that, because the tests sync a
/// lot; FASTSHARE_TEST_FOLDER names another place, such as a real disk.
/// </summary>
internal sealed class TemporaryFolder : IDisposable
{
    private static readonly string Parent = Environment.GetEnvironmentVariable("FASTSHARE_TEST_FOLDER")
        ?? (Directory.Exists("/dev/shm") ? "/dev/shm" : System.IO.Path.GetTempPath());

    /// <summary>Its path.</summary>
    public string Path { get; } =
        Directory.CreateDirectory(System.IO.Path.Combine(Parent, $"fastshare-test-{Guid.NewGuid():N}")).FullName;

    /// <summary>The path of something in it.</summary>
    public string this[string relative] => System.IO.Path.Combine(Path, relative);

    /// <summary>Writes a file, making the folders above it, and returns its path.</summary>
    public string Write(string relative, ReadOnlySpan<byte> content)
    {
        string full = this[relative];
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(full)!);
        File.WriteAllBytes(full, content);
        return full;
    }

    /// <summary>Relative paths of all that is in it but folders, in ordinal order.</summary>
    public string[] Files()
    {
        var all = new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = 0 };
        IEnumerable<string> paths = Directory.EnumerateFiles(Path, "*", all).Select(path => System.IO.Path.GetRelativePath(Path, path));
        return [.. paths.Order(StringComparer.Ordinal)];
    }

    /// <summary>Permission bits of a path, with set-uid, set-gid and sticky; −1 on Windows.</summary>
    public static int ModeOf(string path) => OperatingSystem.IsWindows() ? -1 : (int)File.GetUnixFileMode(path);

    /// <summary>Sets permission bits; nothing on Windows.</summary>
    public static void SetMode(string path, int mode)
    {
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, (UnixFileMode)mode);
    }

    public void Dispose()
    {
        if (!Directory.Exists(Path)) return;
        var all = new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint };
        foreach (string folder in Directory.EnumerateDirectories(Path, "*", all)) SetMode(folder, 0x1C0);
        Directory.Delete(Path, recursive: true);
    }
}
