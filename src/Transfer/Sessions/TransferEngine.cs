using FastShare.Transfer.Scheduling;
using FastShare.Transfer.Telemetry;
using FastShare.Transport.Buffers;
using FastShare.Transport.Identity;
using Microsoft.Extensions.Logging;

namespace FastShare.Transfer.Sessions;

/// <summary>Every transfer of a node, in both directions, over some network. Thread-safe.</summary>
internal sealed partial class TransferEngine : IAsyncDisposable
{
    private readonly ITransferNetwork _network;
    private readonly TimeProvider _time;
    private readonly BlockPool _blocks;
    private readonly string _name;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskGroup _outgoing;
    private readonly PeerShares _shares;
    private readonly TransferInstruments _instruments;
    private readonly NodeMemory _memory;

    public TransferEngine(
        ITransferNetwork network,
        string name,
        ConsentPolicy? consent,
        IncomingLimits limits,
        TimeProvider time,
        BlockPool blocks,
        ILoggerFactory loggers,
        TransferInstruments? instruments = null,
        long maxBufferedBytes = FastShareOptions.DefaultMaxBufferedBytes)
    {
        _memory = new NodeMemory(maxBufferedBytes);
        _network = network;
        _name = name;
        _time = time;
        _blocks = blocks;
        _logger = loggers.CreateLogger("FastShare.Transfer");
        _outgoing = new TaskGroup(CancellationToken.None);
        _shares = new PeerShares(time);
        Rate = new TokenBucket(time, 0);
        _instruments = instruments ?? TransferInstruments.Shared;
        Incoming = new IncomingTransfers(limits, consent, time, blocks, _logger, _instruments);
    }

    /// <summary>What all outgoing transfers send together, at most.</summary>
    public TokenBucket Rate { get; }

    /// <summary>Where inbound streams go.</summary>
    public IncomingTransfers Incoming { get; }

    /// <summary>To be signalled when a peer may have become reachable: waiting transfers try at once.</summary>
    public Pulse PeersChanged { get; } = new();

    public Transfer Send(PeerId peer, IReadOnlyList<string> paths, SendOptions options) =>
        Start(peer, options, transfer => SendState.ForPaths(transfer, paths, options, _name, _blocks, _time));

    /// <summary>The transfer disposes the source's stream, however it ends.</summary>
    public Transfer Send(PeerId peer, TransferSource source, SendOptions options) =>
        Start(peer, options, transfer => SendState.ForStream(transfer, source, options, _name, _blocks, _time));

    private Transfer Start(PeerId peer, SendOptions options, Func<Transfer, SendState> prepare)
    {
        ObjectDisposedException.ThrowIf(_stop.IsCancellationRequested, this);
        var transfer = new Transfer(peer, isIncoming: false, _time, _instruments);
        SendState state = prepare(transfer);
        transfer.Priority = options.Priority;
        transfer.RateLimit = options.RateLimit;
        _ = _outgoing.Run(_ => RunAsync(state));
        return transfer;
    }

    /// <summary>One outgoing transfer, with its place among those to the same peer.</summary>
    private async Task RunAsync(SendState state)
    {
        Transfer transfer = state.Transfer;
        FairShare share = _shares.Join(transfer.Peer);
        Task reports = state.Options.Progress is { } progress ? Task.Run(() => ReportAsync(transfer, progress)) : Task.CompletedTask;
        try
        {
            var throttle = new SendThrottle(transfer.Gate, share, transfer.Rate, Rate, () => (int)transfer.Priority);
            var outgoing = new OutgoingTransfer(state, _network, throttle, share.TransferPlaces, _memory, PeersChanged, _time, _blocks, _logger);
            await outgoing.RunAsync(_stop.Token).ConfigureAwait(false);
        }
        finally
        {
            _shares.Leave(transfer.Peer);
            await reports.ConfigureAwait(false);
        }
    }

    private async Task ReportAsync(Transfer transfer, IProgress<TransferProgress> progress)
    {
        try
        {
            await transfer.ReportAsync(progress).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            LogProgressFailed(_logger, transfer.Peer, e);
        }
    }

    /// <summary>Ends every transfer resumable and waits for them.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _outgoing.DisposeAsync().ConfigureAwait(false);
        await Incoming.DisposeAsync().ConfigureAwait(false);
        Rate.Dispose();
    }

    [LoggerMessage(2004, LogLevel.Warning, "the progress of the transfer to {Peer} could not be told and is told no more")]
    private static partial void LogProgressFailed(ILogger logger, PeerId peer, Exception failure);
}
