namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>
/// How much bulk may be under way while requests come and go on the same connection. What is on the wire is read in order, so a
/// request waits for all of it; credit that is not given cannot stand in its way. Thread-safe.
/// </summary>
/// <remarks>
/// The sign of requests is that streams are opened: bulk opens its streams once. Only near paths are limited, where this much credit
/// still fills the path; far ones need a bandwidth × delay of it.
/// </remarks>
internal sealed class Crowding
{
    /// <summary>
    /// Credit in bytes that the remote side holds at most, per stream: 0.3 ms of what one connection carries on a fast machine. Half of
    /// it costs a third of the throughput, twice as much doubles what a request waits (perf/README.md).
    /// </summary>
    public const uint CrowdedCredit = 512 << 10;

    /// <summary>Round trips below this are near: the credit carries 2 Gbit/s over it.</summary>
    private static readonly TimeSpan Near = TimeSpan.FromMilliseconds(2);

    /// <summary>So long after a stream was opened, the next may be expected.</summary>
    private static readonly TimeSpan Expectation = TimeSpan.FromSeconds(1);

    private long _openedAtTicks = long.MinValue; // volatile

    /// <summary>A stream was opened, by either side.</summary>
    public void OnOpened(TimeSpan now) => Volatile.Write(ref _openedAtTicks, now.Ticks);

    /// <summary>The most credit that the remote side may hold on a stream, in bytes.</summary>
    /// <param name="openedAt">When that stream was opened.</param>
    /// <param name="now">The time.</param>
    /// <param name="roundTrip">The path's round trip, if known.</param>
    public uint LargestCredit(TimeSpan openedAt, TimeSpan now, TimeSpan? roundTrip)
    {
        long latest = Volatile.Read(ref _openedAtTicks);
        bool crowded = latest > openedAt.Ticks && now.Ticks - latest < Expectation.Ticks && roundTrip < Near;
        return crowded ? CrowdedCredit : uint.MaxValue;
    }
}
