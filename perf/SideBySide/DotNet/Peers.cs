using System.Globalization;

namespace FastShare.SideBySide.DotNet;

/// <summary>
/// The .NET libraries that are compared, each as a server and a client process of this very program, so that both ends are measured
/// like any other tool's. Buffers are of 1 MiB; servers tell <c>ready PORT</c> and, of each client,
/// <c>served</c> and the bytes they allocated; clients the seconds they took and the bytes they allocated.
/// </summary>
internal static class Peers
{
    public const int BufferLength = 1 << 20;

    private static long _told; // interlocked

    /// <summary>Runs <c>listen NAME</c> or <c>move NAME …</c>; false: the arguments ask for something else.</summary>
    public static async Task<bool> TryRunAsync(string[] arguments, CancellationToken stop)
    {
        switch (arguments)
        {
            case ["listen", "ssl"]: await SslPeer.ListenAsync(stop); return true;
            case ["listen", "nerdbank"]: await NerdbankPeer.ListenAsync(stop); return true;
            case ["listen", "kestrel"]: await KestrelPeer.ListenAsync(stop); return true;
            case ["listen", "limit"]: LimitPeer.Listen(destination: null); return true;
            case ["listen", "limit", var destination]: LimitPeer.Listen(destination); return true;
            case ["move", "limit", var port, var bytes]: Tell(LimitPeer.Send(Port(port), Bytes(bytes), source: null)); return true;
            case ["move", "limit", var port, var bytes, var source]: Tell(LimitPeer.Send(Port(port), Bytes(bytes), source)); return true;
            case ["listen", "many-limit"]: ManyLimitPeer.Listen(); return true;
            case ["move", "many-limit", var port, var count, var each]:
                Console.WriteLine(ManyLimitPeer.Receive(Port(port), int.Parse(count, CultureInfo.InvariantCulture), Bytes(each)));
                return true;
            case ["listen", "small-limit", var destination]: SmallLimitPeer.Listen(destination); return true;
            case ["move", "small-limit", var port, var source]: Tell(SmallLimitPeer.Send(Port(port), source)); return true;
            case ["listen", "plain-limit"]: PlainLimitPeer.Listen(destination: null); return true;
            case ["listen", "plain-limit", var destination]: PlainLimitPeer.Listen(destination); return true;
            case ["move", "plain-limit", var port, var bytes]: Tell(PlainLimitPeer.Send(Port(port), Bytes(bytes), source: null)); return true;
            case ["move", "plain-limit", var port, var bytes, var source]: Tell(PlainLimitPeer.Send(Port(port), Bytes(bytes), source)); return true;
            case ["move", "ssl", var port, var bytes]: Tell(await SslPeer.SendAsync(Port(port), Bytes(bytes), stop)); return true;
            case ["move", "nerdbank", var port, var bytes]: Tell(await NerdbankPeer.SendAsync(Port(port), Bytes(bytes), stop)); return true;
            case ["move", "http1", var port, var bytes]: Tell(await KestrelPeer.FetchAsync(Port(port), Bytes(bytes), new(1, 1), stop)); return true;
            case ["move", "http2", var port, var bytes]: Tell(await KestrelPeer.FetchAsync(Port(port), Bytes(bytes), new(2, 0), stop)); return true;
            case ["sftp", var port, var user, var key, var source, var destination]:
                SftpPeer.Fetch(Port(port), user, key, source, destination);
                Tell(TimeSpan.Zero); // its process's life counts
                return true;
            default: return false;
        }
    }

    /// <summary>What servers say when they accept.</summary>
    public static void Ready(int port) => Console.WriteLine($"ready {port.ToString(CultureInfo.InvariantCulture)}");

    /// <summary>What servers say after each client: managed memory that they allocated since the last, or since their start.</summary>
    public static void Served()
    {
        long now = GC.GetTotalAllocatedBytes();
        Console.WriteLine($"served {(now - Interlocked.Exchange(ref _told, now)).ToString(CultureInfo.InvariantCulture)}");
    }

    // Seconds, and managed memory that the process allocated.
    private static void Tell(TimeSpan taken) => Console.WriteLine(string.Create(
        CultureInfo.InvariantCulture, $"{taken.TotalSeconds:R} {GC.GetTotalAllocatedBytes()}"));

    private static int Port(string text) => int.Parse(text, CultureInfo.InvariantCulture);

    private static long Bytes(string text) => long.Parse(text, CultureInfo.InvariantCulture);
}
