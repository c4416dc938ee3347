using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace FastShare.SideBySide;

/// <summary>
/// What one run costs both ends: processor time of the servers' process trees from <c>/proc</c>, that of the programs that end from
/// the system's account of ended children, and the largest resident memory of a process, asked for ten times a second. Linux; elsewhere zero.
/// </summary>
internal sealed partial class Meter
{
    private const int RUsageChildren = -1;
    private static readonly TimeSpan _lookEvery = TimeSpan.FromMilliseconds(100); // a look takes a millisecond of the two ends' processors
    private static readonly double _ticksPerSecond = OperatingSystem.IsLinux() ? Sysconf(2) : 100; // _SC_CLK_TCK

    private readonly IReadOnlyList<Server> _servers;
    private readonly double _serversBefore;
    private readonly double _childrenBefore = EndedChildren();
    private readonly string? _strace;
    private readonly List<long> _trace = []; // one sampler at a time
    private long _peak; // one sampler at a time
    private string _work = "";
    private long _calls; // the row runs one program at a time where calls are counted

    private Meter(IReadOnlyList<Server> servers, string? strace)
    {
        _servers = servers;
        _strace = strace;
        _serversBefore = servers.Sum(server => TreeSeconds(server.Process.Id));
    }

    /// <summary>What the row finds out beside its time, by title.</summary>
    public Dictionary<string, double> Figures { get; } = [];

    /// <summary>Seconds in each stage, if the row knows.</summary>
    public Dictionary<string, double> Stages { get; } = [];

    /// <summary>Runs a row once.</summary>
    public static async Task<Sample> MeasureAsync(Contender row, CancellationToken cancellationToken)
    {
        foreach (Server server in row.Servers)
        {
            await server.EnsureAsync(cancellationToken);
            foreach (int id in Tree(server.Process.Id)) ForgetPeak(id);
        }

        Warm(row);
        var meter = new Meter(row.Servers, strace: null);
        try
        {
            double seconds = await row.RunAsync(meter, cancellationToken);
            double cpu = row.Servers.Sum(server => TreeSeconds(server.Process.Id)) - meter._serversBefore + EndedChildren() - meter._childrenBefore;
            if (row.AfterwardsAsync is not null) await row.AfterwardsAsync(meter, cancellationToken);
            return new Sample(seconds, cpu, meter._peak) { Figures = meter.Figures, Stages = meter.Stages, Trace = meter._trace };
        }
        finally
        {
            DeleteWhatIsLeft(row);
        }
    }

    private static void DeleteWhatIsLeft(Contender row)
    {
        if (Directory.Exists(row.Leaves)) Directory.Delete(row.Leaves, recursive: true);
        else if (row.Leaves is not null) File.Delete(row.Leaves);
    }

    /// <summary>
    /// Touches as much memory as a row's files take and frees it again. A virtual machine's free pages go back to its host within seconds, and
    /// whichever row gets them pays for fetching them, several times what the row itself costs. A large file is best warmed by one like it:
    /// which pages a file gets depends on how it is written.
    /// </summary>
    private static void Warm(Contender row)
    {
        if (row.Scenario.Files == 1 && row.Leaves is not null) WarmFile(row.Leaves + ".warm", row.Scenario.Bytes);
        else if (row.Scenario.Files > 0) WarmMemory();
    }

    private static void WarmFile(string path, long bytes)
    {
        byte[] block = new byte[1 << 20];
        using (FileStream file = new(path, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0))
        {
            for (long written = 0; written < bytes; written += block.Length) file.Write(block);
        }

        File.Delete(path);
    }

    private static unsafe void WarmMemory()
    {
        nuint bytes = (nuint)Math.Min(3L << 30, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4);
        void* memory = NativeMemory.Alloc(bytes);
        for (nuint at = 0; at < bytes; at += (nuint)Environment.SystemPageSize) ((byte*)memory)[at] = 1;
        NativeMemory.Free(memory);
    }

    /// <summary>Runs a row once under <c>strace -c -f</c>, both ends; returns its system calls. Its time would say nothing.</summary>
    public static async Task<long> CountCallsAsync(Contender row, string strace, string work, CancellationToken cancellationToken)
    {
        foreach (Server server in row.Servers) await server.EnsureAsync(cancellationToken);
        var meter = new Meter(row.Servers, strace) { _work = work };
        var tracers = new List<(ChildProcess Tracer, string File)>();
        foreach (Server server in row.Servers)
        {
            foreach (int id in Tree(server.Process.Id))
            {
                string file = Path.Combine(work, $"strace-{id}");
                ChildProcess tracer = ChildProcess.Start(strace, "-c", "-f", "-o", file, "-p", $"{id}");
                await tracer.WaitForLineAsync(line => line.Contains("attached", StringComparison.Ordinal), cancellationToken);
                tracers.Add((tracer, file));
            }
        }

        try
        {
            await row.RunAsync(meter, cancellationToken);
        }
        finally
        {
            foreach ((ChildProcess tracer, _) in tracers) await tracer.InterruptAsync();
            DeleteWhatIsLeft(row);
        }

        return meter._calls + tracers.Sum(tracer => CallsIn(tracer.File));
    }

    /// <summary>Runs a program to its end; returns its standard output and the seconds from start to exit.</summary>
    public async Task<(string Output, double Seconds)> RunAsync(string program, string[] arguments, CancellationToken cancellationToken)
    {
        if (_strace is not null)
        {
            string file = Path.Combine(_work, "strace-client");
            (string, double) traced = await ChildProcess.RunAsync(_strace, ["-c", "-f", "-o", file, program, .. arguments], cancellationToken);
            _calls += CallsIn(file);
            return traced;
        }

        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task watching = Task.CompletedTask;
        try
        {
            return await ChildProcess.RunAsync(program, arguments, cancellationToken, id => watching = WatchAsync(id, ended.Token));
        }
        finally
        {
            await ended.CancelAsync();
            await watching;
        }
    }

    // The last line of strace's table: "100.00 0.123 4 12345 [errors] total".
    private static long CallsIn(string file)
    {
        string? total = File.Exists(file) ? File.ReadLines(file).LastOrDefault(line => line.EndsWith("total", StringComparison.Ordinal)) : null;
        return total is null ? 0 : long.Parse(total.Split(' ', StringSplitOptions.RemoveEmptyEntries)[3], CultureInfo.InvariantCulture);
    }

    private async Task WatchAsync(int client, CancellationToken ended)
    {
        long begun = Stopwatch.GetTimestamp();
        var traffic = new Traffic();
        try
        {
            while (true)
            {
                List<int> clients = Tree(client);
                LookAt(clients);
                LookAtServers();
                // A look that comes late stands for the tenths it missed.
                int due = (int)(Stopwatch.GetElapsedTime(begun) / _lookEvery) - _trace.Count;
                if (due > 0)
                {
                    long moved = traffic.Since(clients);
                    for (int i = 0; i < due; i++) _trace.Add(moved / due);
                }

                await Task.Delay(_lookEvery, ended);
            }
        }
        catch (OperationCanceledException)
        {
            LookAtServers(); // they still know
        }

        void LookAtServers()
        {
            foreach (Server server in _servers) LookAt(Tree(server.Process.Id));
        }

        void LookAt(List<int> processes)
        {
            foreach (int id in processes) _peak = Math.Max(_peak, Peak(id));
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

    // proc(5): from now on VmHWM is the largest since now.
    private static void ForgetPeak(int id)
    {
        if (!OperatingSystem.IsLinux()) return;
        try
        {
            File.WriteAllText($"/proc/{id}/clear_refs", "5");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // it has ended, or belongs to somebody else: then it is the peak of its life
        }
    }

    private static long Peak(int id)
    {
        try
        {
            string? line = File.ReadLines($"/proc/{id}/status").FirstOrDefault(text => text.StartsWith("VmHWM:", StringComparison.Ordinal));
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
