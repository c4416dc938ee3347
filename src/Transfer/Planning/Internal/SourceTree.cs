using FastShare.Transfer.Storage.Internal;

namespace FastShare.Transfer.Planning.Internal;

/// <summary>
/// One argument of a sender as a tree to read, following no link from the argument's own folder downwards. Paths are relative to
/// that folder and start with the argument's last name. One user at a time.
/// </summary>
internal abstract class SourceTree : IDisposable
{
    /// <summary>Opens the folder that an argument stands in.</summary>
    public static SourceTree Open(string folder) => LinuxCalls.IsSupported ? new LinuxSourceTree(folder) : new PortableSourceTree(folder);

    /// <summary>Looks at a path; null if there is nothing.</summary>
    /// <exception cref="TransferException">It may not be looked at.</exception>
    public abstract StorageStat? Stat(string path);

    /// <summary>Reads the names in a folder.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="names">Where the names go.</param>
    /// <param name="unreadable">Where names go that are not valid Unicode.</param>
    /// <exception cref="TransferException">It may not be read, or is no folder any more.</exception>
    public abstract void List(string path, List<string> names, List<string> unreadable);

    /// <summary>Looks at a name in the folder listed last.</summary>
    public abstract StorageStat? StatListed(string path, string name);

    /// <summary>What a link points to; null if it is none.</summary>
    public abstract string? ReadLink(string path);

    /// <inheritdoc/>
    public abstract void Dispose();
}

/// <summary>By descriptors and system calls. Holds at most two descriptors, however deep the tree.</summary>
internal sealed class LinuxSourceTree : SourceTree
{
    private readonly LinuxHandle _root;
    private LinuxHandle? _listed; // the folder of _listedPath
    private string? _listedPath;

    public LinuxSourceTree(string folder)
    {
        int flags = LinuxCalls.PathOnly | LinuxCalls.Directory | LinuxCalls.CloseOnExec;
        int result = LinuxCalls.OpenAt(LinuxCalls.CurrentFolder, folder, flags, 0);
        if (result < 0) throw LinuxError.From(System.Runtime.InteropServices.Marshal.GetLastPInvokeError(), "open the folder", folder);
        _root = new LinuxHandle(result);
    }

    /// <inheritdoc/>
    public override StorageStat? Stat(string path)
    {
        using LinuxHandle.Lease root = _root.Use();
        return Found(LinuxPaths.Stat(root.Descriptor, path, out StorageStat stat), path) ? stat : null;
    }

    /// <inheritdoc/>
    public override void List(string path, List<string> names, List<string> unreadable)
    {
        int result = LinuxPaths.List(OpenListed(path), names, unreadable);
        if (result != 0) throw LinuxError.From(-result, "list the folder", path);
    }

    /// <inheritdoc/>
    public override StorageStat? StatListed(string path, string name)
    {
        // after a subfolder was listed in between, this one is opened afresh
        int folder = _listedPath == path ? OpenedListed() : OpenListed(path);
        return Found(LinuxPaths.StatAt(folder, name, out StorageStat stat), name) ? stat : null;
    }

    /// <inheritdoc/>
    public override string? ReadLink(string path)
    {
        int slash = path.LastIndexOf('/');
        using LinuxHandle.Lease root = _root.Use();
        string folder = slash < 0 ? "" : path[..slash];
        using var parent = new LinuxHandle(LinuxPaths.Open(root.Descriptor, folder, LinuxCalls.PathOnly | LinuxCalls.Directory));
        if (parent.IsInvalid) return null;
        using LinuxHandle.Lease lease = parent.Use();
        return LinuxPaths.ReadLink(lease.Descriptor, path[(slash + 1)..]);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _listed?.Dispose();
        _root.Dispose();
    }

    private static bool Found(int result, string path) => result switch
    {
        0 => true,
        -LinuxError.NoEntry => false,
        _ => throw LinuxError.From(-result, "look at", path),
    };

    // single user, and nobody disposes meanwhile: the bare number is safe here
    private int OpenedListed() => (int)_listed!.DangerousGetHandle();

    private int OpenListed(string path)
    {
        _listed?.Dispose();
        _listed = null;
        _listedPath = null;
        using LinuxHandle.Lease root = _root.Use();
        int result = LinuxPaths.Open(root.Descriptor, path, LinuxCalls.ReadOnly | LinuxCalls.Directory);
        if (result < 0) throw LinuxError.From(-result, "open the folder", path);
        _listed = new LinuxHandle(result);
        _listedPath = path;
        return result;
    }
}

/// <summary>With the framework alone: links are looked for before each step, which somebody could race.</summary>
internal sealed class PortableSourceTree(string folder) : SourceTree
{
    /// <inheritdoc/>
    public override StorageStat? Stat(string path) => PortableError.StatBeneath(folder, path);

    /// <inheritdoc/>
    public override void List(string path, List<string> names, List<string> unreadable)
    {
        if (Stat(path)?.Kind != StorageKind.Folder) throw PortableError.LinkInTheWay(path);
        PortableError.Run("list the folder", path, () =>
            names.AddRange(Directory.EnumerateFileSystemEntries(Path.Combine(folder, path)).Select(entry => Path.GetFileName(entry))));
    }

    /// <inheritdoc/>
    public override StorageStat? StatListed(string path, string name) => Stat(path + "/" + name);

    /// <inheritdoc/>
    public override string? ReadLink(string path) =>
        PortableError.Run("look at", path, () => new FileInfo(Path.Combine(folder, path)).LinkTarget);

    /// <inheritdoc/>
    public override void Dispose()
    {
    }
}
