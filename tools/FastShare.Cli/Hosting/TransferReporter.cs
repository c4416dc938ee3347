using FastShare.Cli.Output;
using FastShare.Transfer;
using FastShare.Transport.Identity;

namespace FastShare.Cli.Hosting;

/// <summary>Reports transfers from start to end.</summary>
internal static class TransferReporter
{
    /// <summary>
    /// Follows one transfer until it ends: its events, its progress, its failed files and its <c>completed</c>. When the user
    /// stops the command, the transfer is stopped, and what arrived is kept.
    /// </summary>
    /// <param name="transfer">The transfer.</param>
    /// <param name="title">What it is called beside its progress; escaped.</param>
    /// <param name="session">The node it runs on.</param>
    /// <param name="context">What the command runs with.</param>
    /// <exception cref="TransferException">The transfer failed as a whole; not reported yet.</exception>
    public static async Task<TransferResult> FollowAsync(
        Transfer.Transfer transfer, string title, NodeSession session, CommandContext context)
    {
        TransferResult result = (await FollowAllAsync([transfer], title, context))[0];
        await ReportCompletedAsync(transfer.Peer, result, session, context.Output);
        return result;
    }

    /// <summary>As <see cref="FollowAsync"/>, for several transfers whose progress is shown as one, and without <c>completed</c>.</summary>
    /// <exception cref="TransferException">At least one failed as a whole; all have ended.</exception>
    public static async Task<TransferResult[]> FollowAllAsync(
        IReadOnlyList<Transfer.Transfer> transfers, string title, CommandContext context)
    {
        var meter = new RunMeter();
        Task events = Task.WhenAll(transfers.Select(transfer => ReportEventsAsync(transfer, meter, context)));
        try
        {
            return await ShowProgressAsync(transfers, title, context);
        }
        finally
        {
            await events;
        }
    }

    /// <summary>Reports the end of work with a peer.</summary>
    public static async Task ReportCompletedAsync(PeerId peer, TransferResult result, NodeSession session, OutputWriter output)
    {
        await session.Reporter.SettleAsync();
        double seconds = result.Duration.TotalSeconds;
        output.Emit(new CompletedEvent(
            result.Files, result.Bytes, Math.Round(seconds, 6), seconds > 0 ? Math.Round(result.Bytes / seconds) : 0,
            session.Node.Swarm.DialCount(peer), session.Reporter.MostConnections(peer), result.BytesResent,
            result.Failures.Count));
    }

    private static async Task<TransferResult[]> ShowProgressAsync(
        IReadOnlyList<Transfer.Transfer> transfers, string title, CommandContext context)
    {
        using IProgressRow row = context.Output.BeginProgress(title);
        Task<TransferResult[]> completion = Task.WhenAll(transfers.Select(transfer => transfer.Completion));
        Task stopped = Task.Delay(Timeout.InfiniteTimeSpan, context.Stop);
        TransferProgress? shown = null;
        while (!completion.IsCompleted)
        {
            TransferProgress now = Sum(transfers);
            // while nothing moves, one report says it all
            if (now != shown) row.Update(shown = now);
            Task tick = Task.Delay(context.Output.ProgressInterval, context.TimeProvider);
            if (await Task.WhenAny(completion, stopped, tick) != stopped) continue;
            await Task.WhenAll(transfers.Select(transfer => transfer.CancelAsync()));
            break;
        }

        TransferResult[] results = await completion;
        TransferProgress last = Sum(transfers);
        if (last != shown) row.Update(last);
        return results;
    }

    private static TransferProgress Sum(IReadOnlyList<Transfer.Transfer> transfers)
    {
        TransferProgress sum = transfers[0].Progress;
        foreach (TransferProgress progress in transfers.Skip(1).Select(transfer => transfer.Progress))
        {
            // what moves says how the whole stands; then what still waits; done when all are
            bool leads = progress.State == TransferState.Running || (sum.State is not TransferState.Running && progress.State < sum.State);
            sum = new TransferProgress(
                leads ? progress.State : sum.State, sum.Bytes + progress.Bytes, sum.TotalBytes + progress.TotalBytes,
                sum.Files + progress.Files, sum.TotalFiles + progress.TotalFiles, sum.BytesPerSecond + progress.BytesPerSecond,
                leads ? progress.Mode : sum.Mode)
            {
                IsOpenEnded = sum.IsOpenEnded || progress.IsOpenEnded,
            };
        }

        return sum;
    }

    // Ends with the transfer.
    private static async Task ReportEventsAsync(Transfer.Transfer transfer, RunMeter meter, CommandContext context)
    {
        OutputWriter output = context.Output;
        await using IAsyncEnumerator<TransferEvent> events = transfer.EventsAsync().GetAsyncEnumerator();
        while (true)
        {
            ValueTask<bool> next = events.MoveNextAsync();
            // 100,000 small files are as many events: those that come together are written together
            if (!next.IsCompleted) output.Flush();
            if (!await next) break;
            switch (events.Current)
            {
                case TransferEvent.FileCompleted file:
                    output.EmitLater(new FileCompletedEvent(file.Path, file.Bytes, file.Digest));
                    break;
                case TransferEvent.FileFailed failed:
                    CommandLine.Report(failed.Error, output);
                    break;
                case TransferEvent.ModeChanged mode:
                    output.Emit(new ModeChangedEvent(EventText.Name(mode.From), EventText.Name(mode.To), mode.Why));
                    break;
                case TransferEvent.Retrying retry:
                    output.Emit(new RetryEvent(retry.Attempt, retry.Why, Math.Round(retry.Delay.TotalMilliseconds)));
                    break;
                case TransferEvent.Resumed resumed:
                    output.Emit(new ResumedEvent(resumed.BytesAlready));
                    break;
            }
        }

        StatisticsEvent statistics = meter.Read(transfer);
        if (statistics.Stages.Count == 0) return;
        output.Emit(statistics);
        if (!context.OutputOptions.Verbose || context.OutputOptions.Json) return;
        foreach (string line in EventText.Describe(statistics)) output.Note(line);
    }
}
