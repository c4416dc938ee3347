using FastShare.Transport.Dialing.Internal;

namespace FastShare.Transport.Requests;

/// <summary>
/// Whether and when a failed request is tried again, always within its one deadline. Immutable.
/// </summary>
/// <remarks>
/// <para>Tried again are failures after which the peer evidently has not carried out the request: it could not be dialed, or the
/// connection was lost before it took the request. A lost connection or an I/O error later than that is tried again only if the
/// request is <see cref="RequestOptions.IsIdempotent"/>. An unsupported protocol, an exceeded limit or an undecodable response is
/// final.</para>
/// <para>Before each further attempt the request waits a random time between zero and a bound that doubles each time ("full
/// jitter"), so that many callers do not come back at the same instant. News of the peer (an address, a connection) ends the wait.</para>
/// </remarks>
public sealed class RetryPolicy
{
    /// <summary>One attempt. The default.</summary>
    public static RetryPolicy None { get; } = new() { MaxAttempts = 1 };

    /// <summary>As many attempts as fit into the request's deadline.</summary>
    public static RetryPolicy UntilDeadline { get; } = new() { MaxAttempts = int.MaxValue };

    /// <summary>Attempts altogether, the first included. Default: 5.</summary>
    public int MaxAttempts
    {
        get;
        init
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
            field = value;
        }
    } = 5;

    /// <summary>The bound of the wait before the second attempt. Default: 200 ms.</summary>
    public TimeSpan InitialDelay { get; init => field = Checked(value); } = TimeSpan.FromMilliseconds(200);

    /// <summary>The largest bound of a wait. Default: 5 s.</summary>
    public TimeSpan MaxDelay { get; init => field = Checked(value); } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// The time from the call in which further attempts may begin. Null: the request's whole deadline.
    /// </summary>
    public TimeSpan? Budget
    {
        get;
        init => field = value is { } given ? Checked(given) : null;
    }

    /// <summary>The wait before the attempt that follows <paramref name="attempts"/> made.</summary>
    /// <param name="attempts">Attempts made, at least 1.</param>
    /// <param name="random">From 0 to below 1.</param>
    internal TimeSpan DelayAfter(int attempts, double random) => DoublingPause.Bound(InitialDelay, MaxDelay, attempts - 1) * random;

    private static TimeSpan Checked(TimeSpan value)
    {
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(value, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(value, TimeSpan.FromDays(1));
        return value;
    }
}
