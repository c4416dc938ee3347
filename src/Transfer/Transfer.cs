using FastShare.Transfer.Scheduling;
using FastShare.Transfer.Sessions;
using FastShare.Transport.Identity;

namespace FastShare.Transfer;

/// <summary>One live transfer, outgoing or incoming. Thread-safe.</summary>
public sealed class Transfer
{
    /// <summary>Events kept for readers that come late or read slowly.</summary>
    private const int EventsKept = 1024;

    private readonly TaskCompletionSource<TransferResult> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly EventLog<TransferEvent> _events = new(EventsKept);
    private readonly CancellationTokenSource _cancel = new();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile TransferOffer? _offer;

    internal Transfer(PeerId peer, bool isIncoming, TimeProvider time)
    {
        Peer = peer;
        IsIncoming = isIncoming;
        Meter = new ProgressMeter(time, isIncoming ? TransferState.Offered : TransferState.Connecting);
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

    /// <summary>Ends when the transfer does.</summary>
    /// <exception cref="TransferException">The transfer failed as a whole.</exception>
    public Task<TransferResult> Completion => _completion.Task;

    /// <summary>What is counted.</summary>
    internal ProgressMeter Meter { get; }

    /// <summary>Fires when <see cref="CancelAsync"/> was called.</summary>
    internal CancellationToken Cancelled => _cancel.Token;

    /// <summary>Events from the start on; ends when the transfer does. A slow reader loses the oldest.</summary>
    public IAsyncEnumerable<TransferEvent> EventsAsync(CancellationToken cancellationToken = default) =>
        _events.ReadAsync(cancellationToken);

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
        _completion.TrySetResult(Meter.Result());
        _events.End();
        _ended.TrySetResult();
    }

    internal void Fail(TransferException error)
    {
        Meter.State = TransferState.Failed;
        _completion.TrySetException(error);
        _ = _completion.Task.Exception; // who does not await the completion learns of the failure by the state
        _events.End();
        _ended.TrySetResult();
    }
}
