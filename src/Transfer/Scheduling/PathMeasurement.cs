namespace FastShare.Transfer.Scheduling;

/// <summary>What was measured of a transfer since the last measurement.</summary>
/// <param name="Interval">The time in between.</param>
/// <param name="Bytes">Payload bytes that lanes handed to their connections.</param>
/// <param name="Chunks">Chunks, likewise.</param>
/// <param name="IdleShare">The part of the lanes' time, 0 to 1, in which they waited for chunks: the disk was slower than they.</param>
/// <param name="IsHeldBack">Whether the user's own limit, a pause or another transfer's share held lanes back.</param>
/// <param name="Connections">Connections that carried chunks.</param>
/// <param name="RoundTrip">Round-trip time; null: not known.</param>
/// <param name="Kernel">What the kernel says; null where it says nothing.</param>
/// <param name="ShortestRoundTrip">
/// What the path takes when nothing waits on it; null: not known. On a busy machine, even the loopback interface answers slowly.
/// </param>
/// <param name="BytesLeft">Payload that is still to be moved; null: not known yet.</param>
internal readonly record struct PathMeasurement(
    TimeSpan Interval,
    long Bytes,
    long Chunks,
    double IdleShare,
    bool IsHeldBack,
    int Connections,
    TimeSpan? RoundTrip,
    KernelMeasurement? Kernel,
    TimeSpan? ShortestRoundTrip = null,
    long? BytesLeft = null)
{
    public double BytesPerSecond => Interval > TimeSpan.Zero ? Bytes / Interval.TotalSeconds : 0;
}

/// <summary>The kernel's view of the connections of one transfer over one interval, averaged over them.</summary>
/// <param name="BufferLimited">Part of the time, 0 to 1, in which the send buffer's limit held the flow back.</param>
/// <param name="WindowLimited">Likewise the receiver's TCP window.</param>
/// <param name="Repeated">Part of the segments, 0 to 1, that had to be sent again.</param>
/// <param name="IsLossBased">Whether the congestion control slows down for loss (all but BBR do).</param>
internal readonly record struct KernelMeasurement(double BufferLimited, double WindowLimited, double Repeated, bool IsLossBased = true);
