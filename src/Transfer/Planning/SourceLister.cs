namespace FastShare.Transfer.Planning;

/// <summary>A manifest entry and where it stands on this machine.</summary>
internal sealed record SourceEntry(ManifestEntry Entry, string FullPath);

/// <summary>Lists what is to be sent.</summary>
internal sealed class SourceLister
{
    public SourceLister(IReadOnlyList<string> paths) => throw new NotImplementedException();

    public IEnumerable<SourceEntry> List() => throw new NotImplementedException();

    public IReadOnlyList<TransferException> Failures => throw new NotImplementedException();
}
