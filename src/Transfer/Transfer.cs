using FastShare.Transfer.Scheduling;
using FastShare.Transfer.Sessions;
using FastShare.Transfer.Telemetry;
using FastShare.Transport.Identity;

namespace FastShare.Transfer;

/// <summary>One live transfer, outgoing or incoming. Thread-safe.</summary>
public sealed class Transfer
{
    /// <summary>Events kept for readers that come late.</summary>
    private const int EventsKept = 1024;

    /// <summary>Events that wait for a slow reader: a second's worth where every file is one; 6 MiB of them at most.</summary>
    private const int EventsWaiting = 32_768;

    /// <summary>What an eye can follow.</summary>
    private static readonly TimeSpan ProgressInterval = TimeSpan.FromMilliseconds(200);

    private readonly TaskCompletionSource<TransferResult> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly EventLog<TransferEvent> _events = new(EventsKept, EventsWaiting);
    private readonly CancellationTokenSource _cancel = new();
    private readonly TransferInstruments _instruments;
    private readonly TimeProvider _time;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile TransferOffer? _offer;

    private volatile int _priority = (int)TransferPriority.Normal;

    internal Transfer(PeerId peer, bool isIncoming, TimeProvider time, TransferInstruments instruments)
    {
        Peer = peer;
        IsIncoming = isIncoming;
        Stages = new StageMeter(time);
        Rate = new TokenBucket(time, 0);
        Meter = new ProgressMeter(time, isIncoming ? TransferState.Offered : TransferState.Connecting);
        _instruments = instruments;
        _time = time;
        instruments.Started(this);
    }

    /// <summary>The other side.</summary>
    public PeerId Peer { get; }

    /// <summary>Whether this node receives.</summary>
    public bool IsIncoming { get; }

    /// <summary>For an incoming transfer, what was offered; null before it is known, and for outgoing ones.</summary>
    public TransferOffer? Offer
    {
        get => _offer;
        internal set => _offer = value;
    }

    /// <summary>A snapshot.</summary>
    public TransferProgress Progress => Meter.Snapshot();

    /// <summary>Where the time goes, and what was decided why.</summary>
    public TransferStatistics Statistics => Tuning.Snapshot(Stages, Wire);

    /// <summary>Bytes a second that this transfer sends at most; null: no limit. May be changed while it runs.</summary>
    /// <remarks>For incoming transfers it has no effect: the sender decides.</remarks>
    public long? RateLimit
    {
        get => Rate.BytesPerSecond is > 0 and var rate ? rate : null;
        set
        {
            if (value is { } rate) ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rate);
            Rate.BytesPerSecond = value ?? 0;
        }
    }

    /// <summary>Its share of the way to the peer while other transfers go there too. May be changed while it runs.</summary>
    public TransferPriority Priority
    {
        get => (TransferPriority)_priority;
        set => _priority = (int)value;
    }

    /// <summary>Ends when the transfer does.</summary>
    /// <exception cref="TransferException">The transfer failed as a whole.</exception>
    public Task<TransferResult> Completion => _completion.Task;

    /// <summary>What is counted.</summary>
    internal ProgressMeter Meter { get; }

    /// <summary>Times of the stages.</summary>
    internal StageMeter Stages { get; }

    /// <summary>Times of the connections.</summary>
    internal WireMeter Wire { get; } = new();

    /// <summary>Decisions and what the kernel says.</summary>
    internal TuningReport Tuning { get; } = new();

    /// <summary>The rate limit.</summary>
    internal TokenBucket Rate { get; }

    /// <summary>Chunks wait there while the transfer is paused.</summary>
    internal PauseGate Gate { get; } = new();

    /// <summary>Fires when <see cref="CancelAsync"/> was called.</summary>
    internal CancellationToken Cancelled => _cancel.Token;

    /// <summary>Events from the start on; ends when the transfer does. A slow reader loses the oldest.</summary>
    public IAsyncEnumerable<TransferEvent> EventsAsync(CancellationToken cancellationToken = default) =>
        _events.ReadAsync(cancellationToken);

    /// <summary>
    /// Reports <see cref="Progress"/> until the transfer ends, well or badly: now, then where it has changed, and the last state always. Reports come
    /// one after the other, also where their receiver is slow, which delays nothing but the next report.
    /// </summary>
    /// <param name="progress">Told on the thread pool, except for the first time.</param>
    /// <param name="interval">Least time between two reports, but for the last. Default: 200 ms.</param>
    /// <param name="cancellationToken">Ends the reports, not the transfer.</param>
    /// <returns>Ends after the last report. Fails with what <paramref name="progress"/> throws, which ends the reports.</returns>
    public async Task ReportAsync(
        IProgress<TransferProgress> progress, TimeSpan? interval = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(progress);
        TimeSpan pause = interval ?? ProgressInterval;
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(pause, TimeSpan.Zero, nameof(interval));
        TransferProgress? told = null;
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            // Looked at first: the state told after that is the last one.
            bool ended = _ended.Task.IsCompleted;
            TransferProgress now = Progress;
            if (now != told) progress.Report(told = now);
            if (ended) return;
            using var waiting = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            await Task.WhenAny(_ended.Task, Task.Delay(pause, _time, waiting.Token)).ConfigureAwait(false);
            await waiting.CancelAsync().ConfigureAwait(false);
        }
    }

    /// <summary>
    /// Holds the transfer: what is under way ends its chunk or a part of it, then nothing moves until <see cref="ResumeAsync"/>. The
    /// connection is kept. Without effect if it is paused or over.
    /// </summary>
    public Task PauseAsync()
    {
        if (!_completion.Task.IsCompleted && Gate.Close())
        {
            Meter.IsPaused = true;
            Tell(new TransferEvent.Paused());
        }

        return Task.CompletedTask;
    }

    /// <summary>Goes on after <see cref="PauseAsync"/>. Without effect if it is not paused.</summary>
    public Task ResumeAsync()
    {
        if (Gate.Open())
        {
            Meter.IsPaused = false;
            Tell(new TransferEvent.Continued());
        }

        return Task.CompletedTask;
    }

    /// <summary>
    /// Stops the transfer, tells the other side, keeps resumable state; <see cref="Completion"/> fails with
    /// <see cref="TransferError.Cancelled"/>.
    /// </summary>
    public async Task CancelAsync()
    {
        await _cancel.CancelAsync().ConfigureAwait(false);
        await _ended.Task.ConfigureAwait(false);
    }

    internal void Tell(TransferEvent what) => _events.Add(what);

    /// <summary>Counts a file that failed while the rest goes on, and tells.</summary>
    internal void TellFailure(TransferException failure)
    {
        Meter.AddFailure(failure);
        _events.Add(new TransferEvent.FileFailed(failure));
    }

    /// <summary>The transfer succeeded. Called once; or <see cref="Fail"/> is.</summary>
    internal void Succeed()
    {
        Meter.State = TransferState.Completed;
        Rate.Dispose();
        TransferResult result = Meter.Result();
        Wire.Stop();
        _instruments.Ended(this, result.Duration, null);
        _completion.TrySetResult(result);
        _events.End();
        _ended.TrySetResult();
    }

    internal void Fail(TransferException error)
    {
        Meter.State = TransferState.Failed;
        Rate.Dispose();
        Wire.Stop();
        _instruments.Ended(this, Meter.Result().Duration, error.Error);
        _completion.TrySetException(error);
        _ = _completion.Task.Exception; // who does not await the completion learns of the failure by the state
        _events.End();
        _ended.TrySetResult();
    }
}
