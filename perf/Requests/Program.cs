using System.Globalization;
using FastShare.Requests.Perf;

// Requests at once to a peer that is not connected, against the same on a connection that is, in turn.
//   FastShare.Requests.Perf [--requests 10000] [--size 1024] [--rounds 9]
CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
int count = 10_000, size = 1024, rounds = 9;
for (int i = 0; i < args.Length; i += 2)
{
    if (i + 1 == args.Length || !int.TryParse(args[i + 1], out int value) || value < 1) return Usage();
    switch (args[i])
    {
        case "--requests": count = value; break;
        case "--size": size = value; break;
        case "--rounds": rounds = value; break;
        default: return Usage();
    }
}

await using Bench bench = await Bench.StartAsync();
List<Round> undialed = [], connected = [];
for (int i = -2; i < rounds; i++)
{
    // In turn, so that a machine whose speed drifts treats both alike; the first two rounds warm up.
    Round with, without;
    if (i % 2 == 0)
    {
        without = await bench.RunAsync(count, size, connected: false);
        with = await bench.RunAsync(count, size, connected: true);
    }
    else
    {
        with = await bench.RunAsync(count, size, connected: true);
        without = await bench.RunAsync(count, size, connected: false);
    }

    if (i < 0) continue;
    undialed.Add(without);
    connected.Add(with);
    Console.Error.WriteLine($"round {i + 1}: not connected {without.Seconds:0.000} s, connected {with.Seconds:0.000} s + dial {with.DialSeconds * 1000:0.0} ms");
}

Console.WriteLine($"{count} requests at once of {size} bytes, echoed, loopback TCP, Noise; {rounds} rounds in turn; one dial and no failure in each");
Console.WriteLine();
Console.WriteLine("| | requests/s median (min–max) | p50 ms | p99 ms | bytes allocated per request, both nodes | lock waits per round |");
Console.WriteLine("|---|---|---|---|---|---|");
Print("to a peer not connected, dial included", undialed);
Print("on a connection", connected);
double[] ratios = [.. undialed.Zip(connected, (u, c) => u.Seconds / (c.Seconds + c.DialSeconds)).Order()];
Console.WriteLine();
Console.WriteLine(
    $"Time not connected ÷ (connected + its dial), round by round: median {Middle(ratios):0.00} ({ratios[0]:0.00}–{ratios[^1]:0.00}); "
    + $"the dial alone: {Middle([.. connected.Select(r => r.DialSeconds * 1000).Order()]):0.0} ms");
return 0;

static double Middle(double[] sorted) => sorted[sorted.Length / 2];

static int Usage()
{
    Console.Error.WriteLine("usage: FastShare.Requests.Perf [--requests N] [--size BYTES] [--rounds N]");
    return 2;
}

void Print(string name, List<Round> rows)
{
    double[] rates = [.. rows.Select(r => count / r.Seconds).Order()];
    Console.WriteLine(
        $"| {name} | {Middle(rates):0} ({rates[0]:0}–{rates[^1]:0}) | {Middle([.. rows.Select(r => r.P50).Order()]):0} "
        + $"| {Middle([.. rows.Select(r => r.P99).Order()]):0} | {Middle([.. rows.Select(r => r.BytesPerRequest).Order()]):0} "
        + $"| {Middle([.. rows.Select(r => (double)r.Contentions).Order()]):0} |");
}
