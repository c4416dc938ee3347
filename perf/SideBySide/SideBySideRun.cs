using FastShare.SideBySide.Reporting;
using FastShare.SideBySide.Rows;

namespace FastShare.SideBySide;

/// <summary>A whole run: rows, what they move, rounds, further passes, and what comes of it.</summary>
internal static class SideBySideRun
{
    /// <summary>Runs what the settings ask for; returns the exit code.</summary>
    /// <exception cref="FormatException">No row is wanted.</exception>
    public static async Task<int> RunAsync(Settings settings, CancellationToken cancellationToken)
    {
        string work = Path.Combine(settings.Folder, $"fastshare-side-by-side-{Environment.ProcessId}");
        await using var bench = new Bench(settings, work);
        AddRows(bench);
        if (bench.Rows.Count == 0 && bench.Missing.Count == 0) throw new FormatException("no row of that name");
        var measuring = new Measuring(bench.Rows, settings.Rounds, settings.Patience, Console.Error.WriteLine);
        Dictionary<Contender, double> calls = [];
        bool interrupted = false;
        var machine = Machine.Here(); // before it is busy with this
        using var guard = new Guard(work, bench.Disk); // before the folders, and ends after all that they hold
        ChildProcess.Use(guard);
        try
        {
            try
            {
                Directory.CreateDirectory(work);
                await bench.WriteSourcesAsync(cancellationToken);
                await measuring.RunAsync(cancellationToken);
                calls = await SystemCalls.CountAsync(bench, measuring, cancellationToken);
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                interrupted = true;
            }

            var results = Results.Of(settings, measuring, calls, bench.Missing, interrupted, machine, await GitCommit.ReadAsync());
            await WriteAsync(settings, results);
        }
        finally
        {
            await ChildProcess.EndAllAsync();
            if (Directory.Exists(work)) Directory.Delete(work, recursive: true);
        }

        return interrupted ? 130 : measuring.Failed.Count > 0 ? 1 : 0;
    }

    /// <summary>All rows there are, in the order of their turns.</summary>
    internal static void AddRows(Bench bench)
    {
        PlainRows.Add(bench);
        FastShareRows.Add(bench);
        DotNetRows.Add(bench);
        HttpRows.Add(bench);
        RsyncRows.Add(bench);
        SshRows.Add(bench);
        JsRows.Add(bench);
        LimitRows.Add(bench);
        LoadRows.Add(bench);
        ColdStartRows.Add(bench);
        WanRows.Add(bench);
    }

    private static async Task WriteAsync(Settings settings, Results results)
    {
        Table.Print(results, Console.Out);
        if (settings.Json is not null) await File.WriteAllTextAsync(settings.Json, results.ToJson());
        if (settings.Report is not null) await File.WriteAllTextAsync(settings.Report, HtmlReport.Create(results));
        // Half a run is no run of that commit.
        if (settings.History is not null && !results.Interrupted) History.Add(settings.History, results);
    }
}
