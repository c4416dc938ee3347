using FastShare.Cli.Output;
using FastShare.Transfer;

namespace FastShare.Cli.Hosting;

/// <summary>What this process uses while a transfer runs, from the construction on. Other work of the process counts too.</summary>
internal sealed class RunMeter
{
    private readonly long _allocated = GC.GetTotalAllocatedBytes();
    private readonly int _collections = GC.CollectionCount(0);
    private readonly TimeSpan _processor = Environment.CpuUsage.TotalTime;

    /// <summary>Its report, with the transfer's statistics.</summary>
    public StatisticsEvent Read(Transfer.Transfer transfer)
    {
        TransferStatistics statistics = transfer.Statistics;
        return new StatisticsEvent(
            transfer.IsIncoming ? "receive" : "send",
            statistics.Connections,
            statistics.Streams,
            statistics.RoundTripTime is { } time ? Math.Round(time.TotalMilliseconds, 3) : null,
            statistics.CongestionControl,
            [
                .. statistics.Stages.Where(static stage => stage.Time > TimeSpan.Zero || stage.Bytes > 0).Select(static stage =>
                    new StageReport(EventText.Name(stage.Stage), Math.Round(stage.Time.TotalSeconds, 6), stage.Bytes)),
            ],
            Math.Round((Environment.CpuUsage.TotalTime - _processor).TotalSeconds, 3),
            GC.GetTotalAllocatedBytes() - _allocated,
            GC.CollectionCount(0) - _collections);
    }
}
