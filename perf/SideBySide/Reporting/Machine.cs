using System.Globalization;
using System.Runtime.InteropServices;

namespace FastShare.SideBySide.Reporting;

/// <summary>The machine that was measured.</summary>
/// <param name="Processor">Its name, as the processor tells.</param>
/// <param name="Cores">Logical ones.</param>
/// <param name="MemoryGib">Of the whole machine.</param>
/// <param name="System">The operating system.</param>
/// <param name="Runtime">Of .NET.</param>
/// <param name="LoadBefore">What else ran just before: the load average of one minute; null: the system does not tell.</param>
internal sealed record Machine(string Processor, int Cores, double MemoryGib, string System, string Runtime, double? LoadBefore)
{
    /// <summary>This machine, and how busy it is just now.</summary>
    public static Machine Here() => new(
        Field("/proc/cpuinfo", "model name") ?? RuntimeInformation.ProcessArchitecture.ToString(),
        Environment.ProcessorCount,
        double.Parse((Field("/proc/meminfo", "MemTotal") ?? "0 kB").Split(' ')[0], CultureInfo.InvariantCulture) / (1 << 20),
        RuntimeInformation.OSDescription,
        RuntimeInformation.FrameworkDescription,
        Load());

    private static double? Load() =>
        File.Exists("/proc/loadavg") ? double.Parse(File.ReadAllText("/proc/loadavg").Split(' ')[0], CultureInfo.InvariantCulture) : null;

    private static string? Field(string file, string name) => File.Exists(file)
        ? File.ReadLines(file).FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal))?.Split(':')[1].Trim()
        : null;
}
