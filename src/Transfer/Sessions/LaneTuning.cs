using System.Globalization;
using FastShare.Transfer.Scheduling;
using FastShare.Transport.Sockets;

namespace FastShare.Transfer.Sessions;

/// <summary>
/// Chooses mode and connections of one attempt, measures, lets <see cref="AutoMode"/> decide, applies and tells what it decided, and tunes
/// the connections. Used by one loop, after <see cref="Begin"/>.
/// </summary>
internal sealed class LaneTuning
{
    /// <summary>Most connections auto opens: sixteen full send buffers of 4 MB hold 1 Gbit/s over half a second.</summary>
    private const int MostAutoConnections = 16;

    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(250);

    private readonly SendState _state;
    private readonly LaneSet _lanes;
    private readonly SendThrottle _throttle;
    private readonly Action<LanePlan> _apply;
    private readonly TimeProvider _time;
    private readonly Dictionary<ITransferPath, SocketPath?> _paths = [];
    private readonly HashSet<ITransferPath> _tuned = [];
    private AutoMode? _auto;
    private long _start, _measuredAt;
    private long _bytes, _chunks;
    private TimeSpan _idle, _busy;
    private TimeSpan? _roundTrip, _shortest;
    private double _repeated;
    private bool _isLossBased = true;
    private bool _reshaped;

    /// <param name="state">The transfer.</param>
    /// <param name="lanes">What is tuned.</param>
    /// <param name="throttle">Says whether the transfer is held back.</param>
    /// <param name="apply">Takes what was decided.</param>
    /// <param name="time">The clock.</param>
    public LaneTuning(SendState state, LaneSet lanes, SendThrottle throttle, Action<LanePlan> apply, TimeProvider time)
    {
        _state = state;
        _lanes = lanes;
        _throttle = throttle;
        _apply = apply;
        _time = time;
    }

    private Transfer Transfer => _state.Transfer;

    private TimeSpan Now => _time.GetElapsedTime(_start);

    /// <summary>Starts by the options and the shape of the work, as far as it is listed.</summary>
    public void Begin()
    {
        _start = _measuredAt = _time.GetTimestamp();
        _bytes = Transfer.Meter.Moved;
        _chunks = Transfer.Meter.Chunks;
        SendOptions options = _state.Options;
        int connections = options.Connections ?? 1;
        int streams = Math.Max(1, options.Streams / connections);
        switch (options.Mode)
        {
            case TransferMode.Sequential:
                Apply(LanePlan.Sequential, "");
                break;
            case TransferMode.Parallel:
                Apply(new LanePlan(connections, streams), "");
                break;
            default:
                ModeChoice choice = Shape();
                _reshaped = _state.Manifest.IsComplete;
                var plan = new LanePlan(connections, choice.Mode == TransferMode.Parallel ? streams : 1);
                _auto = new AutoMode(
                    plan, options.Connections ?? 1, options.Connections ?? MostAutoConnections, streams, Environment.ProcessorCount);
                Apply(plan, choice.Why);
                break;
        }
    }

    /// <summary>Runs until the attempt ends.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Tick, _time);
        while (await timer.WaitForNextTickAsync(cancellationToken).ConfigureAwait(false))
        {
            _lanes.Reconcile();
            Tune();
            if (_auto is not null)
            {
                if (_lanes.TakeRefusal() is { } why) Decide(_auto.Refused(Now, _lanes.Connections, why));
                if (!_reshaped && _state.Manifest.IsComplete) Reshape(_auto);
            }

            TimeSpan interval = _time.GetElapsedTime(_measuredAt);
            if (interval >= AutoMode.IntervalFor(_roundTrip)) Measure(interval);
        }
    }

    private ModeChoice Shape()
    {
        (long files, long bytes) = _state.Manifest.Totals;
        return ModeChoice.For(files, bytes);
    }

    private void Reshape(AutoMode auto)
    {
        _reshaped = true;
        ModeChoice choice = Shape();
        int streams = choice.Mode == TransferMode.Parallel ? _state.Options.Streams : 1;
        Decide(auto.Reshape(Now, auto.Plan with { StreamsPerConnection = streams }, choice.Why));
    }

    private void Decide(AutoDecision? decision)
    {
        if (decision is { } decided) Apply(decided.Plan, decided.Why);
    }

    /// <summary>An empty reason: nothing was decided, it was asked for.</summary>
    private void Apply(LanePlan plan, string why)
    {
        bool first = _state.Transfer.Tuning.IsUndecided;
        TransferMode from = first ? TransferMode.Auto : Transfer.Meter.Mode;
        Transfer.Meter.Mode = plan.Mode;
        Transfer.Tuning.Update(report => report with { Connections = plan.Connections, Streams = plan.Streams });
        if (why.Length > 0)
        {
            string what = plan.Connections == 1 && first ? why
                : string.Create(
                    CultureInfo.InvariantCulture, $"{why}; {plan.Connections} connection{(plan.Connections == 1 ? "" : "s")} now");
            Transfer.Tuning.Add(new ModeDecision(Now, from, plan.Mode, plan.Connections, plan.Streams, what));
            Transfer.Tell(new TransferEvent.ModeChanged(from, plan.Mode, what));
        }

        _apply(plan);
    }

    private void Measure(TimeSpan interval)
    {
        long bytes = Transfer.Meter.Moved, chunks = Transfer.Meter.Chunks;
        TimeSpan idle = Transfer.Stages[TransferStage.WaitingForChunks];
        TimeSpan busy = Transfer.Stages[TransferStage.Sending] + Transfer.Stages[TransferStage.HeldBack];
        KernelMeasurement? kernel = MeasureKernel(interval);
        double lanes = (idle - _idle + busy - _busy).TotalSeconds;
        var measured = new PathMeasurement(
            interval, bytes - _bytes, chunks - _chunks, lanes > 0 ? (idle - _idle).TotalSeconds / lanes : 0, _throttle.TakeHeldBack(),
            _lanes.Connections, _roundTrip, kernel, _shortest,
            _state.Manifest.IsComplete && Transfer.Meter.Left is > 0 and var left ? left : null);
        (_bytes, _chunks, _idle, _busy, _measuredAt) = (bytes, chunks, idle, busy, _time.GetTimestamp());
        Transfer.Tuning.Update(report => report with
        {
            RoundTripTime = _roundTrip,
            SendBufferLimited = kernel?.BufferLimited,
            SegmentsRepeated = kernel?.Repeated,
        });
        Decide(_auto?.Observe(Now, measured));
    }

    private KernelMeasurement? MeasureKernel(TimeSpan interval)
    {
        double buffer = 0, window = 0, sent = 0, repeated = 0;
        int count = 0;
        TimeSpan? roundTrip = null;
        List<(int Number, ITransferPath Path)> paths = _lanes.Paths();
        foreach ((_, ITransferPath path) in paths)
        {
            SocketPath? now = path.Socket?.Measure();
            roundTrip = Shorter(Shorter(roundTrip, path.RoundTripTime), now?.RoundTrip);
            _shortest = Shorter(Shorter(_shortest, path.RoundTripTime), now?.ShortestRoundTrip);
            if (_paths.TryGetValue(path, out SocketPath? before) && before is { } was && now is { } at)
            {
                count++;
                buffer += (at.SendBufferLimited - was.SendBufferLimited) / interval;
                window += (at.ReceiveWindowLimited - was.ReceiveWindowLimited) / interval;
                sent += at.SegmentsSent - was.SegmentsSent;
                repeated += at.SegmentsRepeated - was.SegmentsRepeated;
            }

            _paths[path] = now;
        }

        foreach (ITransferPath gone in _paths.Keys.Except(paths.Select(static one => one.Path)).ToArray())
        {
            _paths.Remove(gone);
            _tuned.Remove(gone);
        }

        _roundTrip = roundTrip ?? _roundTrip;
        if (count == 0) return null;
        _repeated = sent > 0 ? Math.Clamp(repeated / sent, 0, 1) : 0;
        return new KernelMeasurement(Math.Clamp(buffer / count, 0, 1), Math.Clamp(window / count, 0, 1), _repeated, _isLossBased);
    }

    /// <summary>Each step is optional; what the kernel does not offer stays as it is.</summary>
    private void Tune()
    {
        foreach ((_, ITransferPath path) in _lanes.Paths())
        {
            // Where its measurements begin.
            if (!_paths.ContainsKey(path)) _paths.Add(path, path.Socket?.Measure());
            _roundTrip ??= path.RoundTripTime;
            _shortest = Shorter(_shortest, path.RoundTripTime);
            string? asked = _state.Options.CongestionControl;
            if (_tuned.Contains(path) || (asked is null && !PathTuning.WantsBulkControl(_shortest, _repeated))) continue;
            _tuned.Add(path);
            if (path.Socket is not { } socket) continue;
            socket.TrySetCongestionControl(asked ?? PathTuning.BulkControl);
            string? control = socket.CongestionControl;
            _isLossBased = control != PathTuning.BulkControl;
            Transfer.Tuning.Update(report => report with { CongestionControl = control });
        }
    }

    private static TimeSpan? Shorter(TimeSpan? a, TimeSpan? b) => a is null || b < a ? b ?? a : a;
}
