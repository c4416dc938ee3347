namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>
/// How long a loop may go on while everything it asks for is there at once. Such a loop never gives its thread back, and with as many of
/// them as processors all other connections of the process stand still: so after a turn it lines up behind the work that waits.
/// Belongs to its loop.
/// </summary>
internal struct Turn
{
    /// <summary>Bytes of a turn: a fraction of a millisecond's work, so large that lining up costs nothing beside it.</summary>
    private const int Length = 256 << 10;

    private int _used;

    /// <summary>Counts bytes moved. True: the turn is over and something else waits; the loop is to yield.</summary>
    public bool IsOver(int bytes)
    {
        _used += bytes;
        if (_used < Length) return false;
        _used = 0;
        return ThreadPool.PendingWorkItemCount > 0;
    }
}
