namespace FastShare.Transfer.Scheduling;

/// <summary>
/// How long to wait before the next try: doubling from 250 ms to 10 s, each time a random half to one and a half of it, so that
/// senders that lost their connections together do not come back together.
/// </summary>
internal static class Backoff
{
    private const double FirstSeconds = 0.25;
    private const double MostSeconds = 10;

    /// <param name="attempt">From 1.</param>
    /// <param name="random">From 0 to 1.</param>
    public static TimeSpan Delay(int attempt, double random)
    {
        double seconds = Math.Min(MostSeconds, FirstSeconds * Math.Pow(2, Math.Min(attempt, 16) - 1));
        return TimeSpan.FromSeconds(seconds * (0.5 + random));
    }
}
