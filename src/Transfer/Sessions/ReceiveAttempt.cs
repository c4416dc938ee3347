using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transport.Buffers;
using FastShare.Transport.Identity;

namespace FastShare.Transfer.Sessions;

/// <summary>
/// One connection's worth of an incoming transfer: reads the manifest, asks for consent, plans, takes chunks from the data
/// streams that attach, and finishes. Ends when everything is settled, or with the reason why not. The control stream is its
/// caller's.
/// </summary>
internal sealed partial class ReceiveAttempt : IAsyncDisposable
{
    /// <summary>Entries after which consent is asked although more may follow.</summary>
    private const int ConsentEntries = 10_000;

    /// <summary>Time after which consent is asked although more may follow.</summary>
    private static readonly TimeSpan ConsentWait = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Memory of a manifest, in bytes, from which on no more of it is read before consent: anybody may offer, and a person may take hours to
    /// decide. An honest one of 100,000 entries has room.
    /// </summary>
    internal const long MemoryBeforeConsent = 8 << 20;

    /// <summary>How often batches are published that storage holds back.</summary>
    private static readonly TimeSpan PublishInterval = TimeSpan.FromSeconds(2);

    /// <summary>Bytes of exceptions in one plan message.</summary>
    private const int PlanBytes = 128 << 10;

    private readonly IncomingTransfer _transfer;
    private readonly ControlSession _control;
    private readonly Offer _offer;
    private readonly ConsentPolicy? _consent;
    private readonly TimeProvider _time;
    private readonly BlockPool _blocks;
    private readonly Destinations _destinations;
    private readonly TaskGroup _tasks;
    private readonly TaskCompletionSource _complete = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _decided = new(TaskCreationOptions.RunContinuationsAsynchronously); // to take the offer
    private readonly TaskCompletionSource _held = new(TaskCreationOptions.RunContinuationsAsynchronously); // more comes only after that
    private readonly Lock _gate = new();
    private int _strikes; // interlocked
    private volatile bool _senderEnded;
    private long _movedBefore; // the liveness loop's
    private long _movedAt; // the liveness loop's
    private volatile uint _planned;

    public ReceiveAttempt(
        IncomingTransfer transfer,
        ControlSession control,
        Offer offer,
        UInt128 session,
        ConsentPolicy? consent,
        TimeProvider time,
        BlockPool blocks,
        Destinations destinations,
        CancellationToken cancellationToken)
    {
        _transfer = transfer;
        _control = control;
        _offer = offer;
        Session = session;
        _consent = consent;
        _time = time;
        _blocks = blocks;
        _destinations = destinations;
        _tasks = new TaskGroup(cancellationToken);
        _movedAt = time.GetTimestamp();
        // From now on, not from the first data stream on: what fills its window is there before the stream is.
        Transfer.Wire.Track(control.Path.Counters);
    }

    /// <summary>What data streams attach with: random, told only to the sender.</summary>
    public UInt128 Session { get; }

    public PeerId Peer => Transfer.Peer;

    /// <summary>How long the sender has been silent on this connection.</summary>
    public TimeSpan Silence => _control.Liveness.Silence;

    /// <inheritdoc cref="ITransferStream.PingAsync"/>
    public ValueTask PingAsync(CancellationToken cancellationToken) => _control.PingAsync(cancellationToken);

    /// <summary>Whether everything was settled and finished.</summary>
    public bool IsComplete => _complete.Task.IsCompleted;

    private Transfer Transfer => _transfer.Transfer;

    /// <summary>Runs to the end and tells the sender how it ended. Call once, then dispose.</summary>
    /// <exception cref="TransferException">The transfer ended, or (<see cref="TransferError.ConnectionLost"/>) this connection
    /// did.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        if (_offer.IsResume) _control.Writer.Post(MessageType.Known, new Number(_transfer.Manifest.Count));
        _transfer.Connect(_control.Writer);
        _ = _tasks.Run(_control.WatchPumpAsync);
        _ = _tasks.Run(ReadControlAsync);
        _ = _tasks.Run(stopping => _control.Liveness.RunAsync(CheckMovement, stopping));
        _ = _tasks.Run(AcceptAsync);
        await Task.WhenAny(_complete.Task, _tasks.Failed, Task.Delay(Timeout.Infinite, cancellationToken)).ConfigureAwait(false);
        await _tasks.StopAsync().ConfigureAwait(false);
        _transfer.Connect(null);
        if (_complete.Task.IsCompleted)
        {
            PostComplete(_control.Writer, _transfer);
            await _control.FinishAsync(awaitEnd: true).ConfigureAwait(false);
            return;
        }

        await _control.AbandonIfSilentAsync().ConfigureAwait(false);
        Exception failure = _tasks.Failed.IsCompleted
            ? await _tasks.Failed.ConfigureAwait(false) : new OperationCanceledException(cancellationToken);
        System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
    }

    /// <summary>Tells the sender that the transfer is over.</summary>
    public async Task SayGoodbyeAsync(TransferException why)
    {
        _control.PostEnding(_transfer.IsAccepted ? MessageType.Cancel : MessageType.Refuse, why);
        await _control.FinishAsync(awaitEnd: true).ConfigureAwait(false);
    }

    /// <summary>The last message of a transfer that succeeded.</summary>
    public static void PostComplete(ControlWriter control, IncomingTransfer transfer) => control.Post(
        MessageType.Complete, new Complete(transfer.Transfer.Meter.Files, transfer.Transfer.Meter.DeliveredBytes));

    public ValueTask DisposeAsync() => _tasks.DisposeAsync();

    /// <summary>The first wrong chunk of a connection is told to the sender; the second ends the session.</summary>
    private void Strike(in ChunkHeader header, WireCode code, TransferException violation)
    {
        if (Interlocked.Increment(ref _strikes) > 1) throw violation;
        _control.Writer.Post(MessageType.ChunkRejected, new ChunkRejected(header.FileId, header.Offset, code));
    }

    private async Task ReadControlAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            ControlMessage message = await _control.ReadAsync(cancellationToken).ConfigureAwait(false);
            switch (message.Type)
            {
                case MessageType.KeepAlive:
                    break;
                case MessageType.ManifestPage:
                    if (!_decided.Task.IsCompleted && _transfer.Manifest.MemoryHeld >= MemoryBeforeConsent)
                    {
                        // The sender waits meanwhile, as for a slow disk; should it leave, our next keep-alive finds out.
                        _held.TrySetResult();
                        await _decided.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
                    }

                    _transfer.AddEntries(ManifestPage.Decode(message.Body));
                    break;
                case MessageType.ManifestEnd:
                    _transfer.Manifest.End(ManifestEnd.Parse(message.Body));
                    break;
                case MessageType.FileEnd when _planned > 0:
                    if (_transfer.EndFile(FileEnd.Parse(message.Body), _planned) is { } received) _transfer.Publish(received);
                    break;
                case MessageType.FileDigest when _planned > 0 && _offer.Compares:
                    _transfer.TakeDigest(FileDigest.Parse(message.Body), _planned);
                    break;
                case MessageType.StreamEnd when _planned > 0:
                    _transfer.EndStream(StreamEnd.Parse(message.Body), _planned);
                    break;
                case MessageType.FileFailed when _planned > 0:
                    _transfer.FailFile(FileFailure.Parse(message.Type, message.Body), _planned);
                    break;
                case MessageType.LaneLost when _planned > 0:
                    OnLaneLost(LaneNumber.Parse(message.Body).Lane);
                    break;
                case MessageType.End:
                    _senderEnded = true;
                    break;
                case MessageType.Cancel:
                    Ending ending = Ending.Parse(message.Type, message.Body);
                    string why = $"the sender {Peer.ToShortString()} ended the transfer: {PeerText.Escape(ending.Text)}";
                    throw new EndedByPeerException(new TransferException(ending.Code.ToError(), why) { Peer = Peer });
                default:
                    throw TransferProtocol.Violation($"the sender sent an unexpected message ({message.Type})");
            }
        }
    }

    private async Task AcceptAsync(CancellationToken cancellationToken)
    {
        if (!_transfer.IsAccepted) await AskAsync(cancellationToken).ConfigureAwait(false);
        _decided.TrySetResult();
        Transfer.Meter.Start();
        Transfer.Meter.State = TransferState.Running;
        _control.Writer.Post(MessageType.Accept, new Accept(Session));
        _ = _tasks.Run(PlanAsync);
        _ = _tasks.Run(PublishRegularlyAsync);
        _ = _tasks.Run(FinishAsync);
    }

    private async Task AskAsync(CancellationToken cancellationToken)
    {
        await WaitForOfferAsync(cancellationToken).ConfigureAwait(false);
        TransferOffer offer = _transfer.Manifest.Describe(Peer, _offer.SenderName);
        Transfer.Offer = offer;
        OfferAnswer answer = await AskPolicyAsync(offer, cancellationToken).ConfigureAwait(false);
        string reason = answer.Reason.Length > 0 ? answer.Reason : "the offer was not taken";
        if (answer.Folder is null && answer.Sinks is null) throw new TransferException(TransferError.Refused, reason) { Peer = Peer };
        _transfer.Open(answer, _destinations);
        Transfer.Tell(new TransferEvent.Accepted());
    }

    private async Task<OfferAnswer> AskPolicyAsync(TransferOffer offer, CancellationToken cancellationToken)
    {
        if (_consent is null) return OfferAnswer.Refuse("this node takes no files: nobody is there to say yes, and it has no rule to");
        try
        {
            // A policy that ignores its token must not hold up the end of the offer.
            return await Task.Run(() => _consent(offer, cancellationToken).AsTask(), cancellationToken).WaitAsync(cancellationToken)
                .ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            throw new TransferException(TransferError.Refused, "the offer could not be decided about", e) { Peer = Peer };
        }
    }

    private async Task WaitForOfferAsync(CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task waited = Task.Delay(ConsentWait, _time, patience.Token);
        Task enough = _transfer.Manifest.WaitBeyondAsync(ConsentEntries - 1, patience.Token).AsTask();
        await Task.WhenAny(waited, enough, _held.Task, _transfer.Manifest.Complete).ConfigureAwait(false);
        await patience.CancelAsync().ConfigureAwait(false);
        await Task.WhenAll(waited, enough).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        cancellationToken.ThrowIfCancellationRequested();
    }

    private async Task PlanAsync(CancellationToken cancellationToken)
    {
        uint next = 0;
        if (_transfer.IsIntoSinks) await _transfer.Manifest.Complete.WaitAsync(cancellationToken).ConfigureAwait(false);
        while (await _transfer.Manifest.WaitBeyondAsync(next, cancellationToken).ConfigureAwait(false))
        {
            await _transfer.WaitForComparisonsAsync(cancellationToken).ConfigureAwait(false);
            uint first = next;
            ManifestEntry? alone = null;
            var exceptions = new List<PlannedFile>();
            uint? run = null; // the entry up to which nothing is wanted from the last exception's on
            int bytes = 0;
            for (uint known = _transfer.Manifest.Count;
                next < known && next - first < ManifestPage.MaxEntries && bytes < PlanBytes && alone is null; next++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                ManifestEntry entry = _transfer.Manifest[next];
                if (!entry.HasContent)
                {
                    if (run == next) run++; // nothing is wanted of it in any case
                    continue;
                }

                bool isStream = entry.Kind == EntryKind.Stream || _transfer.IsIntoSinks;
                if (_transfer.IsIntoSinks) alone = entry;
                if ((isStream ? _transfer.PlanStream(entry) : _transfer.Plan(entry)) is not { } planned) continue;
                if (planned.IsLeftOut)
                {
                    if (run == next) exceptions[^1] = exceptions[^1] with { Count = next - exceptions[^1].Id + 1 };
                    else exceptions.Add(planned);
                    bytes += run == next ? 0 : PlanMessage.LengthOf(planned);
                    run = next + 1;
                    continue;
                }

                exceptions.Add(planned);
                bytes += PlanMessage.LengthOf(planned);
            }

            _transfer.Expect(next);
            // Room first: what was planned must not be sent before it may arrive.
            await _control.Writer.WaitForRoomAsync(cancellationToken).ConfigureAwait(false);
            _planned = next;
            _control.Writer.Post(MessageType.Plan, new PlanMessage(first, next - first, exceptions));
            if (alone is not null) await _transfer.WhenSettledAsync(alone.Id, cancellationToken).ConfigureAwait(false);
        }

        if (Transfer.Progress is { Bytes: > 0 } progress && progress.Bytes > Transfer.Meter.Moved || _offer.IsResume)
            Transfer.Tell(new TransferEvent.Resumed(Transfer.Progress.Bytes));
    }

    private async Task PublishRegularlyAsync(CancellationToken cancellationToken)
    {
        await _transfer.Manifest.Complete.WaitAsync(cancellationToken).ConfigureAwait(false);
        _transfer.PublishAwaiting(cancellationToken);
        using var timer = new PeriodicTimer(PublishInterval, _time);
        while (await timer.WaitForNextTickAsync(cancellationToken).ConfigureAwait(false)) _transfer.PublishPending();
    }

    private async Task FinishAsync(CancellationToken cancellationToken)
    {
        await _transfer.FinishAsync(cancellationToken).ConfigureAwait(false);
        _complete.TrySetResult();
    }

    /// <summary>A sender that says it has sent everything and sends nothing more of what is missing has lost it on the way; unless the disk is what all wait for.</summary>
    private void CheckMovement()
    {
        CheckLanes();
        long moved = Transfer.Meter.Moved;
        // Neither has a receiver lost anything that is busy with what came, or that was told to wait.
        if (!_senderEnded || moved != _movedBefore || Volatile.Read(ref _storing) > 0 || _transfer.IsStoring)
        {
            _movedBefore = moved;
            _movedAt = _time.GetTimestamp();
        }
        else if (_time.GetElapsedTime(_movedAt).TotalSeconds >= TransferProtocol.SilenceSeconds && !_transfer.HasEverything)
        {
            throw new TransferException(TransferError.ConnectionLost, "the sender has sent everything, but not all of it arrived");
        }
    }
}
