using System.Globalization;

namespace FastShare.Transfer.Scheduling;

/// <summary>What auto decided, and why.</summary>
internal readonly record struct AutoDecision(LanePlan Plan, string Why);

/// <summary>
/// Decides from measurements how many connections and streams a transfer uses: probes for more, keeps what really brings more, and goes
/// back when less does as well (docs/modes.md). Pure: measurements and the time go in, decisions come out. Used by one loop.
/// </summary>
/// <remarks>
/// Hysteresis: every change is followed by a time to settle in which nothing is judged; a probe that brought nothing is not repeated
/// before a wait that doubles each time; the thresholds up and down differ.
/// </remarks>
internal sealed class AutoMode
{
    /// <summary>A step up is kept if the rate rises by this factor at least: less is noise.</summary>
    private const double WorthKeeping = 1.1;

    /// <summary>So much that it need not be waited for the end of the measurement.</summary>
    private const double Evident = 1.35;

    /// <summary>A step down is kept if the rate falls no further than to this factor.</summary>
    private const double NoWorse = 0.97;

    /// <summary>From this part of the time on a kernel limit counts as what holds the flow back.</summary>
    private const double Limited = 0.3;

    /// <summary>Part of segments sent again from which on loss holds a flow back that takes loss for congestion.</summary>
    private const double Lossy = 2e-4;

    /// <summary>
    /// More loss than this, with a congestion control that does not slow down for it, is what the connections themselves make: more of
    /// them would only make more.
    /// </summary>
    private const double SelfMade = 0.015;

    /// <summary>Below this round-trip time a connection's buffers are larger than what the path holds.</summary>
    private static readonly TimeSpan Far = TimeSpan.FromMilliseconds(5);

    /// <summary>Lanes that wait for chunks for more than this part of their time are more than the disk can feed.</summary>
    private const double Starved = 0.6;

    /// <summary>Lanes that wait less than this are what limits the transfer.</summary>
    private const double Saturated = 0.3;

    /// <summary>
    /// A transfer that ends within so many times what connections need to settle gets no more of them: they would carry its last chunks,
    /// slowly, when the others could have been done.
    /// </summary>
    private const double Lasting = 3;

    /// <summary>Bytes a chunk: below the first, files are small; above the second, large.</summary>
    private const long SmallChunk = 128 << 10, LargeChunk = 512 << 10;

    private static readonly TimeSpan FirstHold = TimeSpan.FromSeconds(10), LongestHold = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan Ramp = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan DownEvery = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan ShapeDwell = TimeSpan.FromSeconds(2);

    private readonly int _leastConnections;
    private readonly int _mostConnections;
    private readonly int _smallStreams;
    private readonly int _processors;
    private LanePlan _plan;
    private TimeSpan _changedAt;
    private int _cap;
    private TimeSpan _capUntil;

    // What the plan at hand achieves: averaged since the last change, without its time to settle.
    private double _rateBytes, _rateSeconds;

    // The probe under way: what to go back to, and what that achieved.
    private LanePlan? _before;
    private double _baseline;
    private string _probing = "";
    private TimeSpan _holdUp, _upAllowedAt;
    private TimeSpan _holdDown = DownEvery, _downAllowedAt = DownEvery;
    private bool _mayJump = true;
    private TimeSpan _shortest = TimeSpan.MaxValue;
    private int _starved, _small, _large;

    /// <param name="start">By the shape of the work.</param>
    /// <param name="leastConnections">At least so many connections.</param>
    /// <param name="mostConnections">At most so many; 1: none but the shared one.</param>
    /// <param name="smallStreams">Streams a connection while files are small.</param>
    /// <param name="processors">Processors of this machine.</param>
    public AutoMode(LanePlan start, int leastConnections, int mostConnections, int smallStreams, int processors)
    {
        _leastConnections = leastConnections;
        _plan = start;
        _mostConnections = _cap = mostConnections;
        _smallStreams = smallStreams;
        _processors = processors;
        _holdUp = FirstHold;
    }

    /// <summary>What is in force.</summary>
    public LanePlan Plan => _plan;

    /// <summary>How long measurements are to be apart: a few round trips, as shorter ones show bursts.</summary>
    public static TimeSpan IntervalFor(TimeSpan? roundTrip) =>
        TimeSpan.FromMilliseconds(Math.Clamp(4 * (roundTrip ?? TimeSpan.Zero).TotalMilliseconds, 500, 2000));

    /// <summary>Takes a measurement; null: everything stays.</summary>
    /// <param name="now">Time since the start.</param>
    /// <param name="measured">The measurement.</param>
    public AutoDecision? Observe(TimeSpan now, in PathMeasurement measured)
    {
        if (measured.RoundTrip < _shortest) _shortest = measured.RoundTrip.Value;
        if (measured.ShortestRoundTrip < _shortest) _shortest = measured.ShortestRoundTrip.Value;
        if (now >= _capUntil) _cap = _mostConnections;
        // What somebody wants slow says nothing about the path.
        if (measured.IsHeldBack)
        {
            ForgetRate(now);
            return _before is { } before ? Return(now, before, "the transfer was held back while more connections were tried") : null;
        }

        if (ByShape(now, measured) is { } shaped) return shaped;
        TimeSpan since = now - _changedAt;
        TimeSpan settle = Settle(measured.RoundTrip);
        if (_before is not null && since >= settle / 2 && measured.BytesPerSecond >= Evident * _baseline
            && IsUp) return Keep(now);
        if (since < settle && _before is not null) return null;
        _rateBytes += measured.Bytes;
        _rateSeconds += measured.Interval.TotalSeconds;
        if (_before is not null) return since >= settle + Judge(measured.RoundTrip) ? EndProbe(now) : null;
        Fade();
        return ByStarvation(now, measured) ?? ProbeUp(now, measured) ?? ProbeDown(now, measured);
    }

    /// <summary>Further connections cannot be had: what is open is all there is, for a minute.</summary>
    public AutoDecision? Refused(TimeSpan now, int open, string why)
    {
        _cap = Math.Max(1, open);
        _capUntil = now + TimeSpan.FromMinutes(1);
        if (_plan.Connections <= _cap) return null;
        _before = null;
        return Change(now, _plan with { Connections = _cap }, $"no further connection could be opened: {why}");
    }

    /// <summary>The work turned out to have another shape, before much was measured.</summary>
    public AutoDecision? Reshape(TimeSpan now, LanePlan shape, string why)
    {
        if (now > ShapeDwell || _before is not null || _plan.Connections > 1 || shape == _plan) return null;
        return Change(now, shape, why);
    }

    private bool IsUp => _before is { } before && _plan.Connections > before.Connections;

    private static TimeSpan Settle(TimeSpan? roundTrip) => Longer(TimeSpan.FromSeconds(1), 12 * (roundTrip ?? TimeSpan.Zero));

    private static TimeSpan Judge(TimeSpan? roundTrip) => Longer(TimeSpan.FromSeconds(1), 8 * (roundTrip ?? TimeSpan.Zero));

    private static TimeSpan SlowStart(TimeSpan? roundTrip) => Longer(TimeSpan.FromSeconds(2), 25 * (roundTrip ?? TimeSpan.Zero));

    private static TimeSpan Longer(TimeSpan a, TimeSpan b) => a > b ? a : b;

    private double Rate => _rateSeconds > 0 ? _rateBytes / _rateSeconds : 0;

    /// <summary>Old measurements count less and less: by half after two seconds' worth.</summary>
    private void Fade()
    {
        if (_rateSeconds <= 4) return;
        _rateBytes /= 2;
        _rateSeconds /= 2;
    }

    private void ForgetRate(TimeSpan now)
    {
        _rateBytes = _rateSeconds = 0;
        _changedAt = now;
    }

    private AutoDecision? ByShape(TimeSpan now, in PathMeasurement measured)
    {
        if (measured.Chunks == 0) return null;
        long average = measured.Bytes / measured.Chunks;
        _small = average < SmallChunk ? _small + 1 : 0;
        _large = average >= LargeChunk ? _large + 1 : 0;
        if (now - _changedAt < ShapeDwell || _before is not null) return null;
        if (_small >= 2 && _plan.StreamsPerConnection < _smallStreams)
        {
            return Change(now, new LanePlan(Math.Min(_plan.Connections, Math.Max(1, 64 / _smallStreams)), _smallStreams),
                $"files of {Kib(average)} now: opening and publishing them takes longer than sending them");
        }

        if (_large >= 4 && _plan.StreamsPerConnection > 1)
            return Change(now, _plan with { StreamsPerConnection = 1 }, $"chunks of {Kib(average)} now: one stream fills a connection");
        return null;
    }

    private AutoDecision? ByStarvation(TimeSpan now, in PathMeasurement measured)
    {
        // Where nothing was moved at all everything has been handed out, and the last of it is on its way.
        _starved = measured.IdleShare > Starved && measured.Bytes > 0 ? _starved + 1 : 0;
        if (_starved < 4 || _plan.Connections <= _leastConnections) return null;
        _starved = 0;
        HoldUp(now);
        return Change(now, _plan with { Connections = Math.Max(_leastConnections, _plan.Connections / 2) },
            $"connections waited for the disk {Percent(measured.IdleShare)} of the time");
    }

    private AutoDecision? ProbeUp(TimeSpan now, in PathMeasurement measured)
    {
        int most = Math.Min(_cap, 64 / _plan.StreamsPerConnection);
        if (_plan.Connections >= most || now < _upAllowedAt || measured.IdleShare > Saturated || measured.Bytes == 0) return null;
        if (EndsSoon(measured) || QueueIsFull(measured.RoundTrip) || Evidence(now, measured) is not { } evidence) return null;
        int more = _plan.Connections * (_mayJump && evidence.IsHard ? 4 : 2);
        // Without a path that holds anything only another processor can help: one at a time.
        if (!evidence.IsPath) more = _plan.Connections + 1;
        if (evidence.IsHard) _mayJump = false;
        return Probe(now, _plan with { Connections = Math.Min(more, most) }, evidence.Why);
    }

    private bool EndsSoon(in PathMeasurement measured) =>
        measured.BytesLeft is { } left && left < Lasting * Settle(measured.RoundTrip).TotalSeconds * Math.Max(Rate, measured.BytesPerSecond);

    /// <summary>Round trips that grew by half wait in the bottleneck's queue: the line is full.</summary>
    private bool QueueIsFull(TimeSpan? roundTrip) => roundTrip >= Far && roundTrip / 1.5 > _shortest;

    private (string Why, bool IsHard, bool IsPath)? Evidence(TimeSpan now, in PathMeasurement measured)
    {
        bool far = measured.RoundTrip >= Far && _shortest >= Far;
        string over = string.Create(CultureInfo.InvariantCulture, $"over {(measured.RoundTrip ?? TimeSpan.Zero).TotalMilliseconds:0.#} ms");
        if (measured.Kernel is { } kernel)
        {
            // Nearby, both are full now and then because the other side's processor is busy.
            if (far && kernel.BufferLimited >= Limited)
                return ($"the kernel's send buffer held connections back {Percent(kernel.BufferLimited)} of the time {over}", true, true);
            if (far && kernel.WindowLimited >= Limited)
                return ($"the receiver's TCP window held connections back {Percent(kernel.WindowLimited)} of the time {over}", true, true);
            if (far && kernel.Repeated >= Lossy && (kernel.IsLossBased || kernel.Repeated < SelfMade))
                return ($"{Percent(kernel.Repeated)} of the segments were lost {over}", true, true);
        }

        // Where the kernel tells, a flow gets the time to reach what holds it back: that of a slow start where it takes loss for congestion,
        // since behind one it grows by a segment or so each round trip, far away for minutes.
        if (far && measured.Kernel is { IsLossBased: true } && now - _changedAt >= SlowStart(measured.RoundTrip))
            return ($"congestion control by loss grows slowly {over}", true, true);
        if (far && (measured.Kernel is null || now - _changedAt >= Ramp))
            return ($"one connection may not fill a path {over}", false, true);
        return !far && _processors >= 4 ? ("another connection can use another processor", false, false) : null;
    }

    private AutoDecision? ProbeDown(TimeSpan now, in PathMeasurement measured)
    {
        if (_plan.Connections <= _leastConnections || now < _downAllowedAt || measured.IdleShare > Saturated) return null;
        int fewer = _plan.Connections - Math.Max(1, _plan.Connections / 4);
        return Probe(now, _plan with { Connections = fewer }, "whether fewer connections do as well");
    }

    private AutoDecision Probe(TimeSpan now, LanePlan plan, string why)
    {
        _baseline = Rate;
        _before = _plan;
        _probing = why;
        string what = plan.Connections > _plan.Connections ? why : $"trying {why}";
        return Change(now, plan, what);
    }

    private AutoDecision? EndProbe(TimeSpan now)
    {
        double rate = Rate;
        if (IsUp ? rate >= WorthKeeping * _baseline : rate >= NoWorse * _baseline) return Keep(now);
        LanePlan before = _before!.Value;
        if (IsUp) HoldUp(now);
        else HoldDown(now);
        return Return(now, before, $"{_plan.Connections} connections moved {Rates(rate)}, {before.Connections} {Rates(_baseline)}");
    }

    private AutoDecision? Keep(TimeSpan now)
    {
        bool up = IsUp;
        _before = null;
        ForgetRate(now);
        if (up)
        {
            // It helped: more may help more, and the wait starts over.
            _holdUp = FirstHold;
            _upAllowedAt = now + TimeSpan.FromSeconds(1);
            _downAllowedAt = now + _holdDown;
        }
        else
        {
            _downAllowedAt = now + FirstHold;
            _upAllowedAt = now + _holdUp;
        }

        return null;
    }

    private AutoDecision Return(TimeSpan now, LanePlan before, string why)
    {
        _before = null;
        return Change(now, before, why);
    }

    private AutoDecision Change(TimeSpan now, LanePlan plan, string why)
    {
        _plan = plan;
        ForgetRate(now);
        _starved = _small = _large = 0;
        return new AutoDecision(plan, why);
    }

    private void HoldUp(TimeSpan now)
    {
        _upAllowedAt = now + _holdUp;
        _holdUp = 2 * _holdUp < LongestHold ? 2 * _holdUp : LongestHold;
    }

    private void HoldDown(TimeSpan now)
    {
        _holdDown = 2 * _holdDown < 10 * DownEvery ? 2 * _holdDown : 10 * DownEvery;
        _downAllowedAt = now + _holdDown;
    }

    private static string Kib(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1024.0:0.#} KiB");

    private static string Percent(double share) => string.Create(CultureInfo.InvariantCulture, $"{100 * share:0.##} %");

    private static string Rates(double rate) => string.Create(CultureInfo.InvariantCulture, $"{rate / 1e6:0.#} MB/s");
}
