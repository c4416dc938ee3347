using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Text;
using FastShare.Transport.Identity;
using FastShare.Transport.Requests;
using FastShare.Transport.Sockets;

namespace FastShare.Transport.Tests.Simulation;

/// <summary>
/// Nodes on real sockets with a request protocol, which send each other requests from many threads while connections are closed,
/// callers cancel and nodes go and come back. Counts how often each request was carried out.
/// </summary>
internal sealed class RequestStorm : IAsyncDisposable
{
    private static readonly RequestProtocol<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>> Protocol =
        new("/test/request-storm/1", BytesCodec.Instance, BytesCodec.Instance, new() { Timeout = TimeSpan.FromSeconds(40) });

    /// <summary>For requests that must be answered whatever happens to connections.</summary>
    private static readonly RequestOptions Patient = new()
    {
        IsIdempotent = true,
        Retry = new RetryPolicy { MaxAttempts = int.MaxValue, MaxDelay = TimeSpan.FromMilliseconds(100) },
    };

    private readonly Node[] _nodes;
    private readonly ConcurrentDictionary<long, int> _carriedOut = new();
    private readonly ConcurrentDictionary<long, string> _open = new();
    private readonly ConcurrentQueue<string> _wrong = new();
    private long _numbers;
    private int _answers;

    public RequestStorm(int nodes) => _nodes = [.. Enumerable.Range(0, nodes).Select(_ => new Node())];

    public int Answers => Volatile.Read(ref _answers);

    public async Task StartAsync()
    {
        foreach (Node node in _nodes) await StartAsync(node);
        foreach (Node node in _nodes) Introduce(node);
    }

    /// <summary>So many workers send so many bursts each, of up to 50 requests to one peer.</summary>
    public async Task RageAsync(int workers, int bursts, int closings, int cancellations, ulong seed)
    {
        using var gate = new Barrier(workers + 1);
        Task[] running = [.. Enumerable.Range(0, workers).Select(worker => Task.Factory.StartNew(
            () =>
            {
                gate.SignalAndWait();
                return WorkAsync(bursts, closings, cancellations, new SeededRandom(seed + (ulong)worker));
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).Unwrap())];
        gate.SignalAndWait();
        await GuardAsync(Task.WhenAll(running), "the storm");
        ThrowIfWrong();
    }

    /// <summary>A node goes, with whatever was under way, and comes back under its name and address.</summary>
    public async Task RestartAsync(int index)
    {
        Node node = _nodes[index];
        await node.StopAsync();
        await StartAsync(node);
        Introduce(node);
    }

    /// <summary>Patient requests from one node to another.</summary>
    public Task BurstAsync(int from, int to, int requests) =>
        Task.WhenAll(Enumerable.Range(0, requests).Select(_ => SendAsync(from, to, isPatient: true, CancellationToken.None)));

    /// <summary>The most connections between any two nodes, as either sees it.</summary>
    public int MostConnections() => _nodes.Max(node => _nodes.Where(p => p != node)
        .Max(peer => node.Swarm!.Connections.Count(c => c.Peer == peer.Identity.PeerId)));

    public void ThrowIfWrong()
    {
        if (!_wrong.IsEmpty) Assert.Fail($"{string.Join(Environment.NewLine, _wrong.Take(10))}{Environment.NewLine}{Dump()}");
    }

    /// <summary>Waits for something that must end; if it does not, says what was open.</summary>
    public async Task GuardAsync(Task task, string what)
    {
        try
        {
            await task.WaitAsync(TimeSpan.FromSeconds(90));
        }
        catch (TimeoutException)
        {
            Assert.Fail($"{what} did not end: {Dump()}");
        }
    }

    public async ValueTask DisposeAsync()
    {
        await GuardAsync(Task.WhenAll(_nodes.Select(n => n.StopAsync())), "closing");
        foreach (Node node in _nodes) node.Identity.Dispose();
    }

    private async Task WorkAsync(int bursts, int closings, int cancellations, SeededRandom random)
    {
        for (int i = 0; i < bursts; i++)
        {
            int from = random.Below(_nodes.Length), to = (from + random.Between(1, _nodes.Length - 1)) % _nodes.Length;
            using var cancellation = new CancellationTokenSource();
            bool isPatient = random.Percent(70);
            var burst = new List<Task>();
            int requests = random.Between(1, 50), cancelled = random.Percent(cancellations) ? random.Between(1, requests) : 0;
            for (int r = 0; r < requests; r++)
                burst.Add(SendAsync(from, to, isPatient, r < cancelled ? cancellation.Token : CancellationToken.None));
            if (random.Percent(closings) && _nodes[from].Swarm!.Connections is { Count: > 0 } open)
            {
                PeerConnection connection = random.Pick(open);
                if (random.Percent(50)) await connection.CloseAsync();
                else connection.Abort(new TransportException(TransportError.Aborted, "the storm"));
            }

            if (random.Percent(50)) await Task.Yield();
            await cancellation.CancelAsync();
            await Task.WhenAll(burst);
        }
    }

    // Never faults: what should not be is noted.
    private async Task SendAsync(int from, int to, bool isPatient, CancellationToken token)
    {
        long number = Interlocked.Increment(ref _numbers);
        byte[] question = new byte[8 + number % 3000];
        BinaryPrimitives.WriteInt64LittleEndian(question, number);
        _open[number] = $"request {number} from {from} to {to}";
        try
        {
            RequestOptions? options = isPatient ? Patient : null;
            ReadOnlyMemory<byte> answer = await _nodes[from].Requests!.SendAsync(_nodes[to].Identity.PeerId, question, options, token);
            if (!answer.Span.SequenceEqual(question)) _wrong.Enqueue($"request {number} got the wrong answer");
            if (_carriedOut.GetValueOrDefault(number) == 0) _wrong.Enqueue($"request {number} was answered and never carried out");
            Interlocked.Increment(ref _answers);
        }
        catch (OperationCanceledException) when (token.IsCancellationRequested)
        {
        }
        catch (RequestException e) when (!isPatient && e.Failure is RequestFailure.ConnectionClosed or RequestFailure.Io)
        {
            // Lost with its connection when it may have been carried out: it must not be sent again.
        }
        catch (Exception e)
        {
            _wrong.Enqueue($"request {number} from {from} to {to}, patient: {isPatient}: {e}");
        }
        finally
        {
            _open.TryRemove(number, out _);
        }

        if (!isPatient && _carriedOut.GetValueOrDefault(number) > 1) _wrong.Enqueue($"request {number} was carried out twice");
    }

    private async Task StartAsync(Node node)
    {
        node.Swarm = new Swarm(new SwarmOptions { Identity = node.Identity, Transports = [new TcpTransport()] });
        node.Requests = new RequestResponse<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>(node.Swarm, Protocol, AnswerAsync);
        node.Address = await node.Swarm.ListenAsync(node.Address);
    }

    private void Introduce(Node node)
    {
        foreach (Node peer in _nodes.Where(p => p != node))
        {
            node.Swarm!.AddAddresses(peer.Identity.PeerId, [peer.Address]);
            peer.Swarm!.AddAddresses(node.Identity.PeerId, [node.Address]);
        }
    }

    private async ValueTask<ReadOnlyMemory<byte>> AnswerAsync(
        RequestContext context, ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
    {
        long number = BinaryPrimitives.ReadInt64LittleEndian(request.Span);
        _carriedOut.AddOrUpdate(number, 1, static (_, count) => count + 1);
        if (number % 4 == 0) await Task.Yield();
        return request;
    }

    private string Dump()
    {
        var text = new StringBuilder();
        text.AppendLine($"{Answers} answers of {Interlocked.Read(ref _numbers)}; open: {string.Join(", ", _open.Values.Take(10))}");
        for (int i = 0; i < _nodes.Length; i++)
        {
            if (_nodes[i].Swarm is not { } swarm) continue;
            var connections = swarm.Connections.Select(c => $"{(c.IsInbound ? "<" : ">")}{c.RemoteAddress}");
            text.AppendLine($"node {i}: {_nodes[i].Requests!.Client!.Queue.PendingCount} pending; {string.Join(", ", connections)}");
        }

        return text.ToString();
    }

    private sealed class Node
    {
        public PeerIdentity Identity { get; } = PeerIdentity.Generate();

        // An address that other tests do not use: nobody takes the port while the node is away.
        public Multiaddr Address { get; set; } =
            Multiaddr.Parse(OperatingSystem.IsLinux() ? "/ip4/127.77.0.1/tcp/0" : "/ip4/127.0.0.1/tcp/0");

        public Swarm? Swarm { get; set; }

        public RequestResponse<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>? Requests { get; set; }

        public async Task StopAsync()
        {
            // The connections go first, as when a process ends: a node that is still there without its protocol would truthfully say
            // that it does not serve it, and that is final.
            if (Swarm is not null) await Swarm.DisposeAsync();
            if (Requests is not null) await Requests.DisposeAsync();
        }
    }
}
