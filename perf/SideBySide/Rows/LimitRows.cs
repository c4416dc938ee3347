using System.Globalization;
using FastShare.SideBySide.DotNet;

namespace FastShare.SideBySide.Rows;

/// <summary>
/// Programs that do only the unavoidable: how far a goal can be reached on this machine at all. See <see cref="LimitPeer"/> and
/// <see cref="PlainLimitPeer"/>, and <see cref="SmallLimitPeer"/> for small files.
/// </summary>
internal static class LimitRows
{
    public const string Prefix = "limit: ";
    public const string Memory = Prefix + "AEGIS-128L and socket", File = Prefix + "read, AEGIS-128L, socket, XXH128, write";
    public const string PlainMemory = Prefix + "socket (plaintext)", PlainFile = Prefix + "read, socket, XXH128, write (plaintext)";

    public const string Small = Prefix + "read, AEGIS-128L, socket, XXH128, create, rename";

    public static void Add(Bench bench)
    {
        DotNetRows.AddMemory(bench, Memory, "limit", "limit");
        DotNetRows.AddMemory(bench, PlainMemory, "plain-limit", "plain-limit");
        AddFile(bench, File, "limit");
        AddFile(bench, PlainFile, "plain-limit");
        if (bench.Settings.SmallFiles > 0 && OperatingSystem.IsLinux()) AddTree(bench);
    }

    private static void AddTree(Bench bench)
    {
        string destination = Path.Combine(bench.Work, "small-limit");
        Server writer = DotNetRows.Listen(bench, "small-limit", destination);
        bench.Add(new Contender(Small, bench.Settings.Small, [writer], async (meter, token) =>
        {
            Bench.Empty(destination);
            double seconds = await DotNetRows.MoveAsync(writer, bench.Settings.Small, meter, ["small-limit", writer.Address, bench.Tree], token);
            bench.CheckTree(Small, destination);
            return seconds;
        })
        { Leaves = destination });
    }

    private static void AddFile(Bench bench, string name, string what)
    {
        string destination = Path.Combine(bench.Work, $"{what}.bin"), bytes = bench.Settings.FileBytes.ToString(CultureInfo.InvariantCulture);
        Server writer = DotNetRows.Listen(bench, what, destination);
        bench.Add(new Contender(name, bench.Settings.File, [writer], async (meter, token) =>
        {
            System.IO.File.Delete(destination);
            // Its own time, not its process's: starting the runtime is no part of the limit.
            double seconds = await DotNetRows.MoveAsync(writer, bench.Settings.File, meter, [what, writer.Address, bytes, bench.Source], token);
            bench.CheckFile(name, destination);
            return seconds;
        })
        { Leaves = destination });
    }
}
