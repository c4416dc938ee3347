using System.Globalization;

namespace FastShare.SideBySide;

/// <summary>What the command line asks for.</summary>
/// <param name="MemoryBytes">Bytes moved from memory to memory.</param>
/// <param name="FileBytes">Size of the file moved.</param>
/// <param name="Rounds">Counted rounds; one more warms up.</param>
/// <param name="Folder">Where files stand; memory-backed, or the disk is what is measured.</param>
/// <param name="Only">Only rows whose name contains this.</param>
internal sealed record Settings(long MemoryBytes, long FileBytes, int Rounds, string Folder, string? Only)
{
    public const string Usage =
        """
        usage: dotnet run -c Release --project perf/SideBySide -- [options]
          --memory GIB   bytes moved from memory to memory, in GiB (4)
          --file GIB     size of the file moved, in GiB (2)
          --rounds N     counted rounds, after one to warm up (5)
          --folder DIR   where the files stand (/dev/shm if there is one)
          --only TEXT    only rows whose name contains TEXT
        """;

    public static Settings Parse(string[] arguments)
    {
        long memory = 4, file = 2;
        int rounds = 5;
        string folder = Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath();
        string? only = null;
        for (int i = 0; i < arguments.Length; i += 2)
        {
            string value = i + 1 < arguments.Length ? arguments[i + 1] : throw new FormatException($"{arguments[i]} needs a value");
            switch (arguments[i])
            {
                case "--memory": memory = long.Parse(value, CultureInfo.InvariantCulture); break;
                case "--file": file = long.Parse(value, CultureInfo.InvariantCulture); break;
                case "--rounds": rounds = int.Parse(value, CultureInfo.InvariantCulture); break;
                case "--folder": folder = value; break;
                case "--only": only = value; break;
                default: throw new FormatException($"unknown option {arguments[i]}");
            }
        }

        return new Settings(memory << 30, file << 30, rounds, folder, only);
    }
}
