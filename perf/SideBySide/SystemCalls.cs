namespace FastShare.SideBySide;

/// <summary>System calls of both ends for a gigabyte, in a pass of its own: tracing slows every call down.</summary>
internal static class SystemCalls
{
    public static async Task<Dictionary<Contender, double>> CountAsync(Bench bench, IEnumerable<Contender> rows, CancellationToken cancellationToken)
    {
        var calls = new Dictionary<Contender, double>();
        if (!bench.Settings.Strace) return calls;
        if (ChildProcess.Find("strace") is not { } strace)
        {
            bench.Miss("strace");
            return calls;
        }

        foreach (Contender row in rows.Where(row => row.Scenario == bench.Settings.Memory || row.Scenario == bench.Settings.File))
        {
            long count = await Meter.CountCallsAsync(row, strace, bench.Work, cancellationToken);
            calls[row] = count / (row.Scenario.Bytes * row.Share / 1e9);
            Console.Error.WriteLine($"system calls {row.Scenario.Name}, {row.Name}: {count}");
        }

        return calls;
    }
}
