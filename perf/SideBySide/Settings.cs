using System.Globalization;

namespace FastShare.SideBySide;

/// <summary>What the command line asks for.</summary>
/// <param name="MemoryBytes">Bytes moved from memory to memory.</param>
/// <param name="FileBytes">Size of the file moved.</param>
/// <param name="SmallFiles">Number of small files moved; 0: that scenario is left out.</param>
/// <param name="Rounds">Counted rounds; one more warms up.</param>
/// <param name="Folder">Where files stand; memory-backed, or the disk is what is measured.</param>
/// <param name="Only">Only rows whose name or scenario contains this.</param>
/// <param name="Json">Where all samples go; null: nowhere.</param>
/// <param name="Report">Where the HTML report goes; null: nowhere.</param>
/// <param name="History">A file to add this run's medians to; null: none.</param>
internal sealed record Settings(
    long MemoryBytes, long FileBytes, int SmallFiles, int Rounds, string Folder, string? Only, string? Json, string? Report, string? History)
{
    /// <summary>A folder on a disk, for what is synced to it; null: none.</summary>
    public string? Disk { get; init; } = Directory.Exists("/var/tmp") ? "/var/tmp" : null;

    /// <summary>Whether a further, untimed pass counts system calls.</summary>
    public bool Strace { get; init; }

    /// <summary>The program that emulates a wide-area link (see perf/wan.sh); null: no such rows.</summary>
    public string? Wan { get; init; }

    public const string Usage =
        """
        usage: dotnet run -c Release --project perf/SideBySide -- [options]
          --memory GIB     bytes moved from memory to memory, in GiB (4)
          --file GIB       size of the file moved, in GiB (2)
          --small N        number of 4 KiB files moved (100000); 0 leaves them out
          --rounds N       counted rounds, after one to warm up (5)
          --folder DIR     where the files stand (/dev/shm if there is one)
          --only TEXT      only rows whose name or scenario contains TEXT
          --disk DIR       a folder on a disk, for files that are synced to it (/var/tmp); none leaves them out
          --strace yes     count system calls in a further pass, where strace is there
          --wan LAB        also over an emulated wide-area link; LAB as perf/wan.sh wants it, or perf/netem-lab.sh
          --json FILE      write all samples there
          --report FILE    write a report with plots there, one HTML file
          --history FILE   add this run's medians there, a line of JSON
          --compare A B    compare two lines of the history by commit, and measure nothing
        """;

    /// <summary>Bytes of a small file.</summary>
    public const int SmallFileBytes = 4096;

    public Scenario Memory => new("memory to memory", MemoryBytes, 0);

    public Scenario File => new("file to file", FileBytes, 1);

    /// <summary>From memory-backed files to a disk, with every byte on it before the end.</summary>
    public Scenario Synced => new("file to file, synced to disk", FileBytes, 1);

    /// <summary>One sender, several receivers at once; the bytes of all together.</summary>
    public Scenario Receivers => new("concurrent receivers of one sender, memory to memory", MemoryBytes, 0);

    /// <summary>From the start of a process to the first byte at a known address.</summary>
    public static Scenario ColdStart { get; } = new("cold start to first byte", 0, 0);

    /// <summary>1 KiB requests on a connection, alone and while bulk fills it.</summary>
    public static Scenario Requests { get; } = new("requests beside bulk on one connection", 0, 0);

    public Scenario Small => new("small files", (long)SmallFiles * SmallFileBytes, SmallFiles);

    public static Settings Parse(string[] arguments)
    {
        var settings = new Settings(4L << 30, 2L << 30, 100_000, 5, Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath(), null, null, null, null);
        for (int i = 0; i < arguments.Length; i += 2)
        {
            string value = i + 1 < arguments.Length ? arguments[i + 1] : throw new FormatException($"{arguments[i]} needs a value");
            settings = arguments[i] switch
            {
                "--memory" => settings with { MemoryBytes = Number(value) << 30 },
                "--file" => settings with { FileBytes = Number(value) << 30 },
                "--small" => settings with { SmallFiles = (int)Number(value) },
                "--rounds" => settings with { Rounds = (int)Number(value) },
                "--folder" => settings with { Folder = value },
                "--only" => settings with { Only = value },
                "--disk" => settings with { Disk = value == "none" ? null : value },
                "--strace" => settings with { Strace = value == "yes" },
                "--wan" => settings with { Wan = Path.GetFullPath(value) },
                "--json" => settings with { Json = value },
                "--report" => settings with { Report = value },
                "--history" => settings with { History = value },
                _ => throw new FormatException($"unknown option {arguments[i]}"),
            };
        }

        return settings;
    }

    /// <summary>Whether a row was asked for.</summary>
    public bool Wants(Contender row) => Only is null
        || row.Name.Contains(Only, StringComparison.OrdinalIgnoreCase) || row.Scenario.Name.Contains(Only, StringComparison.OrdinalIgnoreCase);

    private static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);
}
