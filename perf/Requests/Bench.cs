using System.Diagnostics;
using FastShare.Transport;
using FastShare.Transport.Identity;
using FastShare.Transport.Requests;

namespace FastShare.Requests.Perf;

/// <summary>A node that answers on loopback TCP, and a new node for every round that asks it. Both are in this process.</summary>
internal sealed class Bench : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    private readonly PeerIdentity _identity = PeerIdentity.Generate();
    private readonly Swarm _server;
    private readonly RequestResponse<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>> _answers;

    private Bench()
    {
        _server = new Swarm(new SwarmOptions { Identity = _identity });
        _answers = new RequestResponse<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>(
            _server, Protocol(RequestDirection.Inbound), (_, request, _) => ValueTask.FromResult(request));
    }

    public static async Task<Bench> StartAsync()
    {
        var bench = new Bench();
        await bench._server.ListenAsync(Multiaddr.Parse("/ip4/127.0.0.1/tcp/0"));
        return bench;
    }

    /// <summary>Sends requests at once and waits for all.</summary>
    /// <param name="count">How many.</param>
    /// <param name="size">Bytes of each, and of its response.</param>
    /// <param name="connected">Whether the nodes are connected, and know each other, before the first.</param>
    /// <exception cref="InvalidOperationException">There was more than one dial or connection.</exception>
    public async Task<Round> RunAsync(int count, int size, bool connected)
    {
        using var identity = PeerIdentity.Generate();
        await using var swarm = new Swarm(new SwarmOptions { Identity = identity });
        await using var requests = new RequestResponse<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>(swarm, Protocol(RequestDirection.Outbound));
        swarm.AddAddresses(_identity.PeerId, _server.ListenAddresses);
        double dial = 0;
        if (connected)
        {
            long dialing = Stopwatch.GetTimestamp();
            PeerConnection connection = await swarm.ConnectAsync(_identity.PeerId);
            dial = Stopwatch.GetElapsedTime(dialing).TotalSeconds;
            await connection.IdentifyAsync();
        }

        byte[] message = new byte[size];
        double[] latencies = new double[count];
        var all = new Task[count];
        GC.Collect();
        GC.WaitForPendingFinalizers();
        long allocated = GC.GetTotalAllocatedBytes(precise: true), contentions = Monitor.LockContentionCount;
        long begun = Stopwatch.GetTimestamp();
        for (int i = 0; i < count; i++) all[i] = AskAsync(i);
        await Task.WhenAll(all);
        double seconds = Stopwatch.GetElapsedTime(begun).TotalSeconds;
        allocated = GC.GetTotalAllocatedBytes(precise: true) - allocated;
        contentions = Monitor.LockContentionCount - contentions;
        if (swarm.DialCount(_identity.PeerId) != 1 || swarm.Connections.Count != 1)
            throw new InvalidOperationException($"{swarm.DialCount(_identity.PeerId)} dials, {swarm.Connections.Count} connections instead of one");

        Array.Sort(latencies);
        return new Round(
            seconds, dial, latencies[count / 2] * 1000, latencies[(int)(count * 0.99)] * 1000, (double)allocated / count, contentions);

        async Task AskAsync(int i)
        {
            long called = Stopwatch.GetTimestamp();
            ReadOnlyMemory<byte> response = await requests.SendAsync(_identity.PeerId, message);
            latencies[i] = Stopwatch.GetElapsedTime(called).TotalSeconds;
            if (response.Length != size) throw new InvalidOperationException($"{response.Length} bytes came back instead of {size}");
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _answers.DisposeAsync();
        await _server.DisposeAsync();
        _identity.Dispose();
    }

    private static RequestProtocol<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>> Protocol(RequestDirection direction) => new(
        "/fastshare/perf/echo/1", BytesCodec.Instance, BytesCodec.Instance,
        new RequestProtocolOptions { Direction = direction, Timeout = Patience, MaxQueuedRequests = 1_000_000, MaxQueuedBytes = 1L << 32 });
}
