using System.Threading.Channels;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Scheduling;
using FastShare.Transport;
using Microsoft.Extensions.ObjectPool;

namespace FastShare.Transfer.Sessions;

/// <summary>What the lanes of one attempt have in common. <c>Completed</c>: the receiver has said that it has everything.</summary>
internal sealed record LaneContext(
    SendState State,
    ITransferNetwork Network,
    ControlWriter Control,
    PlanQueue Plan,
    ChannelReader<ChunkWork> Chunks,
    ObjectPool<ChunkWork> Works,
    SendThrottle Throttle,
    TaskGroup Tasks,
    Task Completed,
    TimeProvider Time);

/// <summary>
/// The lanes of one attempt: data streams on the shared connection and on further ones, added and dropped while they run. What a lost lane
/// had on its way goes back to the plan. Thread-safe.
/// </summary>
/// <remarks>
/// A lane is over when the receiver has said how many of its chunks it took (<see cref="MessageType.LaneEnded"/>); only then are the others
/// sent again, so that nothing is sent twice that had arrived. A connection lost while the control stream lives costs only its lanes.
/// </remarks>
internal sealed class LaneSet(LaneContext context, UInt128 session)
{
    /// <summary>A lost connection is replaced after this long; twice as long after each that moved nothing.</summary>
    private static readonly TimeSpan FirstRetry = TimeSpan.FromMilliseconds(500);

    /// <summary>Lanes of one connection lost in a row without having moved anything after which it is given up.</summary>
    private const int MaxFailures = 4;

    private readonly Lock _gate = new();
    private readonly List<LaneLink> _links = []; // guarded by _gate: by their number; the first is the shared connection
    private readonly Dictionary<ushort, Lane> _lanes = []; // guarded by _gate: those whose end the receiver has not confirmed
    private LanePlan _plan; // guarded by _gate
    private int _nextLane; // guarded by _gate
    private string? _refused; // guarded by _gate: why a further connection could not be had

    private Transfer Transfer => context.State.Transfer;

    /// <summary>Connections that carry chunks now.</summary>
    public int Connections
    {
        get
        {
            lock (_gate) return Math.Max(1, _links.Count(static link => link.Lanes > 0));
        }
    }

    /// <summary>Why a further connection could not be had since the last call; null: there was no trouble.</summary>
    public string? TakeRefusal()
    {
        lock (_gate)
        {
            string? refused = _refused;
            _refused = null;
            return refused;
        }
    }

    /// <summary>Adds and retires lanes until they are as planned.</summary>
    public void Apply(LanePlan plan)
    {
        lock (_gate) _plan = plan;
        Reconcile();
    }

    /// <summary>Replaces what was lost, once its time has come. To be called regularly.</summary>
    public void Reconcile()
    {
        lock (_gate)
        {
            for (int number = 0; number < _plan.Connections; number++)
            {
                if (number == _links.Count) _links.Add(new LaneLink(number));
                LaneLink link = _links[number];
                if (link.IsRunning || link.Failures >= MaxFailures || context.Time.GetTimestamp() < link.RetryAt) continue;
                link.Begin();
                _ = context.Tasks.Run(stopping => RunLinkAsync(link, stopping));
            }

            foreach (LaneLink link in _links)
            {
                int wanted = link.Number < _plan.Connections ? _plan.StreamsPerConnection : 0;
                if (wanted == 0) link.Retire();
                if (!link.IsOpen) continue;
                for (int lanes = link.ActiveLanes; lanes < wanted && HasRoom; lanes++)
                {
                    var lane = new Lane((ushort)_nextLane++, link);
                    _lanes.Add(lane.Number, lane);
                    link.Add(lane);
                    _ = context.Tasks.Run(stopping => RunLaneAsync(lane, stopping));
                }

                link.RetireLanes(wanted);
            }
        }
    }

    /// <summary>The paths in use, with the connection's number; each is the same object as long as its connection lives.</summary>
    public List<(int Number, ITransferPath Path)> Paths()
    {
        lock (_gate) return [.. _links.Where(static link => link.Path is not null).Select(static link => (link.Number, link.Path!))];
    }

    /// <summary>The receiver has taken so many chunks of a lane.</summary>
    public void OnTaken(LaneCount count)
    {
        if (!Find(count.Lane).Sent.Confirm(count.Chunks)) throw Miscounted(count);
    }

    /// <summary>The receiver has taken so many chunks of a lane, and takes no more.</summary>
    public void OnEnded(LaneCount count)
    {
        Lane lane = Find(count.Lane);
        if (!lane.Sent.Confirm(count.Chunks)) throw Miscounted(count);
        lane.End();
    }

    // Under the gate.
    private bool HasRoom => _lanes.Count < TransferProtocol.MaxLanes && _nextLane <= ushort.MaxValue;

    private static TransferException Miscounted(LaneCount count) =>
        TransferProtocol.Violation($"the receiver claims {count.Chunks} chunks of data stream {count.Lane}, which had another number");

    private Lane Find(ushort number)
    {
        lock (_gate)
        {
            return _lanes.TryGetValue(number, out Lane? lane)
                ? lane : throw TransferProtocol.Violation($"the receiver counts chunks of data stream {number}, which is not open");
        }
    }

    /// <summary>One connection's life, from the dial to the end of its last lane.</summary>
    private async Task RunLinkAsync(LaneLink link, CancellationToken stopping)
    {
        ITransferConnection? connection = null;
        try
        {
            if (link.Number > 0) connection = await context.Network.ConnectAsync(Transfer.Peer, stopping).ConfigureAwait(false);
            lock (_gate) link.Open(connection);
            Reconcile();
            await link.Finished.WaitAsync(stopping).ConfigureAwait(false);
        }
        catch (TransportException e)
        {
            lock (_gate) _refused = e.Message;
            Failed(link);
        }
        finally
        {
            if (connection is not null) await connection.DisposeAsync().ConfigureAwait(false);
            lock (_gate) link.End();
        }

        Reconcile();
    }

    private async Task RunLaneAsync(Lane lane, CancellationToken stopping)
    {
        SendLane? sender = null;
        try
        {
            await SendAsync(lane, made => sender = made, stopping).ConfigureAwait(false);
        }
        catch (Exception) when (stopping.IsCancellationRequested && context.Completed.IsCompleted)
        {
            // It all arrived, even where this lane had not heard yet that its last write did.
            Transfer.Meter.AddMoved(sender?.Missing ?? 0);
            throw;
        }

        GiveBack(lane, sender?.Missing ?? 0);
        Finish(lane);
    }

    /// <summary>From the lane's first byte to the receiver's word that it has ended; lost or not.</summary>
    private async Task SendAsync(Lane lane, Action<SendLane> made, CancellationToken stopping)
    {
        // Ends too when the receiver has ended the lane, which it does first where it notices a loss first.
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(stopping, lane.Stopped);
        bool begun = false;
        try
        {
            ITransferStream stream = lane.Link.Connection is { } own
                ? await own.OpenStreamAsync(TransferProtocol.DataId, stop.Token).ConfigureAwait(false)
                : await context.Network.OpenStreamAsync(Transfer.Peer, TransferProtocol.DataId, stop.Token).ConfigureAwait(false);
            begun = true;
            await using (stream.ConfigureAwait(false))
            {
                lock (_gate) lane.Link.Path ??= Tune(lane.Link, stream.Path);
                using SendThrottle.Lane throttle = context.Throttle.AddLane(lane.Link.Number);
                using StageMeter.Clock clock = Transfer.Stages.Start();
                var sender = new SendLane(stream.Output, context.Chunks, context.Works, lane.Sent, throttle, clock, Transfer.Meter);
                made(sender);
                await sender.RunAsync(new Attach(session, lane.Number), lane.Retiring, stop.Token).ConfigureAwait(false);
                await stream.Output.CompleteAsync().ConfigureAwait(false);
                await lane.Ended.WaitAsync(stopping).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (!stopping.IsCancellationRequested
            && e is OperationCanceledException or TransferException { Error: TransferError.ConnectionLost }
                or TransportException { Error: not (TransportError.UnsupportedProtocol or TransportError.Aborted) })
        {
            lane.IsLost = true;
        }

        if (lane.IsLost && begun)
        {
            if (!lane.Ended.IsCompleted) context.Control.Post(MessageType.LaneLost, new LaneNumber(lane.Number));
            await lane.Ended.WaitAsync(stopping).ConfigureAwait(false);
        }
    }

    /// <summary>What did not arrive is read and sent again, by whichever lane comes first.</summary>
    private void GiveBack(Lane lane, int missing)
    {
        IReadOnlyList<SentChunk> open = lane.Sent.TakeOpen();
        long counted = 0;
        for (int i = open.Count - 1; i >= 0; i--)
        {
            int uncounted = Math.Min(missing, open[i].Length);
            missing -= uncounted;
            counted += open[i].Length - uncounted;
        }

        Transfer.Meter.AddPresent(-counted);
        // These arrived, although their write failed.
        Transfer.Meter.AddMoved(missing);
        foreach (SentChunk chunk in open)
        {
            if (context.State.HasFailed(chunk.FileId)) continue;
            if (context.State.TryGetStream(chunk.FileId, out OutgoingStream? stream)) stream.Repair(chunk.Index);
            else context.Plan.AddRepair(chunk.FileId, chunk.Index);
        }
    }

    private void Finish(Lane lane)
    {
        lock (_gate)
        {
            _lanes.Remove(lane.Number);
            if (lane.Sent.Confirmed > 0) lane.Link.Failures = 0;
        }

        bool gaveUp = lane.IsLost && Failed(lane.Link);
        lock (_gate) lane.Link.Remove(lane);
        Reconcile();
        if (gaveUp && lane.Link.Number == 0)
            throw new TransferException(TransferError.ConnectionLost, "data streams of the first connection are lost again and again");
    }

    /// <summary>True: it is not tried again.</summary>
    private bool Failed(LaneLink link)
    {
        lock (_gate)
        {
            link.Retire();
            double wait = FirstRetry.TotalSeconds * (1 << Math.Min(16, link.Failures));
            link.RetryAt = context.Time.GetTimestamp() + (long)(wait * context.Time.TimestampFrequency);
            return ++link.Failures >= MaxFailures;
        }
    }

    /// <summary>Requests go over the shared connection, so bulk is not to fill its buffers.</summary>
    private ITransferPath Tune(LaneLink link, ITransferPath path)
    {
        Transfer.Wire.Track(path.Counters);
        if (link.Number == 0 && path.Socket?.TrySetNotSentLimit(PathTuning.NotSentBytes) == true)
            Transfer.Tuning.Update(static report => report with { NotSentLimit = PathTuning.NotSentBytes });
        return path;
    }
}
