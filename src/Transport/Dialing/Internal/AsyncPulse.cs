using System.Threading.Channels;

namespace FastShare.Transport.Dialing.Internal;

/// <summary>Wakes one waiter; pulses that come while nobody waits merge into one. Thread-safe.</summary>
internal sealed class AsyncPulse
{
    private readonly Channel<bool> _pulse = Channel.CreateBounded<bool>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    public void Set() => _pulse.Writer.TryWrite(true);

    /// <summary>Takes a pulse that is there, for a driver that does not wait by itself.</summary>
    public bool TryTake() => _pulse.Reader.TryRead(out _);

    public async ValueTask WaitAsync(CancellationToken cancellationToken = default) =>
        await _pulse.Reader.ReadAsync(cancellationToken).ConfigureAwait(false);
}
