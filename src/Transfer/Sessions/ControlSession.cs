using FastShare.Transfer.Framing;
using FastShare.Transport;

namespace FastShare.Transfer.Sessions;

/// <summary>
/// The control stream of one connection's worth of a transfer: both directions, keep-alives as long as it lives, and the orderly end.
/// Disposed by who made it.
/// </summary>
internal sealed class ControlSession : IAsyncDisposable
{
    /// <summary>How long the last messages may take to leave, and the other side to go: an orderly end is a courtesy.</summary>
    private static readonly TimeSpan Farewell = TimeSpan.FromSeconds(2);

    /// <summary>How long the loss of a data stream waits for the control stream's word.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(1);

    private readonly ITransferStream _stream;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _pump;
    private readonly Task _talk;

    public ControlSession(ITransferStream stream, TimeProvider time)
    {
        _stream = stream;
        _time = time;
        Reader = new ControlReader(stream.Input);
        Writer = new ControlWriter(stream.Output);
        Liveness = new Liveness(time);
        _pump = Task.Run(() => Writer.PumpAsync(_stop.Token));
        _talk = TalkAsync();
    }

    public ControlReader Reader { get; }

    public ControlWriter Writer { get; }

    public Liveness Liveness { get; }

    /// <summary>The connection's.</summary>
    public ITransferPath Path => _stream.Path;

    /// <summary>Ends with what ended the writing direction.</summary>
    public Task WatchPumpAsync(CancellationToken cancellationToken) => _pump.WaitAsync(cancellationToken);

    /// <summary>The next message; an end without goodbye is a lost connection.</summary>
    public async ValueTask<ControlMessage> ReadAsync(CancellationToken cancellationToken)
    {
        Liveness.Listen(true);
        ControlMessage? message = await Reader.ReadAsync(cancellationToken).ConfigureAwait(false);
        Liveness.Heard();
        Liveness.Listen(false);
        return message ?? throw new TransferException(TransferError.ConnectionLost, "the other side closed the control stream");
    }

    /// <summary>
    /// Runs a data stream. The other side ends its data streams when it ends the transfer, and the reason, on the control stream, may
    /// come after: so a lost data stream is told only when the control stream has nothing better to say.
    /// </summary>
    public async Task RunLaneAsync(Func<CancellationToken, Task> lane, CancellationToken cancellationToken)
    {
        try
        {
            await lane(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is TransportException or TransferException { Error: TransferError.ConnectionLost })
        {
            await Task.Delay(Grace, _time, cancellationToken).ConfigureAwait(false);
            throw;
        }
    }

    /// <inheritdoc cref="ITransferStream.PingAsync"/>
    public ValueTask PingAsync(CancellationToken cancellationToken) => _stream.PingAsync(cancellationToken);

    /// <summary>Gives up the connection if the other side fell silent: the next attempt needs another one.</summary>
    public async ValueTask AbandonIfSilentAsync()
    {
        if (Liveness.IsSilent) await _stream.AbandonConnectionAsync().ConfigureAwait(false);
    }

    /// <summary>Tells the other side how this ends. The last message.</summary>
    public void PostEnding(MessageType type, TransferException why) =>
        Writer.Post(type, new Ending(why.Error.ToWire(), why.Message));

    /// <summary>
    /// Sends what is queued, ends the writing direction, and, if <paramref name="awaitEnd"/>, waits until the other side ended its
    /// own. Whatever goes wrong, or takes longer than 2 s, is cut short. No reader may be running.
    /// </summary>
    public async Task FinishAsync(bool awaitEnd)
    {
        Writer.Finish();
        using var deadline = new CancellationTokenSource(Farewell, _time);
        try
        {
            await _pump.WaitAsync(deadline.Token).ConfigureAwait(false);
            await _stream.Output.CompleteAsync().ConfigureAwait(false);
            while (awaitEnd && await Reader.ReadAsync(deadline.Token).ConfigureAwait(false) is not null)
            {
            }
        }
        catch (Exception)
        {
            // Why the transfer ends is told elsewhere, and must be told whatever becomes of the courtesy.
            _stream.Reset();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _talk.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        try
        {
            await _pump.ConfigureAwait(false);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            // Told through WatchPumpAsync while the attempt ran.
        }

        await _stream.DisposeAsync().ConfigureAwait(false);
        _stop.Dispose();
    }

    /// <summary>
    /// Says regularly that this side lives: from the first moment on, for an offer may have to wait until an earlier run's storage is
    /// closed, as long as the disk likes.
    /// </summary>
    private async Task TalkAsync()
    {
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(TransferProtocol.KeepAliveSeconds), _time);
        while (await timer.WaitForNextTickAsync(_stop.Token).ConfigureAwait(false)) Writer.Post(MessageType.KeepAlive);
    }
}
