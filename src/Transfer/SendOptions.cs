using FastShare.Transfer.Framing;
using FastShare.Transfer.Scheduling;

namespace FastShare.Transfer;

/// <summary>Settings of one outgoing transfer.</summary>
public sealed class SendOptions
{
    /// <summary>Most <see cref="Connections"/> to one peer: half of what it takes from one address by default.</summary>
    public const int MaxConnections = 32;

    /// <summary>How chunks are sent.</summary>
    public TransferMode Mode { get; init; } = TransferMode.Auto;

    /// <summary>Streams in parallel mode, over all connections, 1 to 64. Default: 4.</summary>
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

    /// <summary>
    /// Connections to the peer that carry chunks, 1 to 32; null (the default): in auto mode as many as measurements show to be worth it,
    /// in parallel mode one. Sequential mode uses one.
    /// </summary>
    public int? Connections
    {
        get;
        init
        {
            if (value is { } connections)
            {
                ArgumentOutOfRangeException.ThrowIfLessThan(connections, 1);
                ArgumentOutOfRangeException.ThrowIfGreaterThan(connections, MaxConnections);
            }

            field = value;
        }
    }

    /// <summary>Bytes a second at most; null: no limit. <see cref="Transfer.RateLimit"/> changes it later.</summary>
    public long? RateLimit
    {
        get;
        init
        {
            if (value is { } rate) ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rate);
            field = value;
        }
    }

    /// <summary>
    /// The kernel's congestion control for the connections that carry chunks, by the kernel's name, such as <c>cubic</c>: at most 15 letters, digits,
    /// <c>_</c> and <c>-</c>. Null (the default): BBR over paths that are far or lose segments, where this process may use it. Only Linux has a
    /// choice; one that the kernel refuses changes nothing, and what is in use stands in <see cref="TransferStatistics.CongestionControl"/>.
    /// </summary>
    /// <exception cref="ArgumentException">It is no such name.</exception>
    public string? CongestionControl
    {
        get;
        init
        {
            if (value is not null && !PathTuning.IsControlName(value)) throw new ArgumentException("not the name of a congestion control", nameof(value));
            field = value;
        }
    }

    /// <summary>Its share while other transfers go to the same peer. <see cref="Transfer.Priority"/> changes it later.</summary>
    public TransferPriority Priority { get; init; } = TransferPriority.Normal;

    /// <summary>
    /// Memory that chunks may take between disk and connections, in bytes, whatever the number and size of files and the receiver's speed:
    /// at least 1 MiB. Default: 16 MiB.
    /// </summary>
    public long MaxBufferedBytes
    {
        get;
        init
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1 << 20);
            field = value;
        }
    } = 16 << 20;

    /// <summary>
    /// Whether symbolic links are sent as links; one that leads out of what is sent is passed over and told as a failure, as all are
    /// without this. What a link points to is never sent in its place. Default: no.
    /// </summary>
    public bool KeepLinks { get; init; }

    /// <summary>
    /// Whether files that the receiver has already, of the same name and size, are compared by digest (XXH128 over chunks) instead of by
    /// size and time: equal ones are not sent, and get mode and time of what is offered. Both sides read those files. Default: no.
    /// </summary>
    public bool CompareContent { get; init; }

    /// <summary>
    /// Told how the transfer goes, as <see cref="Transfer.ReportAsync"/> does, five times a second at most, on the thread pool. One that throws is
    /// told no more. Null: nobody is told.
    /// </summary>
    public IProgress<TransferProgress>? Progress { get; init; }

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
