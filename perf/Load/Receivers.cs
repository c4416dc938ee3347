using System.Diagnostics;
using FastShare.Transport;
using FastShare.Transport.Identity;
using FastShare.Transport.Protocols;

namespace FastShare.Load.Perf;

/// <summary>Many nodes with an identity and a connection each, which begin to fetch from one sender at the same moment.</summary>
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
            long begun = Stopwatch.GetTimestamp();
            double[] seconds = await Task.WhenAll(connections.Select(FetchAsync));
            return $$"""{"seconds":{{Stopwatch.GetElapsedTime(begun).TotalSeconds:R}},"each":[{{string.Join(',', seconds.Select(s => s.ToString("R")))}}]}""";

            async Task<double> FetchAsync(PeerConnection connection)
            {
                await Task.Yield();
                await PerfClient.RunAsync(connection, 0, bytes);
                return Stopwatch.GetElapsedTime(begun).TotalSeconds;
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
}
