using System.Globalization;
using System.Runtime.InteropServices;

namespace FastShare.SideBySide;

/// <summary>
/// What one run costs both ends: processor time of the servers' process trees from <c>/proc</c>, that of the programs that end from
/// the system's account of ended children, and the largest resident memory seen. Linux; elsewhere zero.
/// </summary>
internal sealed partial class Meter
{
    private const int RUsageChildren = -1;
    private static readonly TimeSpan _lookEvery = TimeSpan.FromMilliseconds(20);
    private static readonly double _ticksPerSecond = OperatingSystem.IsLinux() ? Sysconf(2) : 100; // _SC_CLK_TCK

    private readonly IReadOnlyList<ChildProcess> _servers;
    private readonly double _serversBefore;
    private readonly double _childrenBefore = EndedChildren();
    private long _peak; // one sampler at a time

    private Meter(IReadOnlyList<ChildProcess> servers)
    {
        _servers = servers;
        _serversBefore = servers.Sum(server => TreeSeconds(server.Id));
    }

    /// <summary>Runs a row once.</summary>
    public static async Task<Sample> MeasureAsync(Contender row, CancellationToken cancellationToken)
    {
        var meter = new Meter(row.Servers);
        double seconds = await row.RunAsync(meter, cancellationToken);
        double cpu = row.Servers.Sum(server => TreeSeconds(server.Id)) - meter._serversBefore + EndedChildren() - meter._childrenBefore;
        return new Sample(seconds, cpu, meter._peak);
    }

    /// <summary>Runs a program to its end; returns its standard output and the seconds from start to exit.</summary>
    public async Task<(string Output, double Seconds)> RunAsync(string program, string[] arguments, CancellationToken cancellationToken)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task watching = Task.CompletedTask;
        try
        {
            return await ChildProcess.RunAsync(program, arguments, cancellationToken, id => watching = WatchMemoryAsync(id, ended.Token));
        }
        finally
        {
            await ended.CancelAsync();
            await watching;
        }
    }

    private async Task WatchMemoryAsync(int client, CancellationToken ended)
    {
        try
        {
            while (true)
            {
                foreach (int root in _servers.Select(server => server.Id).Append(client))
                {
                    foreach (int id in Tree(root)) _peak = Math.Max(_peak, Resident(id));
                }

                await Task.Delay(_lookEvery, ended);
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    // A process and its living descendants.
    private static List<int> Tree(int root)
    {
        List<int> tree = [root];
        if (!OperatingSystem.IsLinux()) return tree;
        for (int i = 0; i < tree.Count; i++)
        {
            string tasks = $"/proc/{tree[i]}/task";
            try
            {
                foreach (string task in Directory.EnumerateDirectories(tasks))
                    tree.AddRange(File.ReadAllText($"{task}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(Number));
            }
            catch (IOException)
            {
                // it ended meanwhile
            }
        }

        return tree;
    }

    private static double TreeSeconds(int root) => Tree(root).Sum(ProcessSeconds);

    // With what it has reaped of its children: proc(5), fields 14 to 17 of stat.
    private static double ProcessSeconds(int id)
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{id}/stat");
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return fields[11..15].Sum(field => long.Parse(field, CultureInfo.InvariantCulture)) / _ticksPerSecond;
        }
        catch (IOException)
        {
            return 0;
        }
    }

    private static long Resident(int id)
    {
        try
        {
            string? line = File.ReadLines($"/proc/{id}/status").FirstOrDefault(text => text.StartsWith("VmRSS:", StringComparison.Ordinal));
            return line is null ? 0 : Number(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]) * 1024L;
        }
        catch (IOException)
        {
            return 0;
        }
    }

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);

    private static double EndedChildren()
    {
        if (!OperatingSystem.IsLinux()) return 0;
        Span<long> usage = stackalloc long[18]; // struct rusage: user and system time as (s, µs), then 14 counters
        return GetRUsage(RUsageChildren, usage) == 0 ? usage[0] + usage[2] + (usage[1] + usage[3]) / 1e6 : 0;
    }

    [LibraryImport("libc", EntryPoint = "getrusage")]
    private static partial int GetRUsage(int who, Span<long> usage);

    [LibraryImport("libc", EntryPoint = "sysconf")]
    private static partial long Sysconf(int name);
}
