namespace FastShare.Interop;

/// <summary>Where this checkout lies.</summary>
internal static class Repository
{
    /// <summary>The folder of the solution, found upwards from the test program.</summary>
    public static string Root { get; } = Find();

    /// <summary>The <c>fastshare</c> command, built beside the tests in the same configuration.</summary>
    public static string Command => Tool("FastShare.Cli", "fastshare");

    /// <summary>The sample <c>queued-files</c>, built beside the tests in the same configuration.</summary>
    public static string QueuedFiles => Tool("FastShare.Samples.QueuedFiles", "queued-files");

    private static string Tool(string project, string program)
    {
        string configuration = new DirectoryInfo(AppContext.BaseDirectory).Parent!.Name;
        return Path.Combine(Root, "tools", project, "bin", configuration, "net10.0", OperatingSystem.IsWindows() ? $"{program}.exe" : program);
    }

    private static string Find()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "FastShare.sln"))) return folder.FullName;
        }

        throw new InvalidOperationException($"no FastShare.sln above {AppContext.BaseDirectory}");
    }
}
