using System.Globalization;

namespace FastShare.SideBySide;

/// <summary>
/// What moves over the network while a client runs: bytes received over the loopback interface, or, where the client has gone into a
/// network namespace of its own, what its busiest interface there moved in its busier direction. Linux; elsewhere zero.
/// </summary>
internal sealed class Traffic
{
    private readonly string? _here = NamespaceOf("self");
    private string? _namespace; // whose counters _before is of
    private long _before;

    public Traffic() => Since([]);

    /// <summary>Bytes since the last call.</summary>
    /// <param name="client">The client's processes.</param>
    public long Since(IEnumerable<int> client)
    {
        string process = "self", space = _here ?? "";
        foreach (int id in client)
        {
            if (NamespaceOf($"{id}") is not { } other || other == _here) continue;
            process = $"{id}";
            space = other;
            break;
        }

        long now = Counted(process, loopback: space == _here);
        // what was counted in another namespace says nothing here
        long moved = space == _namespace ? Math.Max(0, now - _before) : 0;
        (_namespace, _before) = (space, now);
        return moved;
    }

    // proc_net_dev(5): a line for each interface, its bytes received first, its bytes sent ninth.
    private static long Counted(string process, bool loopback)
    {
        try
        {
            return File.ReadLines($"/proc/{process}/net/dev").Skip(2).Select(line => line.Split(':')).Where(line => line[0].Trim() == "lo" == loopback)
                .Select(line => line[1].Split(' ', StringSplitOptions.RemoveEmptyEntries))
                .Select(counts => loopback ? Number(counts[0]) : Math.Max(Number(counts[0]), Number(counts[8])))
                .DefaultIfEmpty().Max();
        }
        catch (IOException)
        {
            return 0; // it ended meanwhile, or there is no such file here
        }
    }

    private static string? NamespaceOf(string process)
    {
        try
        {
            return new FileInfo($"/proc/{process}/ns/net").LinkTarget;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);
}
