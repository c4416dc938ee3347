namespace FastShare.SideBySide;

/// <summary>What is moved, who moves it, and the servers that stay up meanwhile.</summary>
internal sealed class Bench(Settings settings, string work) : IAsyncDisposable
{
    private readonly List<ChildProcess> _servers = [];
    private readonly List<Contender> _rows = [];
    private readonly List<string> _missing = [];

    public Settings Settings => settings;

    /// <summary>The folder of this run: everything in it is deleted afterwards.</summary>
    public string Work => work;

    public IReadOnlyList<Contender> Rows => _rows;

    /// <summary>Rows that cannot run here, each with what it would need.</summary>
    public IReadOnlyList<string> Missing => _missing;

    /// <summary>The same on <see cref="Settings.Disk"/>.</summary>
    public string Disk { get; } = Path.Combine(settings.Disk ?? work, Path.GetFileName(work));

    /// <summary>The large file; random bytes.</summary>
    public string Source => Path.Combine(work, "source.bin");

    /// <summary>The folder of small files, a thousand in each of its folders; random bytes.</summary>
    public string Tree => Path.Combine(work, "tree");

    public void Add(Contender row) => _rows.Add(row);

    public void Miss(string what) => _missing.Add(what);

    /// <summary>Takes over a server.</summary>
    public ChildProcess Own(ChildProcess server)
    {
        _servers.Add(server);
        return server;
    }

    /// <summary>Writes what is moved.</summary>
    public async Task WriteSourcesAsync(CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(Disk);
        byte[] block = new byte[4 << 20];
        var random = new Random(7);
        await using (FileStream file = File.Create(Source))
        {
            for (long written = 0; written < settings.FileBytes; written += block.Length)
            {
                random.NextBytes(block);
                await file.WriteAsync(block.AsMemory(0, (int)Math.Min(block.Length, settings.FileBytes - written)), cancellationToken);
            }
        }

        for (int i = 0; i < settings.SmallFiles; i++)
        {
            string folder = Path.Combine(Tree, $"{i / 1000:000}");
            if (i % 1000 == 0) Directory.CreateDirectory(folder);
            random.NextBytes(block.AsSpan(0, Settings.SmallFileBytes));
            await File.WriteAllBytesAsync(Path.Combine(folder, $"{i % 1000:000}.bin"), block.AsMemory(0, Settings.SmallFileBytes), cancellationToken);
        }
    }

    /// <summary>A row whose command copies <see cref="Source"/> to a destination; the life of its process counts.</summary>
    public void AddFileRow(string name, IReadOnlyList<ChildProcess> servers, Func<string, string[]> command)
    {
        Add(new Contender(name, settings.File, servers, async (meter, token) =>
        {
            string destination = Path.Combine(work, "destination.bin");
            File.Delete(destination);
            string[] words = command(destination);
            (_, double seconds) = await meter.RunAsync(words[0], words[1..], token);
            CheckFile(name, destination);
            return seconds;
        }));
        AddSyncedRow(name, servers, command);
    }

    // The same command, then fsync of its destination by sync(1) from coreutils, in one shell.
    private void AddSyncedRow(string name, IReadOnlyList<ChildProcess> servers, Func<string, string[]> command)
    {
        if (settings.Disk is null) return;
        Add(new Contender(name + ", then fsync", settings.Synced, servers, async (meter, token) =>
        {
            string destination = Path.Combine(Disk, "destination.bin");
            File.Delete(destination);
            (_, double seconds) = await meter.RunAsync("sh", ["-c", "\"$@\" && sync \"$0\"", destination, .. command(destination)], token);
            CheckFile(name, destination);
            return seconds;
        }));
    }

    /// <summary>A row whose command copies <see cref="Tree"/> into an empty folder.</summary>
    public void AddTreeRow(string name, IReadOnlyList<ChildProcess> servers, Func<string, string[]> command)
    {
        if (settings.SmallFiles == 0) return;
        Add(new Contender(name, settings.Small, servers, async (meter, token) =>
        {
            string destination = Path.Combine(work, "destination");
            Empty(destination);
            string[] words = command(destination);
            (_, double seconds) = await meter.RunAsync(words[0], words[1..], token);
            CheckTree(name, destination);
            return seconds;
        }));
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
        foreach (ChildProcess server in _servers) await server.DisposeAsync();
        if (Directory.Exists(Disk)) Directory.Delete(Disk, recursive: true);
    }
}
