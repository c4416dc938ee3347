namespace FastShare.Transfer.Planning;

/// <summary>Checks a manifest entry by entry, in order.</summary>
internal sealed class ManifestValidator
{
    /// <summary>Checks the next entry against the rules and all entries before it.</summary>
    public void Add(ManifestEntry entry) => throw new NotImplementedException();

    /// <summary>Entries taken so far.</summary>
    public long Entries => throw new NotImplementedException();

    /// <summary>Files among them.</summary>
    public long Files => throw new NotImplementedException();

    /// <summary>Sum of their sizes.</summary>
    public long TotalBytes => throw new NotImplementedException();

    /// <summary>Names of the top-level entries, at most the first 100.</summary>
    public IReadOnlyList<string> RootNames => throw new NotImplementedException();

    /// <summary>Paths with a segment that starts with a dot, at most the first 100.</summary>
    public IReadOnlyList<string> HiddenNames => throw new NotImplementedException();
}
