namespace FastShare.Transfer.Planning;

/// <summary>A manifest entry and where it stands on this machine.</summary>
/// <param name="Entry">What the peer is told.</param>
/// <param name="Root">The folder here that the entry's path is relative to; absolute.</param>
internal sealed record SourceEntry(ManifestEntry Entry, string Root)
{
    /// <summary>Absolute path here.</summary>
    public string FullPath => Path.Combine(Root, Entry.Path);

    /// <summary>Its inode number when it was listed; 0 where unknown.</summary>
    public ulong FileId { get; init; }

    /// <summary>Whether it takes less room than it is long, or might.</summary>
    public bool IsSparse { get; init; } = true;

    /// <summary>Its device; 0 where unknown.</summary>
    public ulong Device { get; init; }
}
