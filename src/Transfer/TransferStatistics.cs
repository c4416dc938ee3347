namespace FastShare.Transfer;

/// <summary>Where a transfer's time goes, what it uses, and what was decided about it. A snapshot.</summary>
/// <remarks>
/// Times are added up over the loops that work at the same time, so they may exceed the transfer's duration. The stage with the most
/// time is the bottleneck: <see cref="Reading"/> the source disk, <see cref="Sending"/> the path or the receiver,
/// <see cref="Storing"/> the receiver's disk.
/// </remarks>
public sealed record TransferStatistics
{
    /// <summary>Sender: opening and reading files; chunks below 64 KiB are hashed here too.</summary>
    public TimeSpan Reading { get; internal init; }

    /// <summary>Sender: chunks that were read waited for a stream.</summary>
    public TimeSpan WaitingForStreams { get; internal init; }

    /// <summary>Sender: streams waited for chunks to be read.</summary>
    public TimeSpan WaitingForChunks { get; internal init; }

    /// <summary>Sender: held back by a pause, a rate limit, or the share of other transfers.</summary>
    public TimeSpan HeldBack { get; internal init; }

    /// <summary>Sender: handing bytes to the connections, which take them as fast as path and receiver allow.</summary>
    public TimeSpan Sending { get; internal init; }

    /// <summary>Receiver: waiting for bytes.</summary>
    public TimeSpan Receiving { get; internal init; }

    /// <summary>Receiver: writing to storage.</summary>
    public TimeSpan Storing { get; internal init; }

    /// <summary>
    /// Time and bytes of every stage, those above included, in the data's order; stages of the other side are zero. Those of connections
    /// count what else goes over them meanwhile, and add up over all of them.
    /// </summary>
    public IReadOnlyList<StageTotal> Stages { get; internal init; } = [];

    /// <summary>Connections that carry chunks.</summary>
    public int Connections { get; internal init; }

    /// <summary>Streams that are to carry chunks, over all connections.</summary>
    public int Streams { get; internal init; }

    /// <summary>Round-trip time; null: not measured yet.</summary>
    public TimeSpan? RoundTripTime { get; internal init; }

    /// <summary>The kernel's congestion control on the connections that carry chunks; null where it cannot be told.</summary>
    public string? CongestionControl { get; internal init; }

    /// <summary>Unsent bytes that the kernel takes at most on the shared connection; null where that cannot be limited.</summary>
    public int? NotSentLimit { get; internal init; }

    /// <summary>Part of the time, 0 to 1, in which the kernel's send buffer held connections back; null where it does not tell.</summary>
    public double? SendBufferLimited { get; internal init; }

    /// <summary>Part of the segments, 0 to 1, sent again lately; null where the kernel does not tell.</summary>
    public double? SegmentsRepeated { get; internal init; }

    /// <summary>What was decided about mode and connections (at most the first 1,000).</summary>
    public IReadOnlyList<ModeDecision> Decisions { get; internal init; } = [];
}

/// <summary>A decision about how chunks are sent.</summary>
/// <param name="At">When, from the transfer's acceptance on.</param>
/// <param name="From">The mode until then; auto: the first decision.</param>
/// <param name="To">The mode from then on.</param>
/// <param name="Connections">Connections from then on.</param>
/// <param name="Streams">Streams from then on, over all connections.</param>
/// <param name="Why">The reason.</param>
public sealed record ModeDecision(TimeSpan At, TransferMode From, TransferMode To, int Connections, int Streams, string Why);

/// <summary>How much of the way to a peer a transfer gets while there are others.</summary>
public enum TransferPriority
{
    /// <summary>A quarter of a normal one's share.</summary>
    Low = 1,

    /// <summary>The default.</summary>
    Normal = 4,

    /// <summary>Four times a normal one's share.</summary>
    High = 16,
}
