namespace FastShare.Transfer.Scheduling;

/// <summary>
/// A rate over the last few seconds: an average whose weights fall by a factor e every 3 s. Pure but for the clock; used under
/// its owner's lock.
/// </summary>
internal sealed class RateMeter(TimeProvider time)
{
    private const double TimeConstantSeconds = 3;

    /// <summary>Samples closer together than this tell more about buffers than about the path.</summary>
    private static readonly TimeSpan Shortest = TimeSpan.FromMilliseconds(100);

    private long _at = time.GetTimestamp();
    private long _total;
    private double _rate;
    private bool _any;

    /// <summary>The rate in units a second, given the total so far.</summary>
    public double Sample(long total)
    {
        long now = time.GetTimestamp();
        TimeSpan elapsed = time.GetElapsedTime(_at, now);
        if (elapsed < Shortest) return _rate;
        double latest = (total - _total) / elapsed.TotalSeconds;
        double weight = _any ? 1 - Math.Exp(-elapsed.TotalSeconds / TimeConstantSeconds) : 1;
        // The wait before the first unit is no part of the rate.
        _any |= total > 0;
        _rate += weight * (latest - _rate);
        _at = now;
        _total = total;
        return _rate;
    }
}
