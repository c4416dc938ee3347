using System.ComponentModel;

namespace FastShare.SideBySide.Reporting;

/// <summary>The commit that is measured.</summary>
internal static class GitCommit
{
    /// <summary>Its short name, <c>+</c> behind it if there were changes on top; empty: unknown.</summary>
    public static async Task<string> ReadAsync()
    {
        try
        {
            string commit = await GitAsync("rev-parse", "--short=10", "HEAD");
            // The runs' own file changes nothing that is measured.
            string changes = await GitAsync("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)perf/history.jsonl");
            return changes.Length > 0 ? commit + "+" : commit;
        }
        catch (Exception e) when (e is InvalidOperationException or Win32Exception)
        {
            return ""; // not in a repository, or no git
        }
    }

    private static async Task<string> GitAsync(params string[] words) =>
        (await ChildProcess.RunAsync("git", ["-C", AppContext.BaseDirectory, .. words], CancellationToken.None)).Output.Trim();
}
