namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>
/// A token bucket against floods: <paramref name="burst"/> events at once, <paramref name="perSecond"/> in the long run.
/// Knows no clock. Not thread-safe: used by the frame reader alone.
/// </summary>
internal struct RateBudget(int burst, int perSecond)
{
    private long _tokens = burst * TimeSpan.TicksPerSecond; // in units of one event × one tick per second, so that nothing is rounded
    private TimeSpan _filledAt;

    /// <summary>Counts one event at <paramref name="now"/>, which never runs backwards. False: the budget is exhausted.</summary>
    public bool TryTake(TimeSpan now)
    {
        long capacity = burst * TimeSpan.TicksPerSecond;
        long elapsed = Math.Min((now - _filledAt).Ticks, capacity / perSecond + 1); // beyond this the bucket is full; no overflow
        _filledAt = now;
        _tokens = Math.Min(capacity, _tokens + elapsed * perSecond);
        if (_tokens < TimeSpan.TicksPerSecond) return false;
        _tokens -= TimeSpan.TicksPerSecond;
        return true;
    }
}
