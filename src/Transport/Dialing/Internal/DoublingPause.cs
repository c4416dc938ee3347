namespace FastShare.Transport.Dialing.Internal;

/// <summary>The bound of a pause that doubles each time, up to a longest one.</summary>
internal static class DoublingPause
{
    /// <param name="first">The bound before it has doubled.</param>
    /// <param name="longest">The largest bound.</param>
    /// <param name="times">How often it has doubled, from 0.</param>
    public static TimeSpan Bound(TimeSpan first, TimeSpan longest, int times)
    {
        double bound = first.TotalMilliseconds * Math.Pow(2, Math.Min(times, 40));
        return TimeSpan.FromMilliseconds(Math.Min(longest.TotalMilliseconds, bound));
    }
}
