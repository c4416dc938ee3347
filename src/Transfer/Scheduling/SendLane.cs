using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using FastShare.Transfer.Framing;
using Microsoft.Extensions.ObjectPool;

namespace FastShare.Transfer.Scheduling;

/// <summary>
/// Sends queued chunks over one data stream: the header goes into the stream's buffer, the payload is written straight from its
/// block, one write a chunk or bundle (several where a rate limit wants it to flow). Several lanes share one queue.
/// </summary>
internal sealed class SendLane(
    PipeWriter output,
    ChannelReader<ChunkWork> chunks,
    ObjectPool<ChunkWork> works,
    SentChunks sent,
    SendThrottle.Lane throttle,
    StageMeter.Clock clock,
    ProgressMeter meter)
{
    /// <summary>Bytes of the last chunks that were not counted as moved: what was cut off when the lane ended.</summary>
    public int Missing { get; private set; }

    /// <summary>
    /// Runs until the queue is complete, or until <paramref name="retire"/> fires, between two chunks. Does not complete the stream.
    /// </summary>
    /// <param name="attach">The first bytes.</param>
    /// <param name="retire">Ends the lane in good order.</param>
    /// <param name="cancellationToken">Ends it at once.</param>
    public async Task RunAsync(Attach attach, CancellationToken retire, CancellationToken cancellationToken)
    {
        attach.Write(output.GetSpan(Attach.Size));
        output.Advance(Attach.Size);
        ThrowIfClosed(await output.FlushAsync(cancellationToken).ConfigureAwait(false));
        using var idle = CancellationTokenSource.CreateLinkedTokenSource(retire, cancellationToken);
        while (!retire.IsCancellationRequested)
        {
            if (chunks.TryRead(out ChunkWork? work))
            {
                if (work.Bundled.Count > 0) await SendBundleAsync(work, cancellationToken).ConfigureAwait(false);
                else await SendAsync(work, cancellationToken).ConfigureAwait(false);
                continue;
            }

            throttle.Exit();
            clock.Enter(TransferStage.WaitingForChunks);
            try
            {
                if (!await chunks.WaitToReadAsync(idle.Token).ConfigureAwait(false)) return;
            }
            catch (OperationCanceledException) when (idle.IsCancellationRequested)
            {
                cancellationToken.ThrowIfCancellationRequested();
                return;
            }
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask SendAsync(ChunkWork work, CancellationToken cancellationToken)
    {
        // From here on the chunk is this lane's to deliver: if it is lost, the lane's end says so.
        sent.Add(new SentChunk(work.Header.FileId, work.Index, work.Header.Length));
        Missing = work.Header.PayloadLength;
        try
        {
            clock.Enter(TransferStage.HeldBack);
            await throttle.EnterAsync(Math.Max(work.Header.PayloadLength, ChunkHeader.Size), cancellationToken).ConfigureAwait(false);
            work.Header.Write(output.GetSpan(ChunkHeader.Size));
            output.Advance(ChunkHeader.Size);
            if (work.Header.IsHole)
            {
                ThrowIfClosed(await output.FlushAsync(cancellationToken).ConfigureAwait(false));
                meter.AddPresent(work.Header.Length);
            }

            for (ReadOnlyMemory<byte> rest = work.Payload; !rest.IsEmpty;)
            {
                int slice = Math.Min(rest.Length, throttle.Slice);
                clock.Enter(TransferStage.HeldBack);
                await throttle.TakeAsync(slice, cancellationToken).ConfigureAwait(false);
                clock.Enter(TransferStage.Sending);
                ThrowIfClosed(await output.WriteAsync(rest[..slice], cancellationToken).ConfigureAwait(false));
                clock.Count(slice);
                meter.AddMoved(slice);
                Missing -= slice;
                rest = rest[slice..];
            }

            meter.AddChunks(1);
        }
        finally
        {
            works.Return(work);
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask SendBundleAsync(ChunkWork work, CancellationToken cancellationToken)
    {
        sent.Add(work.Bundled);
        Missing = work.BundledBytes;
        try
        {
            clock.Enter(TransferStage.HeldBack);
            await throttle.EnterAsync(work.Frames.Length, cancellationToken).ConfigureAwait(false);
            for (ReadOnlyMemory<byte> rest = work.Frames; !rest.IsEmpty;)
            {
                int slice = Math.Min(rest.Length, throttle.Slice);
                clock.Enter(TransferStage.HeldBack);
                await throttle.TakeAsync(slice, cancellationToken).ConfigureAwait(false);
                clock.Enter(TransferStage.Sending);
                ThrowIfClosed(await output.WriteAsync(rest[..slice], cancellationToken).ConfigureAwait(false));
                rest = rest[slice..];
            }

            clock.Count(work.BundledBytes);
            meter.AddMoved(work.BundledBytes);
            Missing = 0;
            meter.AddChunks(work.Bundled.Count);
        }
        finally
        {
            works.Return(work);
        }
    }

    private static void ThrowIfClosed(FlushResult result)
    {
        if (result.IsCompleted) throw new TransferException(TransferError.ConnectionLost, "the other side closed a data stream");
    }
}
