using FastShare.Cli.Output;
using FastShare.Transfer;
using FastShare.Transport;
using FastShare.Transport.Identity;
using FastShare.Transport.Protocols;

namespace FastShare.Cli.Hosting;

/// <summary>Which way the bytes of a measurement go.</summary>
internal enum PerfDirection
{
    Upload,
    Download,
}

/// <summary>One direction of the perf protocol, measured on a stream of its own.</summary>
/// <param name="Bytes">Bytes moved.</param>
/// <param name="Time">How long that took.</param>
internal sealed record PerfMeasurement(long Bytes, TimeSpan Time)
{
    public double BytesPerSecond => Time > TimeSpan.Zero ? Bytes / Time.TotalSeconds : 0;

    /// <summary>Runs until <paramref name="bytes"/> are moved or <paramref name="limit"/> has passed.</summary>
    public static async Task<PerfMeasurement> RunAsync(
        PeerConnection connection, PerfDirection direction, long bytes, TimeSpan? limit, CommandContext context)
    {
        if (bytes == 0) return new PerfMeasurement(0, TimeSpan.Zero);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(context.Stop);
        if (limit is not null) end.CancelAfter(limit.Value);
        var meter = new Meter(direction);
        long start = context.TimeProvider.GetTimestamp();
        (ulong up, ulong down) = direction == PerfDirection.Upload ? ((ulong)bytes, 0UL) : (0UL, (ulong)bytes);
        Task<PerfResult> run = PerfClient.RunAsync(connection, up, down, meter, context.TimeProvider, end.Token);
        await ShowAsync(run, meter, direction, bytes, context);
        try
        {
            PerfResult result = await run;
            return new PerfMeasurement(bytes, direction == PerfDirection.Upload ? result.Upload : result.Download);
        }
        catch (OperationCanceledException) when (end.IsCancellationRequested && !context.Stop.IsCancellationRequested)
        {
            return new PerfMeasurement(meter.Bytes, context.TimeProvider.GetElapsedTime(start));
        }
        catch (TransportException e) when (e.Error == TransportError.UnsupportedProtocol)
        {
            throw NotServed(connection.Peer, e);
        }
    }

    /// <summary>What to say of a peer that does not know the perf protocol, as one that runs <c>fastshare receive</c>.</summary>
    public static TransportException NotServed(PeerId peer, TransportException cause) =>
        new(cause.Error, $"peer {peer} does not serve the perf protocol; on that machine, type: fastshare perf listen", cause) { Peer = peer };

    private static async Task ShowAsync(Task run, Meter meter, PerfDirection direction, long bytes, CommandContext context)
    {
        using IProgressRow row = context.Output.BeginProgress(direction == PerfDirection.Upload ? "Upload" : "Download");
        long before = 0, at = context.TimeProvider.GetTimestamp();
        while (!run.IsCompleted)
        {
            await Task.WhenAny(run, Task.Delay(context.Output.ProgressInterval, context.TimeProvider));
            long now = meter.Bytes;
            double rate = (now - before) / context.TimeProvider.GetElapsedTime(at).TotalSeconds;
            // of a run that ends with its time, nobody knows the total
            row.Update(new TransferProgress(
                TransferState.Running, now, bytes == long.MaxValue ? now : bytes, 0, 0, rate, TransferMode.Sequential));
            (before, at) = (now, context.TimeProvider.GetTimestamp());
        }
    }

    // Reported to by the run, read by the display.
    private sealed class Meter(PerfDirection direction) : IProgress<PerfProgress>
    {
        private long _bytes; // interlocked

        public long Bytes => Interlocked.Read(ref _bytes);

        public void Report(PerfProgress value) =>
            Interlocked.Exchange(ref _bytes, (long)(direction == PerfDirection.Upload ? value.Uploaded : value.Downloaded));
    }
}
