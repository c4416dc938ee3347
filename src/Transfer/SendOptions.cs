using FastShare.Transfer.Framing;

namespace FastShare.Transfer;

/// <summary>Settings of one outgoing transfer.</summary>
public sealed class SendOptions
{
    /// <summary>How chunks are sent.</summary>
    public TransferMode Mode { get; init; } = TransferMode.Auto;

    /// <summary>Streams in parallel mode, 1 to 64. Default: 4.</summary>
    public int Streams
    {
        get;
        init
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value, TransferProtocol.MaxLanes);
            field = value;
        }
    } = 4;

    /// <summary>How long the peer may take to appear before the transfer fails. Default: 30 s.</summary>
    public TimeSpan WaitForPeer { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How often a lost connection is restored without progress in between before the transfer fails. Default: 8.</summary>
    public int MaxRetries
    {
        get;
        init
        {
            ArgumentOutOfRangeException.ThrowIfNegative(value);
            field = value;
        }
    } = 8;
}
