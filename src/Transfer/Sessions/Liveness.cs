using FastShare.Transfer.Framing;

namespace FastShare.Transfer.Sessions;

/// <summary>
/// Notices a connection that is up in name only: both sides say something every few seconds (<see cref="ControlSession"/>), and a side
/// that hears nothing on any stream of the transfer gives the connection up. A receiver that is merely slow keeps talking. Thread-safe.
/// </summary>
internal sealed class Liveness(TimeProvider time)
{
    private long _heard = time.GetTimestamp(); // interlocked
    private volatile bool _listening = true;

    /// <summary>Something arrived.</summary>
    public void Heard() => Interlocked.Exchange(ref _heard, time.GetTimestamp());

    /// <summary>
    /// Whether this side reads. What is not read because this side is at work, on a slow disk perhaps, is no silence of the other.
    /// </summary>
    public void Listen(bool listening)
    {
        if (listening) Heard();
        _listening = listening;
    }

    /// <summary>How long nothing has arrived.</summary>
    public TimeSpan Silence => time.GetElapsedTime(Interlocked.Read(ref _heard));

    /// <summary>Whether the other side is to be given up.</summary>
    public bool IsSilent => _listening && Silence.TotalSeconds >= TransferProtocol.SilenceSeconds;

    /// <exception cref="TransferException">
    /// <see cref="TransferError.ConnectionLost"/>: the other side fell silent, or <paramref name="check"/> says so.
    /// </exception>
    public async Task RunAsync(Action? check, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1), time);
        while (await timer.WaitForNextTickAsync(cancellationToken).ConfigureAwait(false))
        {
            if (IsSilent)
                throw new TransferException(
                    TransferError.ConnectionLost, $"the other side has sent nothing for {TransferProtocol.SilenceSeconds} s");
            check?.Invoke();
        }
    }
}
