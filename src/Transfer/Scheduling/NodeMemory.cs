namespace FastShare.Transfer.Scheduling;

/// <summary>
/// What the chunks of all transfers that a node is sending may take between disk and connections. Each gets an equal part, so that
/// a receiver which reads nothing holds its own part and nobody else's. Thread-safe.
/// </summary>
/// <param name="limit">Bytes, for all of them.</param>
internal sealed class NodeMemory(long limit)
{
    private int _transfers; // interlocked

    /// <summary>One transfer's part now, in bytes.</summary>
    public long Part => limit / Math.Max(1, Volatile.Read(ref _transfers));

    /// <summary>A transfer begins to send.</summary>
    public void Join() => Interlocked.Increment(ref _transfers);

    /// <summary>It holds nothing any more.</summary>
    public void Leave() => Interlocked.Decrement(ref _transfers);
}
