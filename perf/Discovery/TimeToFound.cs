using System.Diagnostics;
using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;

namespace FastShare.DiscoveryPerf;

/// <summary>From the start of the second of two nodes until the searching one has found the announcing one; real sockets, loopback.</summary>
internal static class TimeToFound
{
    private const int Pairs = 20; // at once, each with a service name of its own

    public static async Task MeasureAsync(int rounds)
    {
        Console.WriteLine("| who was there first | median ms | 95 % ms | max ms | rounds |\n|---|---|---|---|---|");
        foreach (bool searcherFirst in new[] { true, false })
        {
            var times = new List<double>();
            for (int round = 0; round < rounds; round++)
                times.AddRange(await Task.WhenAll(Enumerable.Range(0, Pairs).Select(_ => Task.Run(() => OnceAsync(searcherFirst)))));
            times.Sort();
            string who = searcherFirst ? "the searcher" : "the announcer";
            Console.WriteLine(
                $"| {who} | {times[times.Count / 2]:0} | {times[times.Count * 95 / 100]:0} | {times[^1]:0} | {times.Count} |");
        }
    }

    private static async Task<double> OnceAsync(bool searcherFirst)
    {
        string service = $"_fs{Guid.NewGuid():N}._udp.local";
        var found = new TaskCompletionSource<long>(TaskCreationOptions.RunContinuationsAsynchronously);
        using PeerIdentity announcerId = PeerIdentity.Generate(), searcherId = PeerIdentity.Generate();
        await using var announcer = new MdnsDiscovery(new MdnsOptions { ServiceName = service, Interfaces = ["lo"] });
        await using var searcher = new MdnsDiscovery(new MdnsOptions { ServiceName = service, Interfaces = ["lo"] });
        ValueTask Announce() => announcer.StartAsync(announcerId.PeerId, [Multiaddr.Parse("/ip4/127.0.0.1/tcp/4001")], _ => { }, default);
        ValueTask Search() => searcher.StartAsync(searcherId.PeerId, [], _ => found.TrySetResult(Stopwatch.GetTimestamp()), default);
        if (searcherFirst) await Search();
        else await Announce();
        // Past the first queries and announcements, and at no particular moment after them.
        await Task.Delay(TimeSpan.FromSeconds(9 + Random.Shared.NextDouble()));
        long start = Stopwatch.GetTimestamp();
        if (searcherFirst) await Announce();
        else await Search();
        return Stopwatch.GetElapsedTime(start, await found.Task).TotalMilliseconds;
    }
}
