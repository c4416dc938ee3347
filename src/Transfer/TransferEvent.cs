namespace FastShare.Transfer;

/// <summary>Something worth telling about a transfer.</summary>
public abstract record TransferEvent
{
    private TransferEvent()
    {
    }

    /// <summary>The offer was taken.</summary>
    public sealed record Accepted : TransferEvent;

    /// <summary>A file stands, verified, under its final name.</summary>
    /// <param name="Path">Relative to the transfer's root, unescaped.</param>
    /// <param name="Bytes">Its size.</param>
    /// <param name="Digest">Its root digest (XXH128 over its chunks' digests) in hexadecimal.</param>
    public sealed record FileCompleted(string Path, long Bytes, string Digest) : TransferEvent;

    /// <summary>A file failed; the rest goes on.</summary>
    public sealed record FileFailed(TransferException Error) : TransferEvent;

    /// <summary>
    /// The mode was chosen or changed, or the number of connections; then both modes may be the same and <paramref name="Why"/> says more.
    /// </summary>
    public sealed record ModeChanged(TransferMode From, TransferMode To, string Why) : TransferEvent;

    /// <summary>The connection was lost and will be tried again after <paramref name="Delay"/>.</summary>
    public sealed record Retrying(int Attempt, string Why, TimeSpan Delay) : TransferEvent;

    /// <summary>The transfer goes on from an earlier state: this many bytes need not move again.</summary>
    public sealed record Resumed(long BytesAlready) : TransferEvent;

    /// <summary>The transfer was paused here.</summary>
    public sealed record Paused : TransferEvent;

    /// <summary>It goes on after a pause.</summary>
    public sealed record Continued : TransferEvent;
}
