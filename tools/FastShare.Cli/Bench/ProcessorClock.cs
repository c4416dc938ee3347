using System.Globalization;

namespace FastShare.Cli.Bench;

/// <summary>Processor time of this process and of the machine, from a moment on. Immutable.</summary>
internal sealed class ProcessorClock
{
    private readonly TimeSpan _process = Environment.CpuUsage.TotalTime;
    private readonly (long Busy, long All)? _machine = ReadMachine();

    /// <summary>Processor time of this process since <paramref name="earlier"/>.</summary>
    public TimeSpan ProcessSince(ProcessorClock earlier) => _process - earlier._process;

    /// <summary>Part of all cores' time that was used since then, by whatever program; null where the system does not tell.</summary>
    public double? MachineSince(ProcessorClock earlier) =>
        _machine is { } now && earlier._machine is { } then && now.All > then.All
            ? Math.Clamp((now.Busy - then.Busy) / (double)(now.All - then.All), 0, 1) : null;

    // proc(5): user nice system idle iowait irq softirq steal, in ticks over all cores.
    private static (long Busy, long All)? ReadMachine()
    {
        if (!OperatingSystem.IsLinux()) return null;
        try
        {
            string line = File.ReadLines("/proc/stat").First();
            long[] ticks =
            [
                .. line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1).Take(8)
                    .Select(static field => long.Parse(field, CultureInfo.InvariantCulture)),
            ];
            return ticks.Length < 5 ? null : (ticks.Sum() - ticks[3] - ticks[4], ticks.Sum());
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException or InvalidOperationException)
        {
            return null;
        }
    }
}
