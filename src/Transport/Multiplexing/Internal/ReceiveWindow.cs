namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>
/// One stream's receive window: how much the remote side may send, when to return credit, and when to grow. Knows no I/O and no
/// clock. Not thread-safe: guarded by the lock of <see cref="StreamInput"/>.
/// </summary>
/// <remarks>
/// Auto-tuning as in rust-yamux and go-yamux: credit goes back once half of the window was consumed; a window whose credit is used
/// up again within four round trips limits the stream, so it doubles, up to a cap and as far as a shared budget allows. Without a
/// measured round trip it never grows, and it never shrinks.
/// Unlike there, no round trip counts as shorter than <see cref="ShortestTurn"/>, up to <see cref="NearSize"/>: on a near path it is
/// the processes' turns that a window must last for.
/// </remarks>
internal struct ReceiveWindow
{
    // go-yamux doubles below 4 round trips, rust-yamux below 2; the larger reaches the path's capacity sooner.
    private const int GrowthRoundTrips = 4;

    /// <summary>
    /// How long either side may wait for a processor when both are busy. Where only the path's microseconds count, the streams that grew
    /// before it was so keep sixteen megabytes and all others a quarter of one, for good: 64 receivers of one sender differ by a factor of
    /// five and more (perf/README.md).
    /// </summary>
    internal static readonly TimeSpan ShortestTurn = TimeSpan.FromMilliseconds(10);

    /// <summary>
    /// So far a window grows for the sake of turns alone, in bytes: 100 MB/s in four of them. More would only lie unread.
    /// </summary>
    internal const uint NearSize = 4 << 20;

    private TimeSpan _updatedAt;

    public ReceiveWindow(TimeSpan now)
    {
        Size = Held = SendCredit.Initial;
        _updatedAt = now;
    }

    /// <summary>The window's size: the most bytes that can be announced and unread at once.</summary>
    public uint Size { get; private set; }

    /// <summary>Credit that the remote side has left, counting window updates still on their way.</summary>
    public uint Held { get; private set; }

    /// <summary>What was taken from the budget to grow beyond the initial size, and not given back.</summary>
    public uint Growth { get; private set; }

    /// <summary>Charges a frame's payload. False: the remote side sends more than it may.</summary>
    public bool TryReceive(uint length)
    {
        if (length > Held) return false;
        Held -= length;
        return true;
    }

    /// <summary>Raises the window to a larger size at once, if the budget allows. Returns the credit to send.</summary>
    public uint Raise(uint size, ByteBudget budget)
    {
        if (size <= Size) return 0;
        uint delta = size - Size;
        if (!budget.TryTake(delta)) return 0;
        Size = size;
        Growth += delta;
        Held += delta;
        return delta;
    }

    /// <summary>Called after every read: the credit to return now, often none.</summary>
    /// <param name="unread">Bytes announced and not consumed.</param>
    /// <param name="now">The time.</param>
    /// <param name="roundTrip">The connection's round-trip time, if known.</param>
    /// <param name="most">The most credit that the remote side may hold now (<see cref="Crowding"/>).</param>
    /// <param name="cap">The largest size.</param>
    /// <param name="budget">Pays for growth.</param>
    public uint Replenish(long unread, TimeSpan now, TimeSpan? roundTrip, uint most, uint cap, ByteBudget budget)
    {
        if (most < Size)
        {
            // Not the window limits the stream now, so how soon its credit is used up says nothing about growing.
            uint due = Math.Min(Missing(unread), most > Held ? most - Held : 0);
            return due < most / 2 ? 0 : Grant(due, now);
        }

        if (Missing(unread) < Size / 2) return 0;
        if (roundTrip is { } rtt && now - _updatedAt < GrowthRoundTrips * (Size < NearSize && rtt < ShortestTurn ? ShortestTurn : rtt))
            Double(cap, budget);
        return Grant(Missing(unread), now);
    }

    /// <summary>
    /// Called when the reader waits though everything it holds was examined and the remote side has no credit left: returns what
    /// there is, even less than half a window, and grows the window rather than let both sides wait for ever. 0: the window is at
    /// its limit, and what the reader waits for can never come.
    /// </summary>
    public uint ReplenishStarved(long unread, TimeSpan now, uint cap, ByteBudget budget)
    {
        if (Missing(unread) == 0) Double(cap, budget);
        return Grant(Missing(unread), now);
    }

    /// <summary>
    /// Gives growth back to the budget, for no credit will be returned any more. What the remote side has left stays allowed.
    /// </summary>
    public void Release(ByteBudget budget)
    {
        if (Growth > 0) budget.Return(Growth);
        Growth = 0;
    }

    private readonly uint Missing(long unread) => (uint)Math.Max(0, (long)Size - Held - unread);

    private uint Grant(uint delta, TimeSpan now)
    {
        Held += delta;
        _updatedAt = now;
        return delta;
    }

    private void Double(uint cap, ByteBudget budget)
    {
        uint doubled = (uint)Math.Min(2L * Size, cap);
        if (doubled <= Size || !budget.TryTake(doubled - Size)) return;
        Growth += doubled - Size;
        Size = doubled;
    }
}
