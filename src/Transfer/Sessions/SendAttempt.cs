using System.Threading.Channels;
using FastShare.Transfer.Framing;
using FastShare.Transfer.Planning;
using FastShare.Transfer.Scheduling;
using FastShare.Transport.Buffers;
using FastShare.Transport.Identity;
using Microsoft.Extensions.ObjectPool;

namespace FastShare.Transfer.Sessions;

/// <summary>
/// One connection's worth of an outgoing transfer: offers, feeds the manifest, and once accepted runs read stages and lanes by
/// the receiver's plan. Ends when the receiver says that everything is settled, or with the reason why not.
/// </summary>
/// <remarks>
/// Memory: chunks between disk and connections take at most <see cref="SendOptions.MaxBufferedBytes"/>, whatever the sizes and speeds;
/// what was sent and is not confirmed is remembered by name only.
/// </remarks>
internal sealed class SendAttempt : IAsyncDisposable
{
    /// <summary>
    /// Chunks queued between stages and lanes: enough that neither waits for the other's hiccups where chunks are small. Where they are
    /// large the memory budget is what limits.
    /// </summary>
    private const int QueuedChunks = 64;

    /// <summary>
    /// Chunks that a receiver may ask for again on one connection: those it found damaged in its staging after a crash, of which a
    /// checkpoint's worth is usual. It ends the session itself at the second chunk that arrives wrong.
    /// </summary>
    private const int MaxRepairs = 1 << 20;

    private readonly SendState _state;
    private readonly ITransferNetwork _network;
    private readonly ControlSession _control;
    private readonly BlockPool _blocks;
    private readonly bool _resume;
    private readonly PlanQueue _plan = new();
    private readonly ObjectPool<ChunkWork> _works = ChunkWork.CreatePool();
    private readonly Channel<ChunkWork> _chunks = Channel.CreateBounded<ChunkWork>(new BoundedChannelOptions(QueuedChunks));
    private readonly NodeMemory _memory;
    private readonly MemoryBudget _budget;
    private readonly SendThrottle _throttle;
    private readonly TimeProvider _time;
    private readonly HashSet<int> _stages = []; // guarded by _gate: those that run
    private readonly TaskGroup _tasks;
    private readonly TaskCompletionSource<uint> _known = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _complete = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _gate = new();
    private UInt128? _session; // the control reader's
    private long _present; // the control reader's: bytes the plan says the receiver has
    private bool _toldResumed; // the control reader's
    private readonly EntrySet _compared = new(), _wanted = new(); // the control reader's: files to be compared, and those that differed
    private readonly Verification.Digester _digester = new(); // the control reader's
    private int _repairs; // the control reader's
    private bool _endPosted; // guarded by _gate
    private int _targetStages = 1; // guarded by _gate
    private LaneSet? _lanes; // the control reader's

    public SendAttempt(
        SendState state,
        ITransferNetwork network,
        ITransferStream control,
        bool resume,
        SendThrottle throttle,
        NodeMemory memory,
        TimeProvider time,
        BlockPool blocks,
        CancellationToken cancellationToken)
    {
        _state = state;
        _network = network;
        _control = new ControlSession(control, time);
        _resume = resume;
        _blocks = blocks;
        _tasks = new TaskGroup(cancellationToken);
        _memory = memory;
        _memory.Join();
        _budget = new MemoryBudget(state.Options.MaxBufferedBytes, memory);
        _throttle = throttle;
        _time = time;
    }

    private Transfer Transfer => _state.Transfer;

    /// <summary>Whether the receiver accepted on this connection.</summary>
    public bool Accepted => _session is not null;

    /// <summary>Runs to the end. Call once, then dispose.</summary>
    /// <exception cref="TransferException">The transfer ended, or (<see cref="TransferError.ConnectionLost"/>) this connection
    /// did.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        _control.Writer.Post(
            MessageType.Offer,
            new Offer(
                _state.Key, _state.Instance, _resume, ChunkSize.DefaultBits, TransferProtocol.MaxLanes, _state.SenderName,
                _state.Options.CompareContent));
        _ = _tasks.Run(_control.WatchPumpAsync);
        _ = _tasks.Run(ReadControlAsync);
        _ = _tasks.Run(FeedManifestAsync);
        _ = _tasks.Run(stopping => _control.Liveness.RunAsync(null, stopping));
        await Task.WhenAny(_complete.Task, _tasks.Failed, Task.Delay(Timeout.Infinite, cancellationToken)).ConfigureAwait(false);
        if (_complete.Task.IsCompleted)
        {
            // Lanes end in order, then the streams.
            _plan.Complete();
            _chunks.Writer.TryComplete();
            await _tasks.StopAsync().ConfigureAwait(false);
            await _control.FinishAsync(awaitEnd: false).ConfigureAwait(false);
            return;
        }

        Exception failure = _tasks.Failed.IsCompleted
            ? await _tasks.Failed.ConfigureAwait(false) : new OperationCanceledException(cancellationToken);
        // Queued before the data streams are reset, so that the reason hardly ever comes after.
        bool told = PostGoodbye(failure);
        await _tasks.StopAsync().ConfigureAwait(false);
        if (told) await _control.FinishAsync(awaitEnd: true).ConfigureAwait(false);
        else await _control.AbandonIfSilentAsync().ConfigureAwait(false);
        System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
    }

    public async ValueTask DisposeAsync()
    {
        await _tasks.DisposeAsync().ConfigureAwait(false);
        while (_chunks.Reader.TryRead(out ChunkWork? work)) _works.Return(work);
        _memory.Leave();
        await _control.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>Tells the receiver, unless it knows or cannot be told.</summary>
    private bool PostGoodbye(Exception failure)
    {
        TransferException? why = failure switch
        {
            OperationCanceledException => new TransferException(TransferError.Cancelled, "the sender cancelled"),
            TransferException { Error: not TransferError.ConnectionLost } e => e,
            _ => null,
        };
        if (why is null) return false;
        _control.PostEnding(MessageType.Cancel, why);
        return true;
    }

    private async Task FeedManifestAsync(CancellationToken cancellationToken)
    {
        uint next = _resume ? await _known.Task.WaitAsync(cancellationToken).ConfigureAwait(false) : 0;
        if (next > _state.Manifest.Count)
            throw TransferProtocol.Violation($"the receiver claims to know {next} entries of {_state.Manifest.Count}");
        while (await _state.Manifest.WaitBeyondAsync(next, cancellationToken).ConfigureAwait(false))
        {
            await _control.Writer.WaitForRoomAsync(cancellationToken).ConfigureAwait(false);
            _control.Writer.Post(MessageType.ManifestPage, new Page(_state.Manifest.PageFrom(next, out next)));
        }

        (long files, long total) = _state.Manifest.Totals;
        _control.Writer.Post(MessageType.ManifestEnd, new ManifestEnd(next, files, total));
        EndIfDone();
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
                case MessageType.Known when _resume && !_known.Task.IsCompleted:
                    _known.SetResult(Number.Parse(message.Type, message.Body).Value);
                    break;
                case MessageType.Accept when _session is null:
                    Start(Accept.Parse(message.Body).Session);
                    break;
                case MessageType.Refuse when _session is null:
                    throw EndedByPeer(Ending.Parse(message.Type, message.Body), "refused");
                case MessageType.Cancel:
                    throw EndedByPeer(Ending.Parse(message.Type, message.Body), "ended the transfer");
                case MessageType.Plan when _session is not null:
                    OnPlan(PlanMessage.Parse(message.Body));
                    break;
                case MessageType.FileDone when _session is not null:
                    OnDone(OfferedFile(Number.Parse(message.Type, message.Body).Value));
                    break;
                case MessageType.FileWanted when _session is not null && _state.Options.CompareContent:
                    OnWanted(OfferedFile(Number.Parse(message.Type, message.Body).Value));
                    break;
                case MessageType.FileRejected when _session is not null:
                    OnRejected(FileFailure.Parse(message.Type, message.Body));
                    break;
                case MessageType.ChunkRejected when _session is not null:
                    OnChunkRejected(ChunkRejected.Parse(message.Body));
                    break;
                case MessageType.StreamTaken when _session is not null:
                    OnStreamTaken(StreamTaken.Parse(message.Body));
                    break;
                case MessageType.LaneTaken when _lanes is not null:
                    _lanes.OnTaken(LaneCount.Parse(message.Type, message.Body));
                    break;
                case MessageType.LaneEnded when _lanes is not null:
                    _lanes.OnEnded(LaneCount.Parse(message.Type, message.Body));
                    break;
                case MessageType.Complete when _session is not null && _state.Manifest.IsComplete:
                    OnComplete(Complete.Parse(message.Body));
                    return;
                default:
                    throw TransferProtocol.Violation($"the receiver sent an unexpected message ({message.Type})");
            }
        }
    }

    private void Start(UInt128 session)
    {
        _session = session;
        Transfer.Meter.ResetBytes();
        Transfer.Meter.State = TransferState.Running;
        if (!_state.WasAccepted) Transfer.Tell(new TransferEvent.Accepted());
        _state.WasAccepted = true;
        _lanes = new LaneSet(
            new LaneContext(_state, _network, _control.Writer, _plan, _chunks.Reader, _works, _throttle, _tasks, _complete.Task, _time), session);
        var tuning = new LaneTuning(_state, _lanes, _throttle, Apply, _time);
        tuning.Begin();
        _ = _tasks.Run(tuning.RunAsync);
    }

    /// <summary>Adapts stages and lanes: more are started, superfluous ones end between two files or chunks.</summary>
    private void Apply(LanePlan plan)
    {
        lock (_gate) _targetStages = plan.Stages;
        RunStages();
        _lanes!.Apply(plan);
    }

    private void RunStages()
    {
        lock (_gate)
        {
            for (int number = 0; number < _targetStages; number++)
            {
                int stage = number;
                if (_stages.Add(stage)) _ = _tasks.Run(stopping => RunStageAsync(stage, stopping));
            }
        }
    }

    private async Task RunStageAsync(int number, CancellationToken stopping)
    {
        using (StageMeter.Clock clock = Transfer.Stages.Start())
        {
            await new ReadStage(_state, _plan, _chunks.Writer, _works, _control.Writer, _blocks, _budget, clock, _time)
                .RunAsync(() => IsWanted(number), EndIfDone, stopping).ConfigureAwait(false);
        }

        lock (_gate)
        {
            _stages.Remove(number);
            // Wanted again while it ended.
            if (number >= _targetStages || _plan.IsCompleted) return;
        }

        RunStages();
    }

    private bool IsWanted(int stage)
    {
        lock (_gate) return stage < _targetStages;
    }

    private void OnPlan(PlanMessage plan)
    {
        if (plan.First + (ulong)plan.Count > _state.Manifest.Count)
            throw TransferProtocol.Violation("the receiver's plan covers entries that were not offered");
        foreach (PlannedFile planned in plan.Exceptions)
        {
            if (planned.Count > 1)
            {
                LeaveOut(planned);
                continue;
            }

            ManifestEntry entry = _state.Manifest.EntryOf(planned.Id);
            if (!entry.HasContent)
                throw TransferProtocol.Violation("the receiver's plan asks for the content of something that is no file");
            if (planned.IsCompared)
            {
                if (!_state.Options.CompareContent || entry.Kind != EntryKind.File)
                    throw TransferProtocol.Violation("the receiver wants to compare files, which was not offered");
                _compared.Add(entry.Id);
                continue;
            }

            long present = entry.Kind == EntryKind.Stream || planned.StreamFrom is not null
                ? PresentOfStream(entry, planned) : entry.Size - MissingBytes(entry, planned);
            _present += present;
            Transfer.Meter.AddPresent(present);
            if (planned is { Ranges.Count: 0, StreamFrom: null, IsPending: false } && !_state.HasFailed(entry.Id)) _state.SettleDelivered(entry);
        }

        _plan.Add(plan);
        if (!_toldResumed && _present > 0 && _plan.Covered == _state.Manifest.Count)
        {
            _toldResumed = true;
            Transfer.Tell(new TransferEvent.Resumed(_present));
        }

        EndIfDone();
    }

    /// <summary>Entries that follow one another, of which the receiver wants nothing; what has no content may be among them.</summary>
    private void LeaveOut(PlannedFile run)
    {
        long present = 0;
        for (uint id = run.Id; id < run.Id + run.Count; id++)
        {
            ManifestEntry entry = _state.Manifest.EntryOf(id);
            if (!entry.HasContent) continue;
            present += entry.Kind == EntryKind.Stream ? PresentOfStream(entry, run) : entry.Size;
            if (!_state.HasFailed(id)) _state.SettleDelivered(entry);
        }

        _present += present;
        Transfer.Meter.AddPresent(present);
    }

    private static long MissingBytes(ManifestEntry entry, PlannedFile planned)
    {
        uint chunkSize = ChunkSize.Of(entry.Size);
        long chunks = ChunkSize.Count(entry.Size, chunkSize), missing = 0;
        foreach (ChunkRange range in planned.Ranges)
        {
            if (range.First + range.Count > chunks)
                throw TransferProtocol.Violation("the receiver's plan asks for chunks behind a file's end");
            missing += Math.Min(entry.Size, (range.First + range.Count) * chunkSize) - range.First * chunkSize;
        }

        return missing;
    }

    /// <summary>What the receiver has of an entry that it wants as a stream.</summary>
    private long PresentOfStream(ManifestEntry entry, PlannedFile planned)
    {
        if (planned.Ranges.Count > 0) throw TransferProtocol.Violation("the receiver's plan asks for parts of a stream");
        if (planned.StreamFrom is { } from)
        {
            return from <= long.MaxValue / ChunkSize.OfStream() ? from * ChunkSize.OfStream()
                : throw TransferProtocol.Violation("the receiver's plan asks for chunks behind a stream's end");
        }

        // All of it is there, or, told before, it is not wanted.
        if (_state.HasFailed(entry.Id)) return 0;
        return (EndOf(entry) ?? throw TransferProtocol.Violation("the receiver claims to have a stream that has not ended")).Size;
    }

    /// <summary>Size and digest of an entry sent as a stream, if it has ended.</summary>
    private (long Size, UInt128 Root)? EndOf(ManifestEntry entry) =>
        _state.TryGetStream(entry.Id, out OutgoingStream? stream) ? stream.End : null;

    private void OnStreamTaken(StreamTaken taken)
    {
        ManifestEntry entry = KnownEntry(taken.Id);
        if (_state.TryGetStream(entry.Id, out OutgoingStream? stream))
        {
            if (!stream.Confirm(taken.Chunks))
                throw TransferProtocol.Violation($"the receiver claims {taken.Chunks} chunks of {PeerText.Escape(entry.Path)}");
        }
        else if (!_state.HasFailed(entry.Id))
        {
            throw TransferProtocol.Violation("the receiver took chunks of something that is not sent as a stream");
        }
    }

    private void OnDone(ManifestEntry entry)
    {
        string digest = "";
        long size = entry.Size;
        if (_state.TryGetBegun(entry.Id, out OutgoingFile? file))
        {
            digest = Verification.Digester.ToText(file.Root(_digester));
        }
        else if (_state.TryGetStream(entry.Id, out OutgoingStream? stream))
        {
            (size, UInt128 root) = stream.End ?? throw TransferProtocol.Violation("the receiver claims to have a stream that has not ended");
            digest = Verification.Digester.ToText(root);
        }

        if (!_state.SettleDelivered(entry)) return;
        // Equal to what is there: as a file whose size and time are the same, it never was on its way.
        if (_compared.Contains(entry.Id) && !_wanted.Contains(entry.Id)) Transfer.Meter.AddPresent(entry.Size);
        else Transfer.Tell(new TransferEvent.FileCompleted(entry.Path, size, digest));
    }

    /// <summary>The receiver has another file of that name and size. Told again where a connection was lost in between.</summary>
    private void OnWanted(ManifestEntry entry)
    {
        if (entry.Kind != EntryKind.File) throw TransferProtocol.Violation("the receiver compares something that is no file");
        if (!_wanted.Add(entry.Id) || _state.HasFailed(entry.Id)) return;
        _state.Forget(entry.Id);
        _plan.AddWanted(entry.Id);
    }

    private void OnRejected(FileFailure failure)
    {
        ManifestEntry entry = KnownEntry(failure.Id);
        string why = $"the receiver rejected {PeerText.Escape(entry.Path)}: {PeerText.Escape(failure.Text)}";
        _state.SettleFailed(entry, new TransferException(failure.Code.ToError(), why) { Peer = Transfer.Peer, Path = entry.Path });
    }

    private void OnChunkRejected(ChunkRejected rejected)
    {
        ManifestEntry entry = PlannedEntry(rejected.Id);
        // The receiver did not know yet: it has been told, or will be.
        if (_state.HasFailed(entry.Id)) return;
        if (_state.TryGetStream(entry.Id, out OutgoingStream? stream))
        {
            if (rejected.Offset % stream.ChunkSize != 0 || ++_repairs > MaxRepairs || rejected.Code != WireCode.VerificationFailed
                || !stream.Repair(rejected.Offset / stream.ChunkSize))
                throw TransferProtocol.Violation($"the receiver rejected a chunk of {PeerText.Escape(entry.Path)} without need");
            Transfer.Meter.AddPresent(-stream.LengthOf(rejected.Offset / stream.ChunkSize));
            return;
        }

        uint chunkSize = ChunkSize.Of(entry.Size);
        if (rejected.Offset % chunkSize != 0 || rejected.Offset >= entry.Size || ++_repairs > MaxRepairs
            || !_state.TryGetBegun(entry.Id, out _))
            throw TransferProtocol.Violation($"the receiver rejected a chunk of {PeerText.Escape(entry.Path)} without need");
        if (rejected.Code != WireCode.VerificationFailed)
            throw TransferProtocol.Violation($"the receiver does not take a chunk of {PeerText.Escape(entry.Path)} ({rejected.Code})");
        Transfer.Meter.AddPresent(-ChunkSize.LengthOf(rejected.Offset / chunkSize, entry.Size, chunkSize));
        _plan.AddRepair(entry.Id, rejected.Offset / chunkSize);
    }

    private void OnComplete(Complete complete)
    {
        // A receiver that had finished before the connection was lost does not list its files again.
        for (uint id = 0; id < _state.Manifest.Count; id++)
        {
            // A stream is settled only once it has ended.
            if (_state.IsSettled(id)) continue;
            ManifestEntry entry = _state.Manifest.EntryOf(id);
            if (!entry.HasContent) continue;
            if (entry.Kind == EntryKind.Stream && !_state.HasFailed(id) && _state.TryGetStream(id, out OutgoingStream? stream) && stream.End is null)
                throw TransferProtocol.Violation("the receiver ends the transfer before the stream has ended");
            _state.SettleDelivered(entry);
        }

        if (complete.Files > _state.Manifest.Totals.Files) throw TransferProtocol.Violation("the receiver claims more files than were offered");
        _complete.SetResult();
    }

    private void EndIfDone()
    {
        lock (_gate)
        {
            if (_endPosted || !_state.Manifest.IsComplete || _plan.Covered < _state.Manifest.Count || !_plan.IsDrained) return;
            _endPosted = true;
        }

        _control.Writer.Post(MessageType.End);
    }

    /// <summary>A file that the receiver may speak of before its plan does: it works on files while it plans.</summary>
    private ManifestEntry OfferedFile(uint id)
    {
        ManifestEntry? entry = id < _state.Manifest.Count ? _state.Manifest.EntryOf(id) : null;
        return entry is { HasContent: true }
            ? entry : throw TransferProtocol.Violation("the receiver speaks of a file that was not offered");
    }

    private ManifestEntry PlannedEntry(uint id)
    {
        ManifestEntry? entry = id < _plan.Covered ? _state.Manifest.EntryOf(id) : null;
        return entry is { HasContent: true }
            ? entry : throw TransferProtocol.Violation("the receiver speaks of a file that it did not ask for");
    }

    /// <summary>An entry that was offered; a receiver goes on taking of a stream before it has planned anew.</summary>
    private ManifestEntry KnownEntry(uint id) => id < _state.Manifest.Count
        ? _state.Manifest.EntryOf(id) : throw TransferProtocol.Violation("the receiver speaks of a file that was not offered");

    private EndedByPeerException EndedByPeer(Ending ending, string what)
    {
        string text = ending.Text.Length > 0 ? PeerText.Escape(ending.Text) : ending.Code.ToString();
        return new EndedByPeerException(new TransferException(
            ending.Code.ToError(), $"the receiver {Transfer.Peer.ToShortString()} {what}: {text}")
        { Peer = Transfer.Peer });
    }
}
