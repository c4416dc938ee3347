namespace FastShare.SideBySide;

/// <summary>
/// System calls of both ends for a gigabyte, in a pass of its own: tracing slows every call down. A quarter of the bytes, from servers of
/// their own.
/// </summary>
internal static class SystemCalls
{
    private const int Part = 4;

    public static async Task<Dictionary<Contender, double>> CountAsync(Bench bench, Measuring measuring, CancellationToken cancellationToken)
    {
        var calls = new Dictionary<Contender, double>();
        Settings settings = bench.Settings;
        if (!settings.Strace) return calls;
        if (ChildProcess.Find("strace") is not { } strace)
        {
            bench.Miss("system calls", "strace");
            return calls;
        }

        string work = Path.Combine(bench.Work, "calls");
        Directory.CreateDirectory(work);
        await using var smaller = new Bench(
            settings with { MemoryBytes = settings.MemoryBytes / Part, FileBytes = settings.FileBytes / Part, SmallFiles = 0, Disk = null, Wan = null }, work);
        SideBySideRun.AddRows(smaller);
        await smaller.WriteSourcesAsync(cancellationToken);
        IEnumerable<Contender> rows = bench.Rows.Where(row => row.Scenario == settings.Memory || row.Scenario == settings.File);
        await measuring.FurtherAsync("system calls", rows, async (row, token) =>
        {
            Contender traced = smaller.Rows.First(other => other.Scenario.Name == row.Scenario.Name && other.Name == row.Name);
            long count = await Meter.CountCallsAsync(traced, strace, work, token);
            calls[row] = count / (traced.Scenario.Bytes * traced.Share / 1e9);
            Console.Error.WriteLine($"system calls {row.Scenario.Name}, {row.Name}: {count}");
        }, cancellationToken);
        return calls;
    }
}
