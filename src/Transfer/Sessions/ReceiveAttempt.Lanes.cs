using FastShare.Transfer.Framing;
using FastShare.Transfer.Scheduling;
using FastShare.Transfer.Verification;
using FastShare.Transport;
using FastShare.Transport.Telemetry;

namespace FastShare.Transfer.Sessions;

// The data streams of one attempt, from whichever connections of the peer they come.
internal sealed partial class ReceiveAttempt
{
    /// <summary>
    /// What a sender may be ahead of the storage, per data stream, in bytes: chunks of 1 MiB, one being written and some on their way.
    /// With yamux's first window of 256 KiB sender and receiver would work in turn instead of at the same time.
    /// </summary>
    private const int LaneWindow = 4 << 20;

    /// <summary>What was taken is confirmed after so many chunks, or so many bytes: so much a sender remembers at least.</summary>
    private const int ConfirmChunks = 64, ConfirmBytes = 4 << 20;

    private readonly Dictionary<ushort, ReceiveLane> _lanes = []; // guarded by _gate: those that are open
    private readonly HashSet<ushort> _usedLanes = []; // guarded by _gate: at most every number there is
    private int _storing; // interlocked: lanes that wait for storage, for a pause's end or for the manifest

    /// <summary>
    /// Takes chunks from a data stream until it ends. A stream that is lost costs only itself: the sender is told how far it came, and
    /// sends the rest again.
    /// </summary>
    /// <exception cref="TransferException">The lane's number was used before, or there are more than announced.</exception>
    public Task RunLaneAsync(ITransferStream stream, Attach attach)
    {
        var lane = new ReceiveLane(this, attach.Lane, stream.Path.Counters);
        lock (_gate)
        {
            if (_lanes.Count >= _offer.Lanes || !_usedLanes.Add(attach.Lane))
                throw TransferProtocol.Violation($"data stream {attach.Lane} was there before, or is one more than announced");
            _lanes.Add(attach.Lane, lane);
        }

        Transfer.Wire.Track(stream.Path.Counters);
        stream.WidenWindow(LaneWindow);
        return _tasks.Run(stopping => RunLaneAsync(lane, stream, stopping));
    }

    private async Task RunLaneAsync(ReceiveLane lane, ITransferStream stream, CancellationToken stopping)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(stopping, lane.Lost);
        using StageMeter.Clock clock = Transfer.Stages.Start();
        lane.Clock = clock;
        clock.Enter(TransferStage.Receiving);
        try
        {
            var receiver = new ChunkReceiver(stream.Input, lane, _blocks, clock);
            lane.Receiver = receiver;
            await receiver.RunAsync(stop.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (!stopping.IsCancellationRequested
            && e is OperationCanceledException or TransportException or TransferException { Error: TransferError.ConnectionLost })
        {
            // Ends within a chunk, or the sender says it is lost: what counts is how many chunks it brought.
        }

        lock (_gate) _lanes.Remove(lane.Number);
        _control.Writer.Post(MessageType.LaneEnded, new LaneCount(lane.Number, lane.Taken));
    }

    /// <summary>Ends the data streams that stand still (<see cref="Standstill"/>); once a second.</summary>
    private void CheckLanes()
    {
        lock (_gate)
        {
            foreach (ReceiveLane lane in _lanes.Values)
            {
                if (lane.StandsStill()) lane.Lose();
            }
        }
    }

    /// <summary>The sender has lost a data stream, which may not have been noticed here yet, or never have arrived.</summary>
    private void OnLaneLost(ushort number)
    {
        ReceiveLane? lane;
        lock (_gate)
        {
            // Neither open nor new: its end was told already.
            if (!_lanes.TryGetValue(number, out lane) && !_usedLanes.Add(number)) return;
        }

        if (lane is null) _control.Writer.Post(MessageType.LaneEnded, new LaneCount(number, 0));
        else lane.Lose();
    }

    /// <summary>One data stream's way to storage. Used by one loop, but for <see cref="Lose"/> and <see cref="StandsStill"/>.</summary>
    private sealed class ReceiveLane(ReceiveAttempt attempt, ushort number, ConnectionCounters? connection) : IChunkSink
    {
        private readonly CancellationTokenSource _lost = new(); // holds no timer, so it is not disposed
        private readonly Standstill _standstill = new(attempt._time);
        private ChunkReceiver? _receiver;
        private long _heard; // written by the loop: how often something arrived
        private IncomingFile? _file; // of the chunk that is expected; null: it is of a stream
        private long _confirmed;
        private int _unconfirmedBytes;

        public ushort Number => number;

        public CancellationToken Lost => _lost.Token;

        /// <summary>Chunks that need not come again: stored, known, or passed over. A wrong one is asked for by itself.</summary>
        public long Taken { get; private set; }

        public StageMeter.Clock? Clock { get; set; }

        /// <summary>Set before anything is received.</summary>
        public ChunkReceiver? Receiver
        {
            get => Volatile.Read(ref _receiver);
            set => Volatile.Write(ref _receiver, value);
        }

        public void Lose() => _ = _lost.CancelAsync();

        /// <summary>Whether the stream is to be given up. To be called regularly, by one loop.</summary>
        public bool StandsStill() => _standstill.Check(
            Receiver?.IsWithinChunk == true, Volatile.Read(ref _heard), connection?.Bytes(ConnectionStage.Receive) ?? 0);

        public void Heard()
        {
            Volatile.Write(ref _heard, _heard + 1);
            attempt._control.Liveness.Heard();
        }

        public bool Expects(in ChunkHeader header)
        {
            if (attempt._transfer.Expects(header, attempt._planned, out _file, out string? violation)) return true;
            Take(header.Length);
            if (violation is not null)
                attempt.Strike(header, WireCode.ProtocolViolation, TransferProtocol.Violation($"the sender sent {violation}"));
            return false;
        }

        public void Mismatched(in ChunkHeader header)
        {
            Take(header.Length);
            attempt.Strike(header, WireCode.VerificationFailed, new TransferException(
                TransferError.VerificationFailed, $"a chunk of file {header.FileId} at {header.Offset} does not match its digest"));
        }

        public async ValueTask StoreAsync(ChunkHeader header, ReadOnlyMemory<byte> payload, CancellationToken cancellationToken)
        {
            Interlocked.Increment(ref attempt._storing);
            try
            {
                ValueTask pass = attempt.Transfer.Gate.PassAsync(cancellationToken);
                if (!pass.IsCompletedSuccessfully) Clock?.Enter(TransferStage.HeldBack);
                await pass.ConfigureAwait(false);
                Clock?.Enter(TransferStage.Storing);
                IncomingFile? received = attempt.Store(_file, header, payload.Span);
                Clock?.Count(payload.Length);
                // Before anything is waited for: a lane that is lost then has brought this chunk.
                Take(header.Length);
                if (received is not null) await attempt.PublishAsync(received, Clock, cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                Clock?.Enter(TransferStage.Receiving);
                Interlocked.Decrement(ref attempt._storing);
            }
        }

        private void Take(int bytes)
        {
            Taken++;
            _unconfirmedBytes += bytes;
            if (Taken - _confirmed < ConfirmChunks && _unconfirmedBytes < ConfirmBytes) return;
            _confirmed = Taken;
            _unconfirmedBytes = 0;
            attempt._control.Writer.Post(MessageType.LaneTaken, new LaneCount(number, Taken));
        }
    }

    /// <param name="file">The chunk's; null: it is of a stream.</param>
    /// <param name="header">The chunk's.</param>
    /// <param name="payload">The chunk.</param>
    private IncomingFile? Store(IncomingFile? file, ChunkHeader header, ReadOnlySpan<byte> payload)
    {
        if (file is null)
        {
            if (_transfer.FindStream(header.FileId) is not { } stream) return null;
            if (!_transfer.TakeStreamed(stream, header, payload))
                Strike(header, WireCode.ProtocolViolation, TransferProtocol.Violation($"the sender sent a chunk of stream {header.FileId} twice"));
            return null;
        }

        if (!_transfer.TakeChunk(file, header, payload, out IncomingFile? received))
            Strike(header, WireCode.ProtocolViolation,
                TransferProtocol.Violation($"the sender sent a chunk of file {header.FileId} at {header.Offset} twice"));
        return received;
    }

    private async ValueTask PublishAsync(IncomingFile received, StageMeter.Clock? clock, CancellationToken cancellationToken)
    {
        _transfer.Publish(received);
        ValueTask room = _transfer.WaitForStorageAsync(cancellationToken);
        if (!room.IsCompletedSuccessfully) clock?.Enter(TransferStage.WaitingForDisk);
        await room.ConfigureAwait(false);
        if (!_transfer.Manifest.IsComplete) clock?.Enter(TransferStage.WaitingForPlan);
        await _transfer.WaitForManifestAsync(cancellationToken).ConfigureAwait(false);
    }
}
