using System.Diagnostics;
using FastShare.Transport;
using FastShare.Transport.Identity;
using FastShare.Transport.Protocols;
using FastShare.Transport.Requests;

namespace FastShare.Load.Perf;

/// <summary>
/// Requests of 1 KiB, echoed, one after the other with a pause between: on an idle connection, then while the perf protocol fills the same
/// connection as fast as it can.
/// </summary>
internal static class RequestLatency
{
    private const int Size = 1024, WarmUp = 200;

    // One request at a time every so often: it is the connection that is measured, not a queue of requests.
    private static readonly TimeSpan _pause = TimeSpan.FromMilliseconds(2);

    public static async Task ServeAsync()
    {
        using var identity = PeerIdentity.Generate();
        await using var swarm = new Swarm(new SwarmOptions { Identity = identity });
        swarm.EnablePerf();
        await using var answers = new RequestResponse<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>(
            swarm, Protocol(RequestDirection.Inbound), (_, request, _) => ValueTask.FromResult(request));
        await swarm.ListenAsync(Multiaddr.Parse("/ip4/127.0.0.1/tcp/0"));
        Console.WriteLine($"ready {swarm.ListenAddresses[0].WithPeerId(identity.PeerId)}");
        await Task.Delay(Timeout.Infinite);
    }

    public static async Task<string> MeasureAsync(Multiaddr address, int requests)
    {
        using var identity = PeerIdentity.Generate();
        await using var swarm = new Swarm(new SwarmOptions { Identity = identity });
        await using var asking = new RequestResponse<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>(swarm, Protocol(RequestDirection.Outbound));
        PeerId peer = address.PeerId ?? throw new ArgumentException($"{address} names no peer");
        PeerConnection connection = await swarm.ConnectAsync(peer, [address]);
        await connection.IdentifyAsync();
        await AskAsync(WarmUp);
        (double idle50, double idle99) = await AskAsync(requests);

        using var enough = new CancellationTokenSource();
        long uploaded = 0, begun = Stopwatch.GetTimestamp();
        var progress = new Counter(bytes => Volatile.Write(ref uploaded, bytes));
        Task bulk = PerfClient.RunAsync(connection, ulong.MaxValue / 2, 0, progress, cancellationToken: enough.Token);
        await AskAsync(WarmUp); // it has filled what there is to fill
        (double loaded50, double loaded99) = await AskAsync(requests);
        double rate = Volatile.Read(ref uploaded) / Stopwatch.GetElapsedTime(begun).TotalSeconds;
        if (bulk.IsCompleted) await bulk;
        await enough.CancelAsync();
        await bulk.ContinueWith(_ => { }, TaskScheduler.Default);
        if (swarm.Connections.Count != 1) throw new InvalidOperationException($"{swarm.Connections.Count} connections instead of one");
        return $$"""{"idleP50Ms":{{idle50:0.0000}},"idleP99Ms":{{idle99:0.0000}},"loadedP50Ms":{{loaded50:0.0000}},"loadedP99Ms":{{loaded99:0.0000}},"bulkBytesPerSecond":{{rate:0}}}""";

        async Task<(double P50, double P99)> AskAsync(int count)
        {
            byte[] message = new byte[Size];
            double[] latencies = new double[count];
            for (int i = 0; i < count; i++)
            {
                long called = Stopwatch.GetTimestamp();
                ReadOnlyMemory<byte> response = await asking.SendAsync(peer, message);
                latencies[i] = Stopwatch.GetElapsedTime(called).TotalMilliseconds;
                if (response.Length != Size) throw new InvalidOperationException($"{response.Length} bytes came back instead of {Size}");
                await Task.Delay(_pause);
            }

            Array.Sort(latencies);
            return (latencies[count / 2], latencies[(int)(count * 0.99)]);
        }
    }

    private static RequestProtocol<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>> Protocol(RequestDirection direction) => new(
        "/fastshare/perf/echo/1", BytesCodec.Instance, BytesCodec.Instance,
        new RequestProtocolOptions { Direction = direction, Timeout = TimeSpan.FromMinutes(1) });

    private sealed class Counter(Action<long> uploaded) : IProgress<PerfProgress>
    {
        public void Report(PerfProgress value) => uploaded((long)value.Uploaded);
    }
}
