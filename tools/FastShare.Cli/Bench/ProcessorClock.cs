using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using FastShare.Cli.Hosting;

namespace FastShare.Cli.Bench;

/// <summary>Processor time of this process and of the machine, from a moment on. Immutable.</summary>
/// <param name="other">The other side, if it runs on this machine.</param>
internal sealed class ProcessorClock(ChildNode? other = null)
{
    private readonly TimeSpan _process = Environment.CpuUsage.TotalTime;
    private readonly TimeSpan _other = other?.ProcessorTime ?? TimeSpan.Zero;
    private readonly (long Busy, long All)? _machine = ReadMachine();

    /// <summary>Processor time of this process since <paramref name="earlier"/>.</summary>
    public TimeSpan ProcessSince(ProcessorClock earlier) => _process - earlier._process;

    /// <summary>Processor time of the other side since then; zero where it is elsewhere.</summary>
    public TimeSpan OtherSince(ProcessorClock earlier) => _other - earlier._other;

    /// <summary>Part of the time of all cores that this process may use that was used since then, by whatever program; null where the system does not tell.</summary>
    public double? MachineSince(ProcessorClock earlier) =>
        _machine is { } now && earlier._machine is { } then && now.All > then.All
            ? Math.Clamp((now.Busy - then.Busy) / (double)(now.All - then.All), 0, 1) : null;

    // proc(5): user nice system idle iowait irq softirq steal, in ticks; of the cores that this process may use.
    private static (long Busy, long All)? ReadMachine()
    {
        if (!OperatingSystem.IsLinux()) return null;
        try
        {
            using var self = Process.GetCurrentProcess();
            ulong mine = (ulong)self.ProcessorAffinity;
            (long busy, long all) = (0L, 0L);
            foreach (string line in File.ReadLines("/proc/stat").Skip(1).TakeWhile(static line => line.StartsWith("cpu", StringComparison.Ordinal)))
            {
                string[] fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                int core = int.Parse(fields[0].AsSpan(3), CultureInfo.InvariantCulture);
                if (core < 64 && (mine >> core & 1) == 0) continue; // beyond 64 nobody says whose they are
                long[] ticks = [.. fields.Skip(1).Take(8).Select(static field => long.Parse(field, CultureInfo.InvariantCulture))];
                if (ticks.Length < 5) return null;
                busy += ticks.Sum() - ticks[3] - ticks[4];
                all += ticks.Sum();
            }

            return all > 0 ? (busy, all) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException or InvalidOperationException or Win32Exception)
        {
            return null;
        }
    }
}
