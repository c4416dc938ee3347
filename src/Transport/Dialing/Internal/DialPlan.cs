using System.Net;
using System.Net.Sockets;
using FastShare.Transport.Identity;

namespace FastShare.Transport.Dialing.Internal;

/// <summary>What a dial shall do next.</summary>
internal enum DialStepKind
{
    /// <summary>The dial gets under way: nothing was done before.</summary>
    Begin,

    /// <summary>Connect to <see cref="DialStep.Target"/>.</summary>
    Connect,

    /// <summary>Secure the connection to <see cref="DialStep.Target"/>.</summary>
    Upgrade,

    /// <summary>Nothing before <see cref="DialStep.Until"/>, or before a target's outcome or a new address.</summary>
    Wait,

    /// <summary>Every address has failed.</summary>
    Exhausted,

    /// <summary>The time of the whole dial is over.</summary>
    Expired,

    /// <summary>The dial has its result: nothing more is to be started.</summary>
    Settled,
}

/// <summary>One step of a dial; see <see cref="DialStepKind"/>.</summary>
internal readonly record struct DialStep(DialStepKind Kind, DialTarget? Target = null, TimeSpan Until = default);

/// <summary>Where an address of a dial stands.</summary>
internal enum DialTargetState
{
    Waiting,
    Connecting,

    /// <summary>Connected, and not secured because another target is being secured.</summary>
    Connected,
    Upgrading,
    Failed,
}

/// <summary>One address of a dial. Guarded like its <see cref="DialPlan"/>.</summary>
internal sealed class DialTarget(DialCandidate candidate, TimeSpan due)
{
    public DialCandidate Candidate { get; } = candidate;

    public Multiaddr Address => Candidate.Address;

    /// <summary>When it is its turn, if nothing fails before.</summary>
    public TimeSpan Due { get; set; } = due;

    public DialTargetState State { get; set; } = DialTargetState.Waiting;

    public DialAttempt? Failure { get; set; }
}

/// <summary>
/// The order in which one dial tries a peer's addresses: pure, time comes in with each call. Not thread-safe; its owner holds a
/// lock.
/// </summary>
/// <remarks>
/// <para>Near addresses start first, each <see cref="PrivateStagger"/> (public ones <see cref="PublicStagger"/>) after the one
/// before, IPv6 and IPv4 in turn (RFC 8305). A failure lets the next one start at once. At most <see cref="Window"/> are under way,
/// handshakes that hang not counted.</para>
/// <para>One connection is secured at a time: while a handshake runs, for up to <see cref="UpgradeHold"/>, nothing else is started,
/// and connections that come up meanwhile wait. So a reachable peer sees one handshake, whatever the number of addresses, and
/// losers are closed before they said anything.</para>
/// </remarks>
internal sealed class DialPlan
{
    /// <summary>Addresses under way at a time (rust-libp2p's and go-libp2p's figure).</summary>
    public const int Window = 8;

    /// <summary>Addresses of one dial; further ones are ignored.</summary>
    public const int MaxTargets = 64;

    /// <summary>Between starts of near addresses (go-libp2p's private delay).</summary>
    public static readonly TimeSpan PrivateStagger = TimeSpan.FromMilliseconds(30);

    /// <summary>Between starts of public addresses (RFC 8305, section 5).</summary>
    public static readonly TimeSpan PublicStagger = TimeSpan.FromMilliseconds(250);

    /// <summary>How long public addresses wait where there are near ones: a LAN answers sooner.</summary>
    public static readonly TimeSpan PublicDelay = TimeSpan.FromMilliseconds(100);

    /// <summary>How long a running handshake holds back everything else (go-libp2p's figure).</summary>
    public static readonly TimeSpan UpgradeHold = TimeSpan.FromMilliseconds(250);

    private readonly TimeSpan _timeout;
    private readonly List<DialTarget> _targets = [];
    private TimeSpan _start;
    private TimeSpan _nextNear;
    private TimeSpan? _nextPublic;
    private TimeSpan _holdUntil;

    /// <summary>A plan without addresses, for a dial that starts now and may take <paramref name="timeout"/>.</summary>
    public DialPlan(TimeSpan start, TimeSpan timeout)
    {
        _start = _nextNear = _holdUntil = start;
        _timeout = timeout;
    }

    /// <summary>When the dial ends without success.</summary>
    public TimeSpan Deadline => _start + _timeout;

    /// <summary>All addresses of the dial, in the order they became known.</summary>
    public IReadOnlyList<DialTarget> Targets => _targets;

    /// <summary>Adds addresses not yet in the plan, in their order of preference; they take their turn behind those that are.</summary>
    public void Add(IEnumerable<DialCandidate> candidates, TimeSpan now)
    {
        List<DialCandidate> fresh = [.. candidates.Where(c => _targets.TrueForAll(t => t.Address != c.Address)).DistinctBy(c => c.Address)];
        foreach (IGrouping<AddressScope, DialCandidate> scope in fresh.GroupBy(c => c.Scope).OrderBy(g => g.Key))
        {
            foreach (DialCandidate candidate in AlternateFamilies(scope))
            {
                if (_targets.Count < MaxTargets) _targets.Add(new DialTarget(candidate, NextTurn(candidate.Scope, now)));
            }
        }
    }

    /// <summary>The dial starts now, not when it was made: nothing was tried yet.</summary>
    public void Begin(TimeSpan now)
    {
        if (now == _start) return;
        List<DialCandidate> candidates = [.. _targets.Select(t => t.Candidate)];
        _targets.Clear();
        _start = _nextNear = _holdUntil = now;
        _nextPublic = null;
        Add(candidates, now);
    }

    /// <summary>The next step at <paramref name="now"/>; targets of Connect and Upgrade steps are marked as under way.</summary>
    public DialStep Next(TimeSpan now)
    {
        if (now >= Deadline) return new DialStep(DialStepKind.Expired);
        bool upgrading = false;
        int underWay = 0, stalled = 0;
        DialTarget? connected = null, waiting = null;
        foreach (DialTarget target in _targets)
        {
            switch (target.State)
            {
                case DialTargetState.Waiting when waiting is null || target.Due < waiting.Due: waiting = target; break;
                case DialTargetState.Connected: connected ??= target; underWay++; break;
                case DialTargetState.Upgrading: upgrading = true; stalled++; underWay++; break;
                case DialTargetState.Connecting: underWay++; break;
            }
        }

        if (upgrading && now < _holdUntil) return Wait(_holdUntil);
        if (connected is not null)
        {
            connected.State = DialTargetState.Upgrading;
            _holdUntil = now + UpgradeHold;
            return new DialStep(DialStepKind.Upgrade, connected);
        }

        if (waiting is null) return underWay == 0 ? new DialStep(DialStepKind.Exhausted) : Wait(Deadline);
        // Handshakes are past their hold here: they may still succeed, but keep no place from addresses that were not tried.
        if (underWay - stalled >= Window) return Wait(Deadline);
        if (underWay > 0 && waiting.Due > now) return Wait(waiting.Due);
        // With nothing under way there is nobody to give a head start to.
        waiting.State = DialTargetState.Connecting;
        return new DialStep(DialStepKind.Connect, waiting);
    }

    /// <summary>The target's connection is up.</summary>
    public void Connected(DialTarget target) => target.State = DialTargetState.Connected;

    /// <summary>The target failed; the next one may start at once.</summary>
    public void Failed(DialTarget target, TransportError error, string message, TimeSpan now)
    {
        target.State = DialTargetState.Failed;
        target.Failure = new DialAttempt(target.Address, error, message);
        if (!_targets.Exists(t => t.State == DialTargetState.Upgrading)) _holdUntil = now;
        if (_targets.Where(t => t.State == DialTargetState.Waiting).MinBy(t => t.Due) is { } next && next.Due > now) next.Due = now;
    }

    /// <summary>What became of every address that was tried, for the report of a failed dial.</summary>
    public IReadOnlyList<DialAttempt> Attempts() => [.. _targets.Select(t => t.Failure ?? Unfinished(t))];

    private static DialAttempt Unfinished(DialTarget target) => new(target.Address, TransportError.Timeout, target.State switch
    {
        DialTargetState.Upgrading => "still negotiating security when the dial's time was over",
        DialTargetState.Waiting => "not tried before the dial's time was over",
        _ => "no answer before the dial's time was over",
    });

    private DialStep Wait(TimeSpan until) => new(DialStepKind.Wait, Until: until < Deadline ? until : Deadline);

    private TimeSpan NextTurn(AddressScope scope, TimeSpan now)
    {
        if (scope != AddressScope.Public)
        {
            TimeSpan near = Max(_nextNear, now);
            _nextNear = near + PrivateStagger;
            return near;
        }

        TimeSpan turn = Max(_nextPublic ?? (_targets.Count > 0 ? _start + PublicDelay : _start), now);
        _nextPublic = turn + PublicStagger;
        return turn;
    }

    private static TimeSpan Max(TimeSpan a, TimeSpan b) => a > b ? a : b;

    // IPv6 first, as RFC 8305 asks; what is neither (names, memory) counts as IPv4. Order within a family is kept.
    private static IEnumerable<DialCandidate> AlternateFamilies(IEnumerable<DialCandidate> candidates)
    {
        ILookup<bool, DialCandidate> families = candidates.ToLookup(c => IsIp6(c.Address));
        using IEnumerator<DialCandidate> six = families[true].GetEnumerator(), four = families[false].GetEnumerator();
        bool more = true;
        while (more)
        {
            more = false;
            if (six.MoveNext())
            {
                more = true;
                yield return six.Current;
            }

            if (!four.MoveNext()) continue;
            more = true;
            yield return four.Current;
        }
    }

    private static bool IsIp6(Multiaddr address) =>
        address.TryGetTcpEndPoint(out IPEndPoint? endpoint) && endpoint.AddressFamily == AddressFamily.InterNetworkV6;
}
