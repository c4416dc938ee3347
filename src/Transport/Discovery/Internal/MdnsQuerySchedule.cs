using System.Net;

namespace FastShare.Transport.Discovery.Internal;

/// <summary>
/// When to ask on one link: after 20 to 120 ms, then 1, 2 and 4 s later, then every 30 to 60 s; earlier when a record is about to
/// expire, later when another host has just asked the same (RFC 6762, 7.3), which is what keeps large networks quiet. Not thread-safe.
/// </summary>
internal sealed class MdnsQuerySchedule
{
    private static readonly TimeSpan[] FirstIntervals = [TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(4)];

    private readonly Random _random;
    private int _sent;
    private TimeSpan _lastSent = -MdnsTimes.Never;
    private TimeSpan _latest = MdnsTimes.Never;
    private IPEndPoint? _leftTo;
    private TimeSpan _dueBefore;

    public MdnsQuerySchedule(Random random, TimeSpan now)
    {
        _random = random;
        Due = now + MdnsTimes.ShortDelay(random);
    }

    /// <summary>When to send the next query.</summary>
    public TimeSpan Due { get; private set; }

    /// <summary>Whether a query was sent.</summary>
    public bool HasAsked => _sent > 0;

    /// <summary>A query was sent.</summary>
    public void Sent(TimeSpan now)
    {
        Due = now + (_sent < FirstIntervals.Length ? FirstIntervals[_sent] : MdnsTimes.QueryInterval(_random));
        _sent++;
        _lastSent = now;
        _latest = now + MdnsTimes.LongestSilence(_random);
        _leftTo = null;
    }

    /// <summary>Asks earlier: now, but not within a second of the last query.</summary>
    public void Hasten(TimeSpan now) =>
        Due = MdnsTimes.Min(Due, MdnsTimes.Max(now + MdnsTimes.ShortDelay(_random), _lastSent + MdnsTimes.Second));

    /// <summary>Another host asked the same, and listed no answer that this one does not know: its query serves both.</summary>
    public void LeaveTo(IPEndPoint asker, TimeSpan now)
    {
        if (_sent == 0) return; // a newcomer asks for itself: then everyone tells it everything
        _sent = Math.Max(_sent, FirstIntervals.Length); // knowing what the others know, it is no newcomer any more
        _leftTo = asker;
        _dueBefore = Due;
        Due = MdnsTimes.Min(_latest, MdnsTimes.Max(Due, now + MdnsTimes.QueryInterval(_random)));
    }

    /// <summary>
    /// That host's further known answers hold something unknown here: its query will not be answered with that, so ask oneself.
    /// </summary>
    public void TakeBackFrom(IPEndPoint asker, TimeSpan now)
    {
        if (!asker.Equals(_leftTo)) return;
        _leftTo = null;
        Due = MdnsTimes.Min(Due, MdnsTimes.Max(_dueBefore, now));
    }
}
