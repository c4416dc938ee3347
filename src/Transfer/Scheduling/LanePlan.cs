namespace FastShare.Transfer.Scheduling;

/// <summary>How many connections carry chunks, and over how many streams each.</summary>
internal readonly record struct LanePlan(int Connections, int StreamsPerConnection)
{
    /// <summary>One file after another over one stream.</summary>
    public static LanePlan Sequential { get; } = new(1, 1);

    public int Streams => Connections * StreamsPerConnection;

    public TransferMode Mode => Streams == 1 ? TransferMode.Sequential : TransferMode.Parallel;

    /// <summary>
    /// Files read at once. One where each connection has one stream: the lanes then share the ranges of one file, which is kind to disks.
    /// </summary>
    public int Stages => Math.Min(StreamsPerConnection, 4);
}
