namespace FastShare.Testing;

/// <summary>The source tree that the tests were built from.</summary>
internal static class Repository
{
    public static string PathOf(params string[] parts)
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Combine(folder, "FastShare.sln"))) folder = Path.GetDirectoryName(folder);
        return Path.Combine([folder ?? throw new InvalidOperationException("not run from inside the repository"), .. parts]);
    }
}
