namespace FastShare.Transfer.Planning;

/// <summary>A manifest entry and where it stands on this machine.</summary>
/// <param name="Entry">What the peer is told.</param>
/// <param name="FullPath">Absolute path here.</param>
internal sealed record SourceEntry(ManifestEntry Entry, string FullPath)
{
    /// <summary>Its inode number when it was listed; 0 where unknown.</summary>
    public ulong FileId { get; init; }

    /// <summary>Its device; 0 where unknown.</summary>
    public ulong Device { get; init; }
}
