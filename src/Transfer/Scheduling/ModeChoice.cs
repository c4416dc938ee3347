using System.Globalization;

namespace FastShare.Transfer.Scheduling;

/// <summary>Which mode suits the work, and why.</summary>
internal readonly record struct ModeChoice(TransferMode Mode, string Why)
{
    /// <summary>From this many files on, opening and closing them costs enough to be worth doing several at once.</summary>
    private const int ManyFiles = 16;

    /// <summary>Files below this size, in bytes, are one chunk each, so that one stream would wait for each file's opening.</summary>
    private const long SmallFile = 1 << 20;

    /// <summary>
    /// Parallel for many small files; sequential for everything else, as one stream fills most paths and is kind to disks.
    /// </summary>
    public static ModeChoice For(long files, long bytes)
    {
        if (files < ManyFiles)
        {
            return new ModeChoice(
                TransferMode.Sequential, string.Create(CultureInfo.InvariantCulture, $"{files} files: few enough to go one after another"));
        }
        long average = bytes / files;
        return average < SmallFile
            ? new ModeChoice(TransferMode.Parallel, string.Create(CultureInfo.InvariantCulture,
                $"{files} files of {average / 1024.0:0.#} KiB on average: opening them takes longer than sending them"))
            : new ModeChoice(TransferMode.Sequential, string.Create(CultureInfo.InvariantCulture,
                $"{files} files of {average / 1048576.0:0.#} MiB on average: large enough to fill one stream"));
    }
}
