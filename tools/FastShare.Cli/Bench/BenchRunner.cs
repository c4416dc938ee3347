using FastShare.Cli.Hosting;
using FastShare.Cli.Output;
using FastShare.Transfer;
using FastShare.Transport;
using FastShare.Transport.Identity;
using FastShare.Transport.Protocols;

namespace FastShare.Cli.Bench;

/// <summary>Runs the perf protocol over connections of its own. Used by one flow.</summary>
/// <param name="swarm">The node's connections.</param>
/// <param name="peer">The other side, which serves perf.</param>
/// <param name="cipher">Bytes that one core encrypts in a second; null: nothing is encrypted.</param>
/// <param name="other">The peer's process, if it is one of this command's.</param>
/// <param name="context">What the command runs with.</param>
internal sealed class BenchRunner(Swarm swarm, PeerId peer, double? cipher, ChildNode? other, CommandContext context)
{
    /// <summary>How long a goodbye, or an echo behind what is still on its way, may take.</summary>
    private static readonly TimeSpan _patience = TimeSpan.FromSeconds(5);

    /// <summary>How long a run starts up before it counts: at least so long, and so many round trips, a slow start's length.</summary>
    private static readonly TimeSpan _warmUp = TimeSpan.FromMilliseconds(500);

    private const int WarmUpRoundTrips = 12;

    /// <summary>
    /// Measures one direction over so many connections, or fewer where the peer takes no more, until <paramref name="bytes"/> were moved or
    /// the time is over.
    /// </summary>
    /// <exception cref="TransportException">No connection, or it was lost; the peer does not serve perf.</exception>
    public async Task<BenchRun> RunAsync(PerfDirection direction, int connections, long bytes, TimeSpan time, TimeSpan roundTrip)
    {
        List<PeerConnection> lanes = await ConnectAsync(connections);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(context.Stop);
        var moved = new Moved(direction);
        Task all = Task.CompletedTask;
        try
        {
            // before anything moves: a short run may be over by the time that somebody looks at it
            var begin = new Moment(lanes, moved, other, context.TimeProvider);
            all = Task.WhenAll(lanes.Select(lane => MoveAsync(lane, moved, direction, bytes / lanes.Count, end.Token)));
            return await ObserveAsync(all, begin, lanes, moved, time, roundTrip * WarmUpRoundTrips);
        }
        finally
        {
            await end.CancelAsync();
            // what it failed with was seen above, or nobody asked for it any more
            await Task.WhenAny(all);
            _ = all.Exception;
            foreach (PeerConnection lane in lanes) await CloseAsync(lane);
        }
    }

    private async Task<BenchRun> ObserveAsync(
        Task all, Moment begin, List<PeerConnection> lanes, Moved moved, TimeSpan time, TimeSpan roundTrips)
    {
        string title = $"{(moved.Direction == PerfDirection.Upload ? "Upload" : "Download")}, {EventText.Count(lanes.Count, "connection")}";
        using IProgressRow row = context.Output.BeginProgress(title);
        TimeSpan warmUp = roundTrips > _warmUp ? roundTrips : _warmUp;
        await ShowAsync(all, warmUp, moved, row);
        var warm = new Moment(lanes, moved, other, context.TimeProvider);
        await ShowAsync(all, time, moved, row);
        var now = new Moment(lanes, moved, other, context.TimeProvider);
        // Of a run that its size ended, the whole counts: what came after the start may be next to nothing.
        return now.Since(all.IsCompleted || !now.HasMovedSince(warm) ? begin : warm, cipher);
    }

    private async Task ShowAsync(Task all, TimeSpan time, Moved moved, IProgressRow row)
    {
        long start = context.TimeProvider.GetTimestamp(), before = moved.Bytes;
        TimeSpan elapsed = TimeSpan.Zero;
        while (!all.IsCompleted && elapsed < time)
        {
            TimeSpan left = time - elapsed;
            TimeSpan tick = left < context.Output.ProgressInterval ? left : context.Output.ProgressInterval;
            await Task.WhenAny(all, Task.Delay(tick, context.TimeProvider, context.Stop));
            context.Stop.ThrowIfCancellationRequested();
            elapsed = context.TimeProvider.GetElapsedTime(start);
            long now = moved.Bytes;
            row.Update(new TransferProgress(
                TransferState.Running, now, now, 0, 0, (now - before) / Math.Max(0.001, elapsed.TotalSeconds), TransferMode.Parallel));
        }

        if (all.IsFaulted) await all;
    }

    private async Task MoveAsync(
        PeerConnection lane, Moved moved, PerfDirection direction, long bytes, CancellationToken cancellationToken)
    {
        (ulong up, ulong down) = direction == PerfDirection.Upload ? ((ulong)bytes, 0UL) : (0UL, (ulong)bytes);
        try
        {
            await PerfClient.RunAsync(lane, up, down, moved.Add(), context.TimeProvider, cancellationToken);
        }
        catch (TransportException e) when (e.Error == TransportError.UnsupportedProtocol)
        {
            throw PerfMeasurement.NotServed(peer, e);
        }
    }

    private async Task<List<PeerConnection>> ConnectAsync(int connections)
    {
        var lanes = new List<PeerConnection>();
        try
        {
            while (lanes.Count < connections) lanes.Add(await swarm.ConnectLaneAsync(peer, context.Stop));
        }
        catch (TransportException) when (lanes.Count > 0)
        {
            // the peer takes no more: these have to do
        }
        catch
        {
            foreach (PeerConnection lane in lanes) await CloseAsync(lane);
            throw;
        }

        return lanes;
    }

    // What is in the kernel's buffers is on its way still: the next run begins behind it.
    private static async Task CloseAsync(PeerConnection lane)
    {
        using var patience = new CancellationTokenSource(_patience);
        try
        {
            await lane.PingAsync(patience.Token);
            await lane.CloseAsync(patience.Token);
        }
        catch (Exception e) when (e is TransportException or OperationCanceledException)
        {
            // gone, or too slow to wait for
        }
    }

    /// <summary>Bytes moved by all connections of a run. Thread-safe.</summary>
    private sealed class Moved(PerfDirection direction)
    {
        private long _bytes; // interlocked

        public PerfDirection Direction => direction;

        public long Bytes => Interlocked.Read(ref _bytes);

        /// <summary>The progress of one more connection.</summary>
        public IProgress<PerfProgress> Add() => new One(this);

        private sealed class One(Moved all) : IProgress<PerfProgress>
        {
            private long _before; // its run's alone

            public void Report(PerfProgress value)
            {
                long now = (long)(all.Direction == PerfDirection.Upload ? value.Uploaded : value.Downloaded);
                Interlocked.Add(ref all._bytes, now - _before);
                _before = now;
            }
        }
    }

    /// <summary>Everything that is counted, at one moment.</summary>
    private sealed class Moment
    {
        private readonly Moved _moved;
        private readonly TimeProvider _time;
        private readonly long _at;
        private readonly long _bytes;
        private readonly ProcessorClock _processor;
        private readonly ConnectionStatistics[] _lanes;

        public Moment(List<PeerConnection> lanes, Moved moved, ChildNode? other, TimeProvider time)
        {
            _processor = new ProcessorClock(other);
            _moved = moved;
            _time = time;
            _bytes = moved.Bytes;
            _at = time.GetTimestamp();
            _lanes = [.. lanes.Select(static lane => lane.Statistics)];
        }

        public bool HasMovedSince(Moment earlier) => _bytes > earlier._bytes;

        public BenchRun Since(Moment earlier, double? cipher)
        {
            TimeSpan elapsed = _time.GetElapsedTime(earlier._at, _at);
            TimeSpan used = _processor.ProcessSince(earlier._processor);
            double seconds = Math.Max(elapsed.TotalSeconds, 1e-6);
            bool told = Array.TrueForAll(_lanes, static lane => lane.Kernel is not null)
                && Array.TrueForAll(earlier._lanes, static lane => lane.Kernel is not null);
            double segments = told ? Sum(static lane => lane.Kernel!.SegmentsSent) : 0;
            return new BenchRun(
                _moved.Direction,
                _lanes.Length,
                _bytes - earlier._bytes,
                elapsed,
                used.TotalSeconds / seconds,
                _processor.MachineSince(earlier._processor),
                cipher is { } rate && used > TimeSpan.Zero ? Math.Min(1, CipherSeconds(rate) / used.TotalSeconds) : 0,
                Part(static lane => lane.WaitingForPath),
                Part(static lane => lane.WaitingForWindow),
                Part(static lane => lane.WaitingForBytes),
                told ? Part(static lane => lane.Kernel!.SendBufferLimited) : null,
                told ? Part(static lane => lane.Kernel!.ReceiveWindowLimited) : null,
                told ? _lanes.Max(static lane => lane.Kernel!.RoundTrip) : null,
                segments > 0 ? Sum(static lane => lane.Kernel!.SegmentsRepeated) / segments : null)
            {
                OtherCores = _processor.OtherSince(earlier._processor).TotalSeconds / seconds,
            };

            // Where threads wait for a core the time of the cipher is more than it used; its rate on a core of its own tells how much.
            double CipherSeconds(double rate) => Math.Min(
                Sum(static lane => (lane.Sealing + lane.Opening).TotalSeconds),
                Sum(static lane => lane.BytesSent + lane.BytesReceived) / rate);

            double Sum(Func<ConnectionStatistics, double> value) => _lanes.Sum(value) - earlier._lanes.Sum(value);

            double Part(Func<ConnectionStatistics, TimeSpan> value) =>
                Math.Clamp(Sum(lane => value(lane).TotalSeconds) / seconds / _lanes.Length, 0, 1);
        }
    }
}
