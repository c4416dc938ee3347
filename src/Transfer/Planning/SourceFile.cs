namespace FastShare.Transfer.Planning;

/// <summary>A file being sent.</summary>
internal sealed class SourceFile : IDisposable
{
    public static SourceFile Open(SourceEntry entry) => throw new NotImplementedException();

    public int Read(long offset, Span<byte> destination) => throw new NotImplementedException();

    public bool HasChanged() => throw new NotImplementedException();

    public void Dispose() => throw new NotImplementedException();
}
