using System.Diagnostics.CodeAnalysis;

namespace FastShare.Interop;

/// <summary>
/// What a test needs of the machine. Where it is missing the test is skipped with the reason; with <c>FASTSHARE_CI=1</c>, where
/// everything must be there, it fails.
/// </summary>
internal static class Prerequisite
{
    private static bool IsRequired => Environment.GetEnvironmentVariable("FASTSHARE_CI") == "1";

    public static void Require([DoesNotReturnIf(false)] bool satisfied, string otherwise)
    {
        if (satisfied) return;
        if (IsRequired) Assert.Fail($"FASTSHARE_CI=1 allows no missing prerequisite: {otherwise}");
        Assert.Skip(otherwise);
        throw new InvalidOperationException(otherwise); // not reached: the line above throws
    }

    /// <summary>The full path of a program, looked for where administrators' programs are too; null if there is none.</summary>
    public static string? FindProgram(string name)
    {
        if (OperatingSystem.IsWindows()) name += ".exe";
        string path = Environment.GetEnvironmentVariable("PATH") ?? "";
        if (!OperatingSystem.IsWindows()) path += ":/usr/sbin:/sbin";
        return path.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries).Select(folder => Path.Combine(folder, name)).FirstOrDefault(File.Exists);
    }
}
