using System.Diagnostics;
using FastShare.Transport;
using FastShare.Transport.Identity;
using FastShare.Transport.Protocols;

namespace FastShare.Load.Perf;

/// <summary>
/// Many nodes with an identity and a connection each, which begin to fetch from one sender at the same moment: all are connected and have
/// moved something before. Tells when each had everything, and how much each had when the first was done, as all were active until then.
/// </summary>
internal static class Receivers
{
    public static async Task<string> MeasureAsync(Multiaddr sender, int count, ulong bytes)
    {
        PeerId peer = sender.PeerId ?? throw new ArgumentException($"{sender} names no peer");
        var nodes = new List<(PeerIdentity Identity, Swarm Swarm)>();
        try
        {
            var connections = new List<PeerConnection>();
            for (int i = 0; i < count; i++)
            {
                var identity = PeerIdentity.Generate();
                var swarm = new Swarm(new SwarmOptions { Identity = identity });
                nodes.Add((identity, swarm));
                PeerConnection connection = await swarm.ConnectAsync(peer, [sender]);
                await connection.IdentifyAsync();
                connections.Add(connection);
            }

            await Task.WhenAll(connections.Select(connection => PerfClient.RunAsync(connection, 0, 1 << 20))); // warms up
            long[] received = new long[count];
            long[]? whenFirstDone = null;
            long begun = 0;
            using var start = new SemaphoreSlim(0);
            Task<double>[] fetching = [.. Enumerable.Range(0, count).Select(FetchAsync)];
            begun = Stopwatch.GetTimestamp();
            start.Release(count);
            double[] seconds = await Task.WhenAll(fetching);
            double all = Stopwatch.GetElapsedTime(begun).TotalSeconds;
            string each = string.Join(',', seconds.Select(s => s.ToString("R")));
            return $$"""{"seconds":{{all:R}},"each":[{{each}}],"whenFirstDone":[{{string.Join(',', whenFirstDone!)}}]}""";

            async Task<double> FetchAsync(int receiver)
            {
                await start.WaitAsync();
                var progress = new Counter(has => Volatile.Write(ref received[receiver], has));
                await PerfClient.RunAsync(connections[receiver], 0, bytes, progress);
                double at = Stopwatch.GetElapsedTime(begun).TotalSeconds;
                if (Volatile.Read(ref whenFirstDone) is null)
                {
                    long[] snapshot = new long[count];
                    for (int i = 0; i < count; i++) snapshot[i] = Volatile.Read(ref received[i]);
                    Interlocked.CompareExchange(ref whenFirstDone, snapshot, null);
                }

                return at;
            }
        }
        finally
        {
            foreach ((PeerIdentity identity, Swarm swarm) in nodes)
            {
                await swarm.DisposeAsync();
                identity.Dispose();
            }
        }
    }

    private sealed class Counter(Action<long> received) : IProgress<PerfProgress>
    {
        public void Report(PerfProgress value) => received((long)value.Downloaded);
    }
}
