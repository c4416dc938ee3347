using FastShare.SideBySide.Rows;

namespace FastShare.SideBySide;

/// <summary>What is moved, who moves it, and the servers that stay up meanwhile.</summary>
internal sealed class Bench(Settings settings, string work) : IAsyncDisposable
{
    private readonly List<Server> _servers = [];
    private readonly List<Contender> _rows = [];
    private readonly List<MissingRow> _missing = [];

    public Settings Settings => settings;

    /// <summary>The folder of this run: everything in it is deleted afterwards.</summary>
    public string Work => work;

    /// <summary>The rows that are wanted, those of one scenario together.</summary>
    public IReadOnlyList<Contender> Rows => [.. _rows.Where(settings.Wants).GroupBy(row => row.Scenario.Name).SelectMany(rows => rows)];

    /// <summary>Rows that are wanted and cannot run here.</summary>
    public IReadOnlyList<MissingRow> Missing => [.. _missing.Where(missing => settings.Wants(missing.Row))];

    /// <summary>The same on <see cref="Settings.Disk"/>.</summary>
    public string Disk { get; } = Path.Combine(settings.Disk ?? work, Path.GetFileName(work));

    /// <summary>The large file; random bytes.</summary>
    public string Source => Path.Combine(work, "source.bin");

    /// <summary>A file of half its size.</summary>
    public string Half => Path.Combine(work, "half.bin");

    /// <summary>What goes over the emulated link.</summary>
    public string WanSource => Path.Combine(work, "wan.bin");

    /// <summary>The folder of small files, a thousand in each of its folders; random bytes.</summary>
    public string Tree => Path.Combine(work, "tree");

    public void Add(Contender row) => _rows.Add(row);

    /// <summary>Tells of rows that cannot run here.</summary>
    public void Miss(string row, string needs) => _missing.Add(new MissingRow(row, needs));

    /// <summary>Takes over a server, which starts when a row needs it.</summary>
    public Server Serve(string name, Func<CancellationToken, Task<(ChildProcess Process, string Address)>> start)
    {
        var server = new Server(name, start);
        _servers.Add(server);
        return server;
    }

    /// <summary>Writes what the wanted rows move.</summary>
    public async Task WriteSourcesAsync(CancellationToken cancellationToken)
    {
        IReadOnlyList<Contender> rows = Rows;
        Directory.CreateDirectory(Disk);
        var random = new Random(7);
        byte[] block = new byte[4 << 20];
        await WriteAsync(Source, settings.FileBytes);
        await WriteAsync(Half, settings.FileBytes / 2);
        if (rows.Any(row => WanRows.IsWide(row.Scenario))) await WriteAsync(WanSource, settings.WanBytes);
        for (int i = 0; i < settings.SmallFiles && rows.Any(row => row.Scenario == settings.Small); i++)
        {
            string folder = Path.Combine(Tree, $"{i / 1000:000}");
            if (i % 1000 == 0) Directory.CreateDirectory(folder);
            random.NextBytes(block.AsSpan(0, Settings.SmallFileBytes));
            await File.WriteAllBytesAsync(Path.Combine(folder, $"{i % 1000:000}.bin"), block.AsMemory(0, Settings.SmallFileBytes), cancellationToken);
        }

        async Task WriteAsync(string path, long bytes)
        {
            await using FileStream file = File.Create(path);
            for (long written = 0; written < bytes; written += block.Length)
            {
                random.NextBytes(block);
                await file.WriteAsync(block.AsMemory(0, (int)Math.Min(block.Length, bytes - written)), cancellationToken);
            }
        }
    }

    /// <summary>A row whose command copies <see cref="Source"/> to a destination; the life of its process counts.</summary>
    public void AddFileRow(string name, IReadOnlyList<Server> servers, Func<string, string[]> command)
    {
        string destination = Path.Combine(work, "destination.bin");
        Add(new Contender(name, settings.File, servers, async (meter, token) =>
        {
            File.Delete(destination);
            string[] words = command(destination);
            (_, double seconds) = await meter.RunAsync(words[0], words[1..], token);
            CheckFile(name, destination);
            return seconds;
        })
        { Leaves = destination });
        AddSyncedRow(name, servers, command);
    }

    // The same command, then fsync of its destination by sync(1) from coreutils, in one shell.
    private void AddSyncedRow(string name, IReadOnlyList<Server> servers, Func<string, string[]> command)
    {
        if (settings.Disk is null) return;
        string destination = Path.Combine(Disk, "destination.bin");
        Add(new Contender(name + ", then fsync", settings.Synced, servers, async (meter, token) =>
        {
            File.Delete(destination);
            (_, double seconds) = await meter.RunAsync("sh", ["-c", "\"$@\" && sync \"$0\"", destination, .. command(destination)], token);
            CheckFile(name, destination);
            return seconds;
        })
        { Leaves = destination });
    }

    /// <summary>A row whose command copies <see cref="Tree"/> into an empty folder.</summary>
    public void AddTreeRow(string name, IReadOnlyList<Server> servers, Func<string, string[]> command)
    {
        if (settings.SmallFiles == 0) return;
        string destination = Path.Combine(work, "destination");
        Add(new Contender(name, settings.Small, servers, async (meter, token) =>
        {
            Empty(destination);
            string[] words = command(destination);
            (_, double seconds) = await meter.RunAsync(words[0], words[1..], token);
            CheckTree(name, destination);
            return seconds;
        })
        { Leaves = destination });
    }

    public void CheckFile(string name, string destination)
    {
        long length = new FileInfo(destination).Length;
        if (length != settings.FileBytes) throw new InvalidOperationException($"{name} delivered {length} bytes of {settings.FileBytes}");
    }

    public void CheckTree(string name, string destination)
    {
        long files = 0, bytes = 0;
        foreach (FileInfo file in new DirectoryInfo(destination).EnumerateFiles("*", SearchOption.AllDirectories))
        {
            files++;
            bytes += file.Length;
        }

        if (files != settings.SmallFiles || bytes != settings.Small.Bytes)
            throw new InvalidOperationException($"{name} delivered {files} files of {settings.SmallFiles}, {bytes} bytes of {settings.Small.Bytes}");
    }

    /// <summary>Makes a folder that is empty.</summary>
    public static void Empty(string folder)
    {
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        Directory.CreateDirectory(folder);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (Server server in _servers) await server.DisposeAsync();
        if (Directory.Exists(Disk)) Directory.Delete(Disk, recursive: true);
    }
}
