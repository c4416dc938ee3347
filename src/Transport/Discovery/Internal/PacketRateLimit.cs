using System.Net;

namespace FastShare.Transport.Discovery.Internal;

/// <summary>
/// Packets accepted a second, in total and from one source (avahi CVE-2025-68471 and its like: storms). Token buckets that hold
/// <see cref="BurstSeconds"/> of the rate, as peers answer in bursts. Not thread-safe.
/// </summary>
internal sealed class PacketRateLimit
{
    /// <summary>How many seconds' worth may come at once.</summary>
    public const int BurstSeconds = 3;

    /// <summary>Sources told apart; further ones share a bucket until idle ones are forgotten.</summary>
    public const int MaxSources = 1024;

    private static readonly TimeSpan SweepInterval = TimeSpan.FromSeconds(1);

    private readonly int _perSource;
    private readonly Dictionary<IPAddress, Bucket> _sources = [];
    private readonly Bucket _total;
    private readonly Bucket _others;
    private TimeSpan _lastSweep = TimeSpan.MinValue / 2;

    public PacketRateLimit(int perSecond, int perSecondPerSource)
    {
        _perSource = perSecondPerSource;
        _total = new Bucket(perSecond);
        _others = new Bucket(perSecondPerSource);
    }

    /// <summary>Counts a packet; false: drop it.</summary>
    public bool TryAccept(TimeSpan now, IPAddress source)
    {
        if (!_sources.TryGetValue(source, out Bucket? bucket))
        {
            if (_sources.Count >= MaxSources) Sweep(now);
            if (_sources.Count >= MaxSources) bucket = _others;
            else _sources.Add(source, bucket = new Bucket(_perSource));
        }

        // The source first: what one source sends too much must not eat the others' share.
        return bucket.TryTake(now) && _total.TryTake(now);
    }

    private void Sweep(TimeSpan now)
    {
        if (now - _lastSweep < SweepInterval) return;
        _lastSweep = now;
        foreach ((IPAddress source, Bucket bucket) in _sources)
        {
            if (bucket.IsFull(now)) _sources.Remove(source);
        }
    }

    private sealed class Bucket(int perSecond)
    {
        private double _tokens = (double)perSecond * BurstSeconds;
        private TimeSpan _last;

        public bool TryTake(TimeSpan now)
        {
            Refill(now);
            if (_tokens < 1) return false;
            _tokens--;
            return true;
        }

        public bool IsFull(TimeSpan now)
        {
            Refill(now);
            return _tokens >= (double)perSecond * BurstSeconds;
        }

        private void Refill(TimeSpan now)
        {
            if (now <= _last) return;
            _tokens = Math.Min((double)perSecond * BurstSeconds, _tokens + ((now - _last).TotalSeconds * perSecond));
            _last = now;
        }
    }
}
