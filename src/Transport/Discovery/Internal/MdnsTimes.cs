namespace FastShare.Transport.Discovery.Internal;

/// <summary>The intervals of RFC 6762 and of libp2p's mDNS, in one place.</summary>
internal static class MdnsTimes
{
    /// <summary>"Not scheduled". Far beyond any time that occurs, and safe to add to.</summary>
    public static readonly TimeSpan Never = TimeSpan.MaxValue / 2;

    /// <summary>Least time between two multicasts of a record, and between two equal queries (RFC 6762, 6 and 5.2).</summary>
    public static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    /// <summary>How long a record lives on after its goodbye (RFC 6762, 10.1): time for another holder to object.</summary>
    public static readonly TimeSpan GoodbyeGrace = TimeSpan.FromSeconds(1);

    /// <summary>
    /// How long what is in doubt may take to be heard again (RFC 6762, 10.4): time for the queries of a newcomer and answers to them.
    /// </summary>
    public static readonly TimeSpan Reconfirmation = TimeSpan.FromSeconds(10);

    /// <summary>20 to 120 ms: first queries and shared answers (RFC 6762, 5.2 and 6).</summary>
    public static TimeSpan ShortDelay(Random random) => TimeSpan.FromMilliseconds(20 + (random.NextDouble() * 100));

    /// <summary>400 to 500 ms: answers to a query whose known answers continue in further datagrams (RFC 6762, 7.2).</summary>
    public static TimeSpan TruncatedDelay(Random random) => TimeSpan.FromMilliseconds(400 + (random.NextDouble() * 100));

    /// <summary>30 to 60 s: between queries, once the first ones are out.</summary>
    public static TimeSpan QueryInterval(Random random) => TimeSpan.FromSeconds(30 + (random.NextDouble() * 30));

    /// <summary>10 to 20 minutes: how long to leave queries to others, whatever they make one believe.</summary>
    public static TimeSpan LongestSilence(Random random) => TimeSpan.FromMinutes(10 + (random.NextDouble() * 10));

    public static TimeSpan Min(TimeSpan left, TimeSpan right) => left < right ? left : right;

    public static TimeSpan Max(TimeSpan left, TimeSpan right) => left > right ? left : right;
}
