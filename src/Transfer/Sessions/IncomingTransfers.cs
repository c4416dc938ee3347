using System.Buffers;
using System.IO.Pipelines;
using System.Security.Cryptography;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Telemetry;
using FastShare.Transport;
using FastShare.Transport.Buffers;
using FastShare.Transport.Identity;
using Microsoft.Extensions.Logging;

namespace FastShare.Transfer.Sessions;

/// <summary>
/// All incoming transfers of a node: admits offers, hands data streams to their sessions, and keeps what a returning sender
/// resumes. Thread-safe.
/// </summary>
internal sealed partial class IncomingTransfers : IAsyncDisposable
{
    /// <summary>A stream must say what it is for within this time.</summary>
    private static readonly TimeSpan FirstMessage = TimeSpan.FromSeconds(10);

    /// <summary>
    /// A connected sender that says nothing for this long may be replaced by a new run of itself: two missed keep-alives.
    /// </summary>
    private static readonly TimeSpan Doubtful = TimeSpan.FromSeconds(2 * TransferProtocol.KeepAliveSeconds);

    /// <summary>What arrives this soon after a sender's end may have been under way.</summary>
    private static readonly TimeSpan LastWords = TimeSpan.FromMilliseconds(200);

    /// <summary>Ends that are kept for senders who lost the connection before they were told.</summary>
    private const int FinishedKept = 64;

    private readonly IncomingLimits _limits;
    private readonly ConsentPolicy? _consent;
    private readonly TimeProvider _time;
    private readonly BlockPool _blocks;
    private readonly ILogger _logger;
    private readonly TransferInstruments _instruments;
    private readonly EventLog<Transfer> _announced;
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskGroup _waiting;
    private readonly Destinations _destinations;
    private readonly Lock _gate = new();
    private readonly Dictionary<TransferId, LiveTransfer> _live = []; // guarded by _gate
    private readonly Dictionary<UInt128, ReceiveAttempt> _sessions = []; // guarded by _gate
    private readonly Queue<FinishedTransfer> _finished = []; // guarded by _gate; oldest first

    public IncomingTransfers(
        IncomingLimits limits, ConsentPolicy? consent, TimeProvider time, BlockPool blocks, ILogger logger, TransferInstruments instruments)
    {
        _instruments = instruments;
        _limits = limits;
        _consent = consent;
        _time = time;
        _blocks = blocks;
        _logger = logger;
        _destinations = new Destinations(limits.Storage, time);
        _announced = new EventLog<Transfer>(Math.Max(16, limits.Transfers), Math.Max(16, limits.Transfers));
        _waiting = new TaskGroup(_stop.Token);
    }

    /// <summary>Transfers under way, then every later one.</summary>
    public IAsyncEnumerable<Transfer> WatchAsync(CancellationToken cancellationToken) => _announced.ReadAsync(cancellationToken);

    /// <summary>Serves a control stream.</summary>
    public async Task ServeControlAsync(ITransferStream stream, CancellationToken cancellationToken)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _stop.Token);
        var control = new ControlSession(stream, _time);
        await using (control.ConfigureAwait(false))
        {
            Offer offer;
            LiveTransfer live;
            try
            {
                offer = await ReadOfferAsync(control, ending.Token).ConfigureAwait(false);
                TransferId id = TransferId.Derive(stream.Peer, offer.Key.Span);
                if (TryFindFinished(id, offer) is { } finished)
                {
                    await finished.TellAgainAsync(control).ConfigureAwait(false);
                    return;
                }

                live = await AdmitAsync(stream.Peer, id, offer, ending.Token).ConfigureAwait(false);
            }
            catch (TransferException e) when (e.Error != TransferError.ConnectionLost)
            {
                LogRefused(_logger, stream.Peer, e.Message);
                control.PostEnding(MessageType.Refuse, e);
                await control.FinishAsync(awaitEnd: true).ConfigureAwait(false);
                return;
            }

            await WorkAsync(live, control, offer, ending.Token).ConfigureAwait(false);
        }
    }

    /// <summary>Serves a data stream.</summary>
    /// <exception cref="TransferException">It belongs to no session of this peer.</exception>
    public async Task ServeDataAsync(ITransferStream stream, CancellationToken cancellationToken)
    {
        using var deadline = new CancellationTokenSource(FirstMessage, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, deadline.Token);
        ReadResult first = await stream.Input.ReadAtLeastAsync(Attach.Size, either.Token).ConfigureAwait(false);
        if (first.Buffer.Length < Attach.Size) throw TransferProtocol.Violation("a data stream ended before it said what it belongs to");
        Attach attach = ParseAttach(first.Buffer);
        stream.Input.AdvanceTo(first.Buffer.GetPosition(Attach.Size));
        ReceiveAttempt? attempt;
        lock (_gate) _sessions.TryGetValue(attach.Session, out attempt);
        // The id alone is not enough: nobody else may feed a transfer, even if it learnt the id.
        if (attempt is null || attempt.Peer != stream.Peer)
            throw TransferProtocol.Violation($"a data stream of {stream.Peer.ToShortString()} names no session of that peer");
        await attempt.RunLaneAsync(stream, attach).ConfigureAwait(false);
    }

    /// <summary>Ends every transfer resumable.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        LiveTransfer[] live;
        lock (_gate) live = [.. _live.Values];
        foreach (LiveTransfer one in live)
        {
            await one.Turn.WaitAsync().ConfigureAwait(false);
            await EndAsync(one, new TransferException(TransferError.Cancelled, "the node was stopped; the sender can resume later"))
                .ConfigureAwait(false);
            one.Turn.Release();
        }

        await _waiting.DisposeAsync().ConfigureAwait(false);
        _announced.End();
        _stop.Dispose();
    }

    private static Attach ParseAttach(in ReadOnlySequence<byte> buffer)
    {
        Span<byte> bytes = stackalloc byte[Attach.Size];
        buffer.Slice(0, Attach.Size).CopyTo(bytes);
        return Attach.Parse(bytes);
    }

    private async Task<Offer> ReadOfferAsync(ControlSession control, CancellationToken cancellationToken)
    {
        using var deadline = new CancellationTokenSource(FirstMessage, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, deadline.Token);
        try
        {
            ControlMessage message = await control.ReadAsync(either.Token).ConfigureAwait(false);
            if (message.Type != MessageType.Offer)
                throw TransferProtocol.Violation($"a transfer begins with an offer, not with {message.Type}");
            return Offer.Parse(message.Body);
        }
        catch (OperationCanceledException) when (deadline.IsCancellationRequested)
        {
            throw new TransferException(TransferError.ConnectionLost, $"no offer came within {FirstMessage.TotalSeconds} s");
        }
    }

    private FinishedTransfer? TryFindFinished(TransferId id, Offer offer)
    {
        if (!offer.IsResume) return null;
        lock (_gate) return _finished.FirstOrDefault(one => one.Id == id && one.Instance == offer.Instance);
    }

    /// <summary>Finds the transfer an offer resumes, or makes one.</summary>
    /// <exception cref="TransferException">It is being received already, or there are too many.</exception>
    private async Task<LiveTransfer> AdmitAsync(PeerId peer, TransferId id, Offer offer, CancellationToken cancellationToken)
    {
        while (true)
        {
            LiveTransfer? earlier;
            lock (_gate)
            {
                if (!_live.TryGetValue(id, out earlier)) return Create(peer, id, offer);
                if (earlier.Incoming.Offer.Instance == offer.Instance) return earlier;
            }

            if (await IsAliveAsync(earlier, cancellationToken).ConfigureAwait(false))
                throw new TransferException(
                    TransferError.AlreadyReceiving, "these files are being received from you already, by another run of the same command");

            // An earlier run of the sender, which is gone: what it left on disk is what this one resumes.
            await TakeTurnAsync(earlier, cancellationToken).ConfigureAwait(false);
            await EndAsync(earlier, new TransferException(TransferError.ConnectionLost, "the sender was started anew") { Peer = peer })
                .ConfigureAwait(false);
            earlier.Turn.Release();
        }
    }

    /// <summary>
    /// Whether the sender of a transfer is connected and says something from now on. One that crashed is noticed only when its connection
    /// is, and what it said before may take long to get here, or to be read here: it has to answer first.
    /// </summary>
    private async Task<bool> IsAliveAsync(LiveTransfer live, CancellationToken cancellationToken)
    {
        if (!await AnswersAsync(live, cancellationToken).ConfigureAwait(false)) return false;
        long start = _time.GetTimestamp();
        while (true)
        {
            ReceiveAttempt? attempt;
            lock (_gate) attempt = live.Attempt;
            TimeSpan waited = _time.GetElapsedTime(start);
            if (attempt is null || waited >= Doubtful) return false;
            if (attempt.Silence + LastWords < waited) return true;
            await Task.Delay(LastWords / 2, _time, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// Whether the sender answers what it is asked from now on, or at least speaks all the time: an answer has to wait behind what was sent before.
    /// </summary>
    private async Task<bool> AnswersAsync(LiveTransfer live, CancellationToken cancellationToken)
    {
        ReceiveAttempt? attempt;
        lock (_gate) attempt = live.Attempt;
        if (attempt is null) return false;
        using var deadline = new CancellationTokenSource(Doubtful, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, deadline.Token);
        try
        {
            // The first answer may be to an earlier ping. By the next time that one is no longer fresh enough to be had again.
            await attempt.PingAsync(either.Token).ConfigureAwait(false);
            await Task.Delay(LastWords, _time, either.Token).ConfigureAwait(false);
            await attempt.PingAsync(either.Token).ConfigureAwait(false);
            return true;
        }
        catch (TransportException)
        {
            return false;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return attempt.Silence < Doubtful / 2;
        }
    }

    /// <summary>Under the gate.</summary>
    private LiveTransfer Create(PeerId peer, TransferId id, Offer offer)
    {
        _stop.Token.ThrowIfCancellationRequested();
        if (_live.Count >= _limits.Transfers)
            throw new TransferException(
                TransferError.Refused, $"{_limits.Transfers} transfers are under way here, which is the limit; try again later");
        if (_live.Values.Count(one => one.Incoming.Transfer.Peer == peer) >= _limits.TransfersPerPeer)
            throw new TransferException(TransferError.Refused,
                $"{_limits.TransfersPerPeer} transfers from you are under way here, which is the limit; try again later");
        var live = new LiveTransfer(new IncomingTransfer(
            new Transfer(peer, isIncoming: true, _time, _instruments), id, offer, Math.Min(_limits.Entries, TransferProtocol.MaxEntries),
            _blocks));
        _live.Add(id, live);
        _announced.Add(live.Incoming.Transfer);
        return live;
    }

    /// <summary>Ends the work of whoever has the turn, which is connected to a sender that has meanwhile come back, and takes it.</summary>
    private async Task<int> TakeTurnAsync(LiveTransfer live, CancellationToken cancellationToken)
    {
        int ticket;
        lock (_gate)
        {
            ticket = ++live.Ticket;
            // What waits for it goes on elsewhere: nothing runs under the gate.
            _ = live.Worker?.CancelAsync();
        }

        try
        {
            await live.Turn.WaitAsync(cancellationToken).ConfigureAwait(false);
            return ticket;
        }
        catch (OperationCanceledException)
        {
            // This connection is lost too. Those before it leave the transfer's end to the newest.
            AwaitReturn(live, ticket);
            throw;
        }
    }

    /// <summary>Runs one connection's worth of a transfer, then ends it or leaves it waiting for the sender.</summary>
    private async Task WorkAsync(LiveTransfer live, ControlSession control, Offer offer, CancellationToken cancellationToken)
    {
        using var work = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, live.Incoming.Transfer.Cancelled);
        int ticket = await TakeTurnAsync(live, cancellationToken).ConfigureAwait(false);
        try
        {
            bool over;
            lock (_gate)
            {
                // A still later connection waits behind this one.
                if (ticket != live.Ticket) return;
                live.Worker = work;
                over = live.IsOver;
            }

            if (over)
            {
                if (TryFindFinished(live.Incoming.Id, offer) is { } finished) await finished.TellAgainAsync(control).ConfigureAwait(false);
                return;
            }

            UInt128 session = NewSession();
            var attempt = new ReceiveAttempt(live.Incoming, control, offer, session, _consent, _time, _blocks, _destinations, work.Token);
            await using (attempt.ConfigureAwait(false))
            {
                lock (_gate)
                {
                    _sessions[session] = attempt;
                    live.Attempt = attempt;
                }

                await RunAttemptAsync(live, attempt, ticket, work).ConfigureAwait(false);
            }
        }
        finally
        {
            lock (_gate) live.Worker = null;
            live.Turn.Release();
        }
    }

    private async Task RunAttemptAsync(LiveTransfer live, ReceiveAttempt attempt, int ticket, CancellationTokenSource work)
    {
        Transfer transfer = live.Incoming.Transfer;
        TransferException? failure = null;
        try
        {
            await attempt.RunAsync(work.Token).ConfigureAwait(false);
        }
        catch (EndedByPeerException e)
        {
            failure = e.Reason;
        }
        catch (OperationCanceledException) when (work.IsCancellationRequested)
        {
            bool superseded;
            lock (_gate) superseded = ticket != live.Ticket;
            if (transfer.Cancelled.IsCancellationRequested)
                failure = Failure(transfer, TransferError.Cancelled, "cancelled by the receiver; the sender can resume later");
            else if (_stop.IsCancellationRequested)
                failure = Failure(transfer, TransferError.Cancelled, "the receiver was stopped; sending the same again resumes");
            if (failure is not null) await attempt.SayGoodbyeAsync(failure).ConfigureAwait(false);
            else if (!superseded && !live.Incoming.IsAccepted)
                failure = Failure(transfer, TransferError.ConnectionLost, "the connection was lost before the offer was answered");
        }
        catch (Exception e) when (live.Incoming.IsAccepted && IsConnectionLoss(e))
        {
            LogLost(_logger, transfer.Peer, e.Message);
            transfer.Tell(new TransferEvent.Retrying(1, e.Message, _limits.ReconnectWindow));
        }
        catch (Exception e)
        {
            failure = e as TransferException
                ?? Failure(transfer, IsConnectionLoss(e) ? TransferError.ConnectionLost : TransferError.StorageFault, e.Message, e);
            LogFailed(_logger, transfer.Peer, failure);
            if (failure.Error != TransferError.ConnectionLost) await attempt.SayGoodbyeAsync(failure).ConfigureAwait(false);
        }

        lock (_gate)
        {
            _sessions.Remove(attempt.Session);
            live.Attempt = null;
        }

        if (attempt.IsComplete || failure is not null) await EndAsync(live, attempt.IsComplete ? null : failure).ConfigureAwait(false);
        else
        {
            transfer.Meter.State = TransferState.Reconnecting;
            AwaitReturn(live, ticket);
        }
    }

    /// <summary>The connection is lost: ends the transfer unless its sender comes back within the window.</summary>
    private void AwaitReturn(LiveTransfer live, int ticket)
    {
        Transfer transfer = live.Incoming.Transfer;
        _ = _waiting.Run(async stopping =>
        {
            using var either = CancellationTokenSource.CreateLinkedTokenSource(stopping, transfer.Cancelled);
            await Task.Delay(_limits.ReconnectWindow, _time, either.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            stopping.ThrowIfCancellationRequested();
            await live.Turn.WaitAsync(stopping).ConfigureAwait(false);
            try
            {
                lock (_gate)
                {
                    // The sender is back, or waits for its turn.
                    if (ticket != live.Ticket) return;
                }

                string late = $"the sender did not come back within {_limits.ReconnectWindow.TotalSeconds:0} s; it can resume later";
                TransferException failure = transfer.Cancelled.IsCancellationRequested
                    ? Failure(transfer, TransferError.Cancelled, "cancelled; the sender can resume later")
                    : Failure(transfer, TransferError.ConnectionLost, late);
                await EndAsync(live, failure).ConfigureAwait(false);
            }
            finally
            {
                live.Turn.Release();
            }
        });
    }

    /// <summary>The transfer is over. Called with the turn held.</summary>
    private async Task EndAsync(LiveTransfer live, TransferException? failure)
    {
        lock (_gate)
        {
            if (live.IsOver) return;
            live.IsOver = true;
            // After a lost connection there is nothing to tell: the sender starts over, from what storage kept.
            if (failure is not { Error: TransferError.ConnectionLost })
            {
                _finished.Enqueue(FinishedTransfer.Of(live.Incoming, failure));
                if (_finished.Count > FinishedKept) _finished.Dequeue();
            }
        }

        live.Incoming.Ending = failure;
        try
        {
            await live.Incoming.DisposeAsync().ConfigureAwait(false);
        }
        catch (Exception e)
        {
            // Whatever it is, the transfer has to end, and whoever waits for its end has to learn of it.
            failure ??= e as TransferException ?? new TransferException(
                TransferError.StorageFault, $"storage could not be closed: {e.Message}", e);
        }

        // Only now may the same transfer begin again: until here its staging is locked.
        lock (_gate) _live.Remove(live.Incoming.Id);
        _announced.Forget(transfer => ReferenceEquals(transfer, live.Incoming.Transfer));
        if (failure is null) live.Incoming.Transfer.Succeed();
        else live.Incoming.Transfer.Fail(failure);
    }

    private static bool IsConnectionLoss(Exception e) =>
        e is TransportException or TransferException { Error: TransferError.ConnectionLost };

    private static TransferException Failure(Transfer transfer, TransferError error, string why, Exception? cause = null) =>
        new(error, $"receiving from {transfer.Peer.ToShortString()}: {why}", cause) { Peer = transfer.Peer };

    private static UInt128 NewSession()
    {
        Span<byte> bytes = stackalloc byte[16];
        RandomNumberGenerator.Fill(bytes);
        return System.Buffers.Binary.BinaryPrimitives.ReadUInt128BigEndian(bytes);
    }

    [LoggerMessage(2101, LogLevel.Information, "refused an offer of {Peer}: {Why}")]
    private static partial void LogRefused(ILogger logger, PeerId peer, string why);

    [LoggerMessage(2102, LogLevel.Information, "the connection to {Peer} was lost while receiving: {Why}")]
    private static partial void LogLost(ILogger logger, PeerId peer, string why);

    [LoggerMessage(2103, LogLevel.Warning, "receiving from {Peer} failed")]
    private static partial void LogFailed(ILogger logger, PeerId peer, Exception failure);
}
