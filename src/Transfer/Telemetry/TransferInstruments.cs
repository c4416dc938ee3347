using System.Diagnostics.Metrics;
using FastShare.Transfer.Scheduling;

namespace FastShare.Transfer.Telemetry;

/// <summary>
/// The instruments of the meter <see cref="Name"/>; names, units and tags are in docs/telemetry.md. Thread-safe. Sums over transfers are
/// made when somebody collects them; otherwise a transfer costs two calls.
/// </summary>
internal sealed class TransferInstruments
{
    /// <summary>Of the meter.</summary>
    public const string Name = "FastShare.Transfer";

    private static readonly string? _version = typeof(TransferInstruments).Assembly.GetName().Version?.ToString(3);

    private static readonly string[] _stageNames =
    [
        .. Enum.GetValues<TransferStage>().Take(StageMeter.Stages).Select(static stage => Snake(stage.ToString())),
    ];

    private readonly UpDownCounter<long> _active;
    private readonly Histogram<double> _duration;
    private readonly Lock _gate = new();
    private readonly Dictionary<Transfer, bool> _open = []; // guarded by _gate; the value: whether it counts as active
    private readonly Sums _sent = new(), _received = new(); // guarded by _gate: of transfers that are over

    public TransferInstruments(Meter meter)
    {
        _active = meter.CreateUpDownCounter<long>("fastshare.transfer.active", "{transfer}", "Transfers under way, offered ones included");
        _duration = meter.CreateHistogram(
            "fastshare.transfer.duration", "s", "From the first connection to the transfer's end or failure", tags: null,
            new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.01, 0.1, 0.5, 1, 5, 10, 60, 300, 1800, 7200, 43200] });
        meter.CreateObservableCounter(
            "fastshare.transfer.io", () => Observe(static sums => sums.Bytes), "By", "Payload that was sent or verified and written");
        meter.CreateObservableCounter(
            "fastshare.transfer.file.delivered", () => Observe(static sums => sums.Files), "{file}", "Files that stand at the receiver");
        meter.CreateObservableCounter(
            "fastshare.transfer.stage.time", () => ObserveStages(static (sums, stage) => sums.Ticks[stage] / (double)TimeSpan.TicksPerSecond),
            "s", "Time that transfers spend in a stage");
        meter.CreateObservableCounter(
            "fastshare.transfer.stage.io", () => ObserveStages(static (sums, stage) => sums.StageBytes[stage]),
            "By", "Bytes that passed a stage");
    }

    /// <summary>Values of the tag.</summary>
    public static IEnumerable<string> StageNames => _stageNames.Skip(1);

    /// <summary>Those of every node that was given no meter factory.</summary>
    public static TransferInstruments Shared { get; } = new(new Meter(Name, _version));

    /// <summary>The instruments of a factory's meter; the shared ones without a factory.</summary>
    public static TransferInstruments For(IMeterFactory? factory) =>
        factory is null ? Shared : new TransferInstruments(factory.Create(new MeterOptions(Name) { Version = _version }));

    /// <summary>A transfer takes part, until <see cref="Ended"/>.</summary>
    public void Started(Transfer transfer)
    {
        bool counts = _active.Enabled;
        lock (_gate) _open.Add(transfer, counts);
        if (counts) _active.Add(1, Direction(transfer.IsIncoming));
    }

    /// <summary>A transfer is over; without an error it succeeded. Has no effect the second time.</summary>
    public void Ended(Transfer transfer, TimeSpan elapsed, TransferError? error)
    {
        bool counted;
        lock (_gate)
        {
            if (!_open.Remove(transfer, out counted)) return;
            (transfer.IsIncoming ? _received : _sent).Add(transfer);
        }

        if (counted) _active.Add(-1, Direction(transfer.IsIncoming));
        if (!_duration.Enabled) return;
        if (error is { } kind)
            _duration.Record(elapsed.TotalSeconds, Direction(transfer.IsIncoming), new("error.type", Snake(kind.ToString())));
        else _duration.Record(elapsed.TotalSeconds, Direction(transfer.IsIncoming));
    }

    private static KeyValuePair<string, object?> Direction(bool incoming) => new("fastshare.direction", incoming ? "inbound" : "outbound");

    private static string Snake(string name) => string.Concat(
        name.Select((c, i) => char.IsUpper(c) ? (i > 0 ? "_" : "") + char.ToLowerInvariant(c) : c.ToString()));

    private List<Measurement<long>> Observe(Func<Sums, long> value)
    {
        (Sums sent, Sums received) = Snapshot();
        return [new(value(sent), Direction(false)), new(value(received), Direction(true))];
    }

    private List<Measurement<T>> ObserveStages<T>(Func<Sums, int, T> value)
        where T : struct, IComparable<T>, IEquatable<T>
    {
        (Sums sent, Sums received) = Snapshot();
        var measured = new List<Measurement<T>>();
        for (int stage = 1; stage < StageMeter.Stages; stage++)
        {
            var tag = new KeyValuePair<string, object?>("fastshare.transfer.stage", _stageNames[stage]);
            // a direction's own stages only
            if (IsSenders((TransferStage)stage)) measured.Add(new(value(sent, stage), Direction(false), tag));
            if (IsReceivers((TransferStage)stage)) measured.Add(new(value(received, stage), Direction(true), tag));
        }

        return measured;
    }

    private static bool IsSenders(TransferStage stage) => stage <= TransferStage.Sending;

    private static bool IsReceivers(TransferStage stage) =>
        stage is TransferStage.WaitingForPlan or TransferStage.HeldBack or >= TransferStage.Receiving;

    private (Sums Sent, Sums Received) Snapshot()
    {
        var sent = new Sums();
        var received = new Sums();
        lock (_gate)
        {
            sent.Add(_sent);
            received.Add(_received);
            foreach (Transfer transfer in _open.Keys) (transfer.IsIncoming ? received : sent).Add(transfer);
        }

        return (sent, received);
    }

    private sealed class Sums
    {
        public long Bytes { get; private set; }

        public long Files { get; private set; }

        public long[] Ticks { get; } = new long[StageMeter.Stages];

        public long[] StageBytes { get; } = new long[StageMeter.Stages];

        public void Add(Transfer transfer)
        {
            Bytes += transfer.Meter.Moved;
            Files += transfer.Meter.Files;
            for (int stage = 0; stage < StageMeter.Stages; stage++)
            {
                StageTotal total = transfer.Stages.Total((TransferStage)stage);
                Ticks[stage] += total.Time.Ticks;
                StageBytes[stage] += total.Bytes;
            }
        }

        public void Add(Sums other)
        {
            Bytes += other.Bytes;
            Files += other.Files;
            for (int stage = 0; stage < StageMeter.Stages; stage++)
            {
                Ticks[stage] += other.Ticks[stage];
                StageBytes[stage] += other.StageBytes[stage];
            }
        }
    }
}
