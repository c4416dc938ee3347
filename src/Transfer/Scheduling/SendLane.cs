using System.IO.Pipelines;
using System.Threading.Channels;
using FastShare.Transfer.Framing;
using Microsoft.Extensions.ObjectPool;

namespace FastShare.Transfer.Scheduling;

/// <summary>
/// Sends queued chunks over one data stream: the header goes into the stream's buffer, the payload is written straight from its
/// block, one write a chunk. Several lanes share one queue.
/// </summary>
internal static class SendLane
{
    /// <summary>
    /// Runs until the queue is complete, or until <paramref name="goOn"/> says no, between two chunks. Does not complete the stream.
    /// </summary>
    public static async Task RunAsync(
        PipeWriter output,
        Attach attach,
        ChannelReader<ChunkWork> chunks,
        ObjectPool<ChunkWork> works,
        ProgressMeter meter,
        Func<bool> goOn,
        CancellationToken cancellationToken)
    {
        attach.Write(output.GetSpan(Attach.Size));
        output.Advance(Attach.Size);
        ThrowIfClosed(await output.FlushAsync(cancellationToken).ConfigureAwait(false));
        while (goOn() && await chunks.WaitToReadAsync(cancellationToken).ConfigureAwait(false))
        {
            while (chunks.TryRead(out ChunkWork? work))
            {
                try
                {
                    work.Header.Write(output.GetSpan(ChunkHeader.Size));
                    output.Advance(ChunkHeader.Size);
                    ThrowIfClosed(await output.WriteAsync(work.Payload, cancellationToken).ConfigureAwait(false));
                    meter.AddMoved(work.Header.Length);
                }
                finally
                {
                    works.Return(work);
                }

                if (!goOn()) break;
            }
        }
    }

    private static void ThrowIfClosed(FlushResult result)
    {
        if (result.IsCompleted) throw new TransferException(TransferError.ConnectionLost, "the other side closed a data stream");
    }
}
