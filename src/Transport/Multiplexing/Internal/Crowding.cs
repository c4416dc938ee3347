namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>
/// How much bulk may be under way while requests come and go on the same connection. What is on the wire is read in order, so a
/// request waits for all of it; credit that is not given cannot stand in its way. Asking is thread-safe.
/// </summary>
/// <remarks>
/// The sign of requests is that streams come and go: bulk keeps its own, and a connection begins with a few short ones. Only near paths
/// are limited, where this much credit still fills the path; far ones need a bandwidth × delay of it.
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

    /// <summary>
    /// So many short streams make a crowd. identify, a ping and the agreement on surplus connections at a connection's start do not.
    /// </summary>
    public const int Crowd = 8;

    /// <summary>Streams that lived shorter are short, and so long after the last few of them ended the next may be expected.</summary>
    private static readonly TimeSpan Expectation = TimeSpan.FromSeconds(1);

    private readonly long[] _endsTicks = new long[Crowd]; // gate: a ring of the latest short streams' ends
    private int _ends; // gate
    private long _earliestTicks = long.MinValue; // volatile: the earliest of them; none as long as they are too few

    /// <summary>A stream ended, whoever opened it. Gate held.</summary>
    /// <param name="openedAt">When it was opened.</param>
    /// <param name="now">The time.</param>
    public void OnEnded(TimeSpan openedAt, TimeSpan now)
    {
        if (now - openedAt >= Expectation) return;
        _endsTicks[_ends++ % Crowd] = now.Ticks;
        if (_ends == 2 * Crowd) _ends = Crowd; // counts no further than "full"
        if (_ends >= Crowd) Volatile.Write(ref _earliestTicks, _endsTicks[_ends % Crowd]);
    }

    /// <summary>The most credit that the remote side may hold on a stream, in bytes.</summary>
    /// <param name="now">The time.</param>
    /// <param name="roundTrip">The path's round trip, if known.</param>
    public uint LargestCredit(TimeSpan now, TimeSpan? roundTrip)
    {
        long earliest = Volatile.Read(ref _earliestTicks);
        bool crowded = earliest > now.Ticks - Expectation.Ticks && roundTrip < Near;
        return crowded ? CrowdedCredit : uint.MaxValue;
    }
}
