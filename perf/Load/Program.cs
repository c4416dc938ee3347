using System.Globalization;
using FastShare.Load.Perf;
using FastShare.Transport.Identity;

// What a node does under load, over loopback TCP with Noise; one line of JSON each.
//   serve                              answers requests and serves bulk; says "ready ADDRESS"
//   latency ADDRESS REQUESTS           requests one at a time, alone and beside bulk on the same connection
//   receivers ADDRESS COUNT BYTES      so many nodes fetch at once from one perf server, so many bytes each
CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
switch (args)
{
    case ["serve"]:
        await RequestLatency.ServeAsync();
        return 0;
    case ["latency", var address, var requests]:
        Console.WriteLine(await RequestLatency.MeasureAsync(Multiaddr.Parse(address), int.Parse(requests)));
        return 0;
    case ["receivers", var address, var count, var bytes]:
        Console.WriteLine(await Receivers.MeasureAsync(Multiaddr.Parse(address), int.Parse(count), ulong.Parse(bytes)));
        return 0;
    default:
        Console.Error.WriteLine("usage: FastShare.Load.Perf serve | latency ADDRESS REQUESTS | receivers ADDRESS COUNT BYTES");
        return 2;
}
