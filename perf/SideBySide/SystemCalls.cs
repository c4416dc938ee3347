namespace FastShare.SideBySide;

/// <summary>System calls of both ends for a gigabyte, in a pass of its own: tracing slows every call down.</summary>
internal static class SystemCalls
{
    public static async Task<Dictionary<Contender, double>> CountAsync(Bench bench, Measuring measuring, CancellationToken cancellationToken)
    {
        var calls = new Dictionary<Contender, double>();
        if (!bench.Settings.Strace) return calls;
        if (ChildProcess.Find("strace") is not { } strace)
        {
            bench.Miss("system calls", "strace");
            return calls;
        }

        IEnumerable<Contender> rows = bench.Rows.Where(row => row.Scenario == bench.Settings.Memory || row.Scenario == bench.Settings.File);
        await measuring.FurtherAsync("system calls", rows, async (row, token) =>
        {
            long count = await Meter.CountCallsAsync(row, strace, bench.Work, token);
            calls[row] = count / (row.Scenario.Bytes * row.Share / 1e9);
            Console.Error.WriteLine($"system calls {row.Scenario.Name}, {row.Name}: {count}");
        }, cancellationToken);
        return calls;
    }
}
