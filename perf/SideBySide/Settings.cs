using System.Globalization;

namespace FastShare.SideBySide;

/// <summary>What the command line asks for. Immutable.</summary>
internal sealed record Settings
{
    /// <summary>Bytes of a small file.</summary>
    public const int SmallFileBytes = 4096;

    public const string Usage =
        """
        usage: dotnet run -c Release --no-build --project perf/SideBySide -- [options]
          --memory GIB     bytes moved from memory to memory, in GiB (4)
          --file GIB       size of the file moved, in GiB (2)
          --small N        number of 4 KiB files moved (100000); 0 leaves them out
          --scale X        so many times these amounts, such as 0.1; for trials, as small amounts are told mostly by how tools start
          --rounds N       counted rounds, after one to warm up (5)
          --folder DIR     where the files stand (/dev/shm if there is one)
          --only TEXT      only rows whose name or scenario contains TEXT; repeatable
          --disk DIR       a folder on a disk, for files that are synced to it (/var/tmp); none leaves them out
          --strace yes     count system calls in a further pass, where strace is there
          --wan LAB        also over an emulated wide-area link; LAB as perf/wan.sh wants it, or perf/netem-lab.sh
          --patience S     a run that takes longer counts as failed (300)
          --json FILE      write all samples there
          --report FILE    write a report with plots there, one HTML file
          --history FILE   add this run's medians there, a line of JSON
          --compare A B    with --history FILE: compare two of its runs by commit, and measure nothing
        With --rounds 3, --strace yes and --wan it takes 25 to 30 minutes on two cores: about 4 minutes from memory to memory, 6 from file to file,
        5 synced to disk, 3 for small files, 1 each for receivers and requests, 2 for system calls, 5 over the emulated link. --only leaves out.
        A row that fails is told with its reason, and the others go on. Ctrl+C ends all that was started and writes what was measured by then.
        Exit code: 0 all rows ran, or are missing here; 1 a row failed; 2 usage; 130 interrupted.
        """;

    /// <summary>Bytes moved from memory to memory.</summary>
    public long MemoryBytes { get; init; } = 4L << 30;

    /// <summary>Size of the file moved.</summary>
    public long FileBytes { get; init; } = 2L << 30;

    /// <summary>Size of the file moved over the emulated link.</summary>
    public long WanBytes { get; init; } = 512L << 20;

    /// <summary>Number of small files moved; 0: that scenario is left out.</summary>
    public int SmallFiles { get; init; } = 100_000;

    /// <summary>Counted rounds; one more warms up.</summary>
    public int Rounds { get; init; } = 5;

    /// <summary>Where files stand; memory-backed, or the disk is what is measured.</summary>
    public string Folder { get; init; } = Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath();

    /// <summary>Only rows whose name or scenario contains one of these; empty: all.</summary>
    public IReadOnlyList<string> Only { get; init; } = [];

    /// <summary>A folder on a disk, for what is synced to it; null: none.</summary>
    public string? Disk { get; init; } = Directory.Exists("/var/tmp") ? "/var/tmp" : null;

    /// <summary>Whether a further, untimed pass counts system calls.</summary>
    public bool Strace { get; init; }

    /// <summary>The program that emulates a wide-area link (see perf/wan.sh); null: no such rows.</summary>
    public string? Wan { get; init; }

    /// <summary>A run that takes longer counts as failed.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Where all samples go; null: nowhere.</summary>
    public string? Json { get; init; }

    /// <summary>Where the HTML report goes; null: nowhere.</summary>
    public string? Report { get; init; }

    /// <summary>A file to add this run's medians to; null: none.</summary>
    public string? History { get; init; }

    /// <summary>Two commits to compare by <see cref="History"/>; null: measure.</summary>
    public (string Before, string After)? Compare { get; init; }

    public Scenario Memory => new("memory to memory", MemoryBytes, 0);

    public Scenario File => new("file to file", FileBytes, 1);

    /// <summary>From memory-backed files to a disk, with every byte on it before the end.</summary>
    public Scenario Synced => new("file to file, synced to disk", FileBytes, 1);

    /// <summary>One sender, several receivers at once; the bytes of all together.</summary>
    public Scenario Receivers => new("concurrent receivers of one sender, memory to memory", MemoryBytes, 0);

    public Scenario Small => new("small files", (long)SmallFiles * SmallFileBytes, SmallFiles);

    /// <summary>From the start of a process to the first byte at a known address.</summary>
    public static Scenario ColdStart { get; } = new("cold start to first byte", 0, 0);

    /// <summary>1 KiB requests on a connection, alone and while bulk fills it.</summary>
    public static Scenario Requests { get; } = new("requests beside bulk on one connection", 0, 0);

    /// <exception cref="FormatException">The arguments make no sense; the message says which.</exception>
    public static Settings Parse(string[] arguments)
    {
        var settings = new Settings();
        double scale = 1;
        for (int i = 0; i < arguments.Length; i++)
        {
            string option = arguments[i];
            settings = option switch
            {
                "--memory" => settings with { MemoryBytes = Number(1) << 30 },
                "--file" => settings with { FileBytes = Number(1) << 30 },
                "--small" => settings with { SmallFiles = (int)Number(0) },
                "--rounds" => settings with { Rounds = (int)Number(1) },
                "--folder" => settings with { Folder = Path.GetFullPath(Value()) },
                "--only" => settings with { Only = [.. settings.Only, Value()] },
                "--disk" => settings with { Disk = Value() is "none" ? null : Path.GetFullPath(arguments[i]) },
                "--strace" => settings with { Strace = Value() == "yes" },
                "--wan" => settings with { Wan = Path.GetFullPath(Value()) },
                "--patience" => settings with { Patience = TimeSpan.FromSeconds(Number(1)) },
                "--json" => settings with { Json = Value() },
                "--report" => settings with { Report = Value() },
                "--history" => settings with { History = Value() },
                "--compare" => settings with { Compare = (Value(), Value()) },
                "--scale" => Scaled(),
                _ => throw new FormatException($"unknown option {option}"),
            };

            string Value() => ++i < arguments.Length ? arguments[i] : throw new FormatException($"{option} needs a value");

            long Number(long least) =>
                long.TryParse(Value(), CultureInfo.InvariantCulture, out long number) && number >= least && number <= 1_000_000_000
                    ? number : throw new FormatException($"{option} takes a whole number from {least} on, not {arguments[i]}");

            Settings Scaled()
            {
                if (!double.TryParse(Value(), CultureInfo.InvariantCulture, out scale) || scale is not (> 0 and <= 100))
                    throw new FormatException($"{option} takes a number above 0, up to 100, not {arguments[i]}");
                return settings;
            }
        }

        if (settings is { Compare: not null, History: null }) throw new FormatException("--compare needs --history FILE");
        return settings with
        {
            MemoryBytes = Mebibytes(settings.MemoryBytes),
            FileBytes = Mebibytes(settings.FileBytes),
            WanBytes = Mebibytes(settings.WanBytes),
            SmallFiles = settings.SmallFiles == 0 ? 0 : Math.Max(1, (int)(settings.SmallFiles * scale)),
        };

        long Mebibytes(long bytes) => Math.Max(1, (long)(bytes * scale) >> 20) << 20;
    }

    /// <summary>Whether a row was asked for.</summary>
    public bool Wants(Contender row) => Wants(row.Name) || Wants(row.Scenario.Name);

    /// <summary>Whether a row or a scenario of that name was.</summary>
    public bool Wants(string name) => Only.Count == 0 || Only.Any(text => name.Contains(text, StringComparison.OrdinalIgnoreCase));
}
