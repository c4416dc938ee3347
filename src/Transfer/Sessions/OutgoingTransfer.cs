using FastShare.Transfer.Framing;
using FastShare.Transfer.Scheduling;
using FastShare.Transport;
using FastShare.Transport.Buffers;
using FastShare.Transport.Identity;
using Microsoft.Extensions.Logging;

namespace FastShare.Transfer.Sessions;

/// <summary>
/// An outgoing transfer from the first wait for the peer to the end: connects, runs an attempt on each connection, and comes
/// back after a lost one.
/// </summary>
internal sealed partial class OutgoingTransfer(
    SendState state,
    ITransferNetwork network,
    SendThrottle throttle,
    SemaphoreSlim places,
    NodeMemory memory,
    Pulse peersChanged,
    TimeProvider time,
    BlockPool blocks,
    ILogger logger)
{
    /// <summary>How often a peer that cannot be reached is tried again while it may still appear.</summary>
    private static readonly TimeSpan RetryReach = TimeSpan.FromSeconds(1);

    private Transfer Transfer => state.Transfer;

    private string HowToGoOn => state.IsStream
        ? "a stream cannot be read again: start its source anew" : "sending the same again resumes";

    /// <summary>Runs to the end, which the transfer tells; never throws.</summary>
    public async Task RunAsync(CancellationToken stopping)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(stopping, Transfer.Cancelled);
        Task listing = Task.CompletedTask;
        try
        {
            var listingFailed = new TaskCompletionSource<TransferException>(TaskCreationOptions.RunContinuationsAsynchronously);
            using var listingEnd = CancellationTokenSource.CreateLinkedTokenSource(ending.Token);
            listing = Task.Run(() => List(listingFailed, listingEnd), CancellationToken.None);
            try
            {
                await MoveAsync(listingEnd.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (listingFailed.Task.IsCompleted)
            {
                throw await listingFailed.Task.ConfigureAwait(false);
            }
            finally
            {
                await listingEnd.CancelAsync().ConfigureAwait(false);
                await listing.ConfigureAwait(false);
            }

            // What was asked for is one thing: that the receiver did not want it, or has no room for its name, is no success.
            if (state.IsStream && Transfer.Meter.FirstFailure is { } rejected) throw rejected;
            await state.DisposeAsync().ConfigureAwait(false);
            Transfer.Succeed();
            LogSent(logger, Transfer.Peer, Transfer.Meter.Files, Transfer.Meter.DeliveredBytes);
        }
        catch (Exception e)
        {
            TransferException failure = e switch
            {
                OperationCanceledException when stopping.IsCancellationRequested =>
                    Failure(TransferError.Cancelled, $"the node was stopped; {HowToGoOn}", e),
                OperationCanceledException => Failure(TransferError.Cancelled, $"cancelled; {HowToGoOn}", e),
                TransferException t => t,
                _ => Failure(TransferError.Unknown, e.Message, e),
            };
            await state.DisposeAsync().ConfigureAwait(false);
            LogFailed(logger, Transfer.Peer, failure);
            Transfer.Fail(failure);
        }
    }

    private void List(TaskCompletionSource<TransferException> failed, CancellationTokenSource ending)
    {
        try
        {
            state.Manifest.List((files, bytes) => Transfer.Meter.AddTotal(files, bytes), Transfer.TellFailure, time, ending.Token);
        }
        catch (OperationCanceledException)
        {
        }
        catch (Exception e)
        {
            failed.TrySetResult(e as TransferException ?? new TransferException(
                TransferError.StorageFault, $"the files to send could not be listed: {e.Message}", e));
            ending.Cancel();
        }
    }

    private async Task MoveAsync(CancellationToken cancellationToken)
    {
        ITransferStream stream = await ReachAsync(cancellationToken).ConfigureAwait(false);
        if (!places.Wait(0, CancellationToken.None))
        {
            // Nothing was said on it yet, and it would not be left waiting.
            await stream.DisposeAsync().ConfigureAwait(false);
            await places.WaitAsync(cancellationToken).ConfigureAwait(false);
            try
            {
                stream = await ReachAsync(cancellationToken).ConfigureAwait(false);
            }
            catch
            {
                places.Release();
                throw;
            }
        }

        try
        {
            await MoveOverAsync(stream, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            places.Release();
        }
    }

    private async Task MoveOverAsync(ITransferStream stream, CancellationToken cancellationToken)
    {
        Transfer.Meter.Start();
        bool resume = false;
        for (int failures = 0; ;)
        {
            long moved = Transfer.Meter.Moved;
            Exception lost;
            try
            {
                if (!resume) Transfer.Meter.State = TransferState.Offered;
                if (await TryAsync(stream, resume, cancellationToken).ConfigureAwait(false)) return;
                throw new InvalidOperationException("an attempt ended without reason");
            }
            catch (EndedByPeerException e)
            {
                throw e.Reason;
            }
            catch (Exception e) when (IsConnectionLoss(e))
            {
                lost = e;
            }

            resume = true;
            if (Transfer.Meter.Moved > moved) failures = 0;
            (stream, failures) = await ReconnectAsync(lost, failures, cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task<bool> TryAsync(ITransferStream stream, bool resume, CancellationToken cancellationToken)
    {
        var attempt = new SendAttempt(state, network, stream, resume, throttle, memory, time, blocks, cancellationToken);
        await using (attempt.ConfigureAwait(false))
        {
            await attempt.RunAsync(cancellationToken).ConfigureAwait(false);
            return true;
        }
    }

    /// <summary>The first connection: waits for the peer to be discovered and to answer.</summary>
    private async Task<ITransferStream> ReachAsync(CancellationToken cancellationToken)
    {
        using var patience = new CancellationTokenSource(state.Options.WaitForPeer, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, patience.Token);
        TransportException? last = null;
        try
        {
            while (true)
            {
                Task news = peersChanged.Next;
                if (network.MayReach(Transfer.Peer))
                {
                    try
                    {
                        return await network.OpenStreamAsync(Transfer.Peer, TransferProtocol.ControlId, either.Token).ConfigureAwait(false);
                    }
                    catch (TransportException e) when (
                        e.Error is not (TransportError.UnsupportedProtocol or TransportError.InvalidOperation or TransportError.Aborted))
                    {
                        last = e;
                    }
                }

                await WaitAsync(news, RetryReach, either.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw NotReachable(last is null
                ? $"was not found within {state.Options.WaitForPeer.TotalSeconds:0.#} s; is it running, and on the same network?"
                : $"could not be reached within {state.Options.WaitForPeer.TotalSeconds:0.#} s: {last.Message}", last);
        }
        catch (TransportException e)
        {
            throw NotReachable($"cannot take files: {e.Message}", e);
        }
    }

    private async Task<(ITransferStream Stream, int Failures)> ReconnectAsync(
        Exception lost, int failures, CancellationToken cancellationToken)
    {
        Transfer.Meter.State = TransferState.Reconnecting;
        while (true)
        {
            if (++failures > state.Options.MaxRetries)
            {
                string why = $"the connection was lost and could not be restored in {state.Options.MaxRetries} tries: {lost.Message}";
                throw Failure(TransferError.ConnectionLost, $"{why}; {HowToGoOn}", lost);
            }

            TimeSpan delay = Backoff.Delay(failures, Random.Shared.NextDouble());
            LogRetrying(logger, Transfer.Peer, failures, delay, lost.Message);
            Transfer.Tell(new TransferEvent.Retrying(failures, lost.Message, delay));
            await Task.Delay(delay, time, cancellationToken).ConfigureAwait(false);
            try
            {
                return (await network.OpenStreamAsync(Transfer.Peer, TransferProtocol.ControlId, cancellationToken)
                    .ConfigureAwait(false), failures);
            }
            catch (TransportException e) when (e.Error is not (TransportError.UnsupportedProtocol or TransportError.Aborted))
            {
                lost = e;
            }
        }
    }

    private async Task WaitAsync(Task news, TimeSpan atMost, CancellationToken cancellationToken)
    {
        using var delayEnd = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        await Task.WhenAny(news, Task.Delay(atMost, time, delayEnd.Token)).ConfigureAwait(false);
        await delayEnd.CancelAsync().ConfigureAwait(false);
        cancellationToken.ThrowIfCancellationRequested();
    }

    /// <summary>Whether trying again on another connection can help.</summary>
    private static bool IsConnectionLoss(Exception e) => e switch
    {
        TransferException t => t.Error == TransferError.ConnectionLost,
        TransportException t => t.Error is not (TransportError.Aborted or TransportError.UnsupportedProtocol),
        _ => false,
    };

    private TransferException Failure(TransferError error, string why, Exception? cause) =>
        new(error, $"sending to {Transfer.Peer.ToShortString()}: {why}", cause) { Peer = Transfer.Peer };

    private TransferException NotReachable(string why, Exception? cause) =>
        new(TransferError.PeerNotReachable, $"peer {Transfer.Peer} {why}", cause) { Peer = Transfer.Peer };

    [LoggerMessage(2001, LogLevel.Information, "sent {Files} files, {Bytes} bytes to {Peer}")]
    private static partial void LogSent(ILogger logger, PeerId peer, long files, long bytes);

    [LoggerMessage(2002, LogLevel.Warning, "sending to {Peer} failed")]
    private static partial void LogFailed(ILogger logger, PeerId peer, Exception failure);

    [LoggerMessage(2003, LogLevel.Information, "the connection to {Peer} was lost; try {Attempt} in {Delay}: {Why}")]
    private static partial void LogRetrying(ILogger logger, PeerId peer, int attempt, TimeSpan delay, string why);
}
