using FastShare.Transport.Tests.Discovery;

namespace FastShare.DiscoveryPerf;

/// <summary>
/// Many nodes on one link, simulated in virtual time: every datagram reaches everyone after a millisecond, unless lost. IPv4 only: with IPv6
/// on the same link each datagram goes out twice.
/// </summary>
internal static class Crowd
{
    private const int Seeds = 5;

    public static void Measure()
    {
        Console.WriteLine("| nodes | lost | all know all after | datagrams until then | in the busiest second | idle, a minute | idle, KiB a minute | "
            + "a newcomer knows all after | datagrams that costs | KiB a node |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|---|---|");
        foreach ((int nodes, double loss) in new[] { (2, 0.0), (20, 0.0), (200, 0.0), (200, 0.1) }) Measure(nodes, loss);
    }

    private static void Measure(int nodes, double loss)
    {
        Result[] results = [.. Enumerable.Range(1, Seeds).Select(seed => Run(nodes, loss, seed))];
        double Median(Func<Result, double> value) => results.Select(value).Order().ElementAt(Seeds / 2);
        Console.WriteLine($"| {nodes} | {loss:0 %} | {Median(r => r.Converged):0.00} s | {Median(r => r.Datagrams):0} "
            + $"| {Median(r => r.Busiest):0} | {Median(r => r.IdlePerMinute):0.0} | {Median(r => r.IdleBytesPerMinute) / 1024:0.0} "
            + $"| {Median(r => r.NewcomerKnowsAll):0.00} s | {Median(r => r.NewcomerDatagrams):0} | {Median(r => r.BytesPerNode) / 1024:0} |");
    }

    private static Result Run(int nodes, double loss, int seed)
    {
        long before = GC.GetTotalMemory(forceFullCollection: true);
        var lan = new MdnsSimulation(seed) { Loss = loss };
        for (int i = 0; i < nodes; i++) lan.Add(); // all at the same moment, as after a power cut
        while (!lan.Nodes.All(node => Knows(node, nodes - 1))) lan.Run(0.01);
        double converged = lan.Now.TotalSeconds;
        int datagrams = lan.Sent.Count;
        lan.Run(120);
        int busiest = lan.Sent.GroupBy(s => (int)s.At.TotalSeconds).Max(second => second.Count());

        lan.Sent.Clear();
        const double IdleMinutes = 10;
        lan.Run(IdleMinutes * 60);
        double idle = lan.Sent.Count / IdleMinutes, idleBytes = lan.Sent.Sum(s => s.Bytes.Length) / IdleMinutes;

        lan.Sent.Clear();
        foreach (SimulatedNode node in lan.Nodes) node.Events.Clear();
        long bytes = (GC.GetTotalMemory(forceFullCollection: true) - before) / nodes;

        SimulatedNode newcomer = lan.Add();
        TimeSpan came = lan.Now;
        while (!Knows(newcomer, nodes)) lan.Run(0.01);
        return new Result(converged, datagrams, busiest, idle, idleBytes, (lan.Now - came).TotalSeconds, lan.Sent.Count, bytes);
    }

    private static bool Knows(SimulatedNode node, int others) => node.Core.PeerCount >= others;

    private sealed record Result(
        double Converged, int Datagrams, int Busiest, double IdlePerMinute, double IdleBytesPerMinute, double NewcomerKnowsAll,
        int NewcomerDatagrams, double BytesPerNode);
}
