namespace FastShare.Transfer.Planning;

/// <summary>What a manifest entry is. The values are the wire's (docs/wire-format.md, "Manifest page").</summary>
internal enum EntryKind : byte
{
    /// <summary>A regular file.</summary>
    File = 0,

    /// <summary>A folder.</summary>
    Directory = 1,

    /// <summary>A symbolic link. Sent only on request, created only when the receiver's policy says so.</summary>
    Symlink = 2,

    /// <summary>Bytes that are read once, in order, whose number may be known only at their end. Becomes a regular file in a folder.</summary>
    Stream = 3,
}

/// <summary>One file, folder or symbolic link of a manifest.</summary>
/// <param name="Id">Its number: dense, from 0, in the order of the manifest.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Path">
/// Path relative to the destination, segments separated by <c>/</c>. Untrusted until a <see cref="ManifestValidator"/> took it.
/// </param>
/// <param name="Size">Bytes of a file; of a stream what was announced, or <see cref="UnknownSize"/>; 0 for everything else.</param>
/// <param name="Mode">Unix permission bits, 0 to 0777; −1: unknown.</param>
/// <param name="ModifiedUnixNanoseconds">Time of last modification, nanoseconds since 1970-01-01 UTC.</param>
/// <param name="LinkTarget">What a symbolic link points to; null for everything else.</param>
internal sealed record ManifestEntry(
    uint Id, EntryKind Kind, string Path, long Size, int Mode, long ModifiedUnixNanoseconds, string? LinkTarget)
{
    /// <summary>The <see cref="Size"/> of a stream that ends when it ends.</summary>
    public const long UnknownSize = -1;

    /// <summary>Whether chunks are sent for it.</summary>
    public bool HasContent => Kind is EntryKind.File or EntryKind.Stream;

    /// <summary>Its share of the manifest's total: 0 where the size is not known.</summary>
    public long AnnouncedBytes => Math.Max(0, Size);
}
