using System.Buffers;
using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Text;
using FastShare.Testing;
using FastShare.Testing.Sockets;
using FastShare.Transport.Tests.Connections;

namespace FastShare.Transport.Tests.Simulation;

/// <summary>Nodes on real sockets that call each other from many threads while connections are closed and callers cancel.</summary>
/// <remarks>Every failure is held against what the storm did; whatever it did not cause fails the test.</remarks>
internal sealed class Storm : IAsyncDisposable
{
    private const string Protocol = "/test/storm/1";

    private readonly TestNodes _nodes = new();
    private readonly List<Swarm> _swarms = [];
    private readonly ConcurrentDictionary<int, string> _doing = new();
    private readonly ConcurrentQueue<string> _wrong = new();
    private long _closings; // connections that the storm closed
    private int _answers;
    private int _cancelled;
    private int _lost;

    public int Answers => Volatile.Read(ref _answers);

    public int Cancelled => Volatile.Read(ref _cancelled);

    public IReadOnlyList<Swarm> Swarms => _swarms;

    public async Task StartAsync(int nodes)
    {
        for (int i = 0; i < nodes; i++)
        {
            Swarm swarm = await _nodes.StartTcpAsync();
            swarm.Handle(Protocol, Questions.EchoAsync);
            _swarms.Add(swarm);
        }

        foreach (Swarm swarm in _swarms)
        {
            foreach (Swarm peer in _swarms.Where(p => p != swarm)) swarm.AddAddresses(peer.LocalPeer, peer.ListenAddresses);
        }
    }

    /// <summary>So many workers make so many calls each; <paramref name="closings"/> percent of the steps close a connection.</summary>
    public async Task RageAsync(int workers, int calls, int closings, int cancellations, ulong seed)
    {
        using var gate = new Barrier(workers + 1);
        Task[] running = [.. Enumerable.Range(0, workers).Select(worker => Task.Factory.StartNew(
            () =>
            {
                gate.SignalAndWait();
                return WorkAsync(worker, calls, closings, cancellations, new SeededRandom(seed + (ulong)worker));
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).Unwrap())];
        gate.SignalAndWait();
        await GuardAsync(Task.WhenAll(running), "the storm");
        if (!_wrong.IsEmpty) Assert.Fail($"{string.Join(Environment.NewLine, _wrong.Take(10))}{Environment.NewLine}{Dump()}");
    }

    /// <summary>Workers call until the nodes are closed: then a call ends, with whatever error.</summary>
    public Task CallUntilClosedAsync(int workers) => Task.WhenAll(Enumerable.Range(0, workers).Select(worker => Task.Run(async () =>
    {
        var random = new SeededRandom((ulong)worker);
        try
        {
            while (true)
            {
                int from = random.Below(_swarms.Count), to = (from + 1) % _swarms.Count;
                _doing[worker] = $"node {from} calls node {to} until they are closed";
                await CallAsync(_swarms[from], _swarms[to], 100, (byte)worker, CancellationToken.None);
                Interlocked.Increment(ref _answers);
            }
        }
        catch (TransportException)
        {
            _doing[worker] = "is done";
        }
    })));

    public Task WhenAnsweredAsync(int answers)
    {
        int target = Answers + answers;
        return Eventually.BecomesTrueAsync(() => Answers >= target, $"{answers} answers");
    }

    /// <summary>Closes all nodes at once, while calls are under way.</summary>
    public Task DisposeAllAsync() => GuardAsync(Task.WhenAll(_swarms.Select(s => Task.Run(async () => await s.DisposeAsync()))), "closing");

    /// <summary>Waits for something that must end; if it does not, says what everybody was doing.</summary>
    public async Task GuardAsync(Task task, string what)
    {
        try
        {
            await task.WaitAsync(TimeSpan.FromSeconds(60));
        }
        catch (TimeoutException)
        {
            Assert.Fail($"{what} did not end: {Dump()}");
        }
    }

    public ValueTask DisposeAsync() => _nodes.DisposeAsync();

    private async Task WorkAsync(int worker, int calls, int closings, int cancellations, SeededRandom random)
    {
        for (int call = 0; call < calls; call++)
        {
            int from = random.Below(_swarms.Count), to = (from + random.Between(1, _swarms.Count - 1)) % _swarms.Count;
            if (random.Percent(closings) && _swarms[from].Connections is { Count: > 0 } open)
            {
                _doing[worker] = $"{call}: closes a connection of node {from}";
                Interlocked.Increment(ref _closings);
                PeerConnection connection = random.Pick(open);
                if (random.Percent(50)) await connection.CloseAsync();
                else connection.Abort(new TransportException(TransportError.Aborted, "the storm"));
            }

            using var cancellation = new CancellationTokenSource();
            if (random.Percent(cancellations)) cancellation.CancelAfter(random.Milliseconds(0, 4));
            _doing[worker] = $"{call}: node {from} calls node {to}";
            long closingsBefore = Interlocked.Read(ref _closings);
            try
            {
                await CallAsync(_swarms[from], _swarms[to], random.Between(1, 5_000), (byte)worker, cancellation.Token);
                Interlocked.Increment(ref _answers);
            }
            catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
            {
                Interlocked.Increment(ref _cancelled);
            }
            catch (TransportException e) when (closings > 0 && e.Error is TransportError.ConnectionClosed or TransportError.Aborted
                or TransportError.ConnectionReset or TransportError.StreamReset)
            {
                Interlocked.Increment(ref _lost); // the storm closed a connection, now or long ago
            }
            catch (Exception e)
            {
                long meanwhile = Interlocked.Read(ref _closings) - closingsBefore;
                _wrong.Enqueue($"node {from} calling node {to} ({meanwhile} closings meanwhile): {e}");
            }
        }

        _doing[worker] = "is done";
    }

    private static async Task CallAsync(Swarm from, Swarm to, int length, byte fill, CancellationToken token)
    {
        PeerStream stream = await from.OpenStreamAsync(to.LocalPeer, Protocol, token);
        await using (stream)
        {
            byte[] question = new byte[length];
            question.AsSpan().Fill(fill);
            await stream.Output.WriteAsync(question, token);
            await stream.Output.CompleteAsync();
            ReadResult answer = await stream.Input.ReadAtLeastAsync(length, token);
            byte[] received = answer.Buffer.ToArray();
            stream.Input.AdvanceTo(answer.Buffer.End);
            if (!received.AsSpan().SequenceEqual(question)) throw new InvalidDataException($"{received.Length} wrong bytes for {length}");
        }
    }

    private string Dump()
    {
        var text = new StringBuilder();
        text.AppendLine($"{Answers} answers, {Cancelled} cancelled, {_lost} lost, {Interlocked.Read(ref _closings)} closings");
        foreach ((int worker, string doing) in _doing.OrderBy(d => d.Key)) text.AppendLine($"worker {worker}: {doing}");
        for (int i = 0; i < _swarms.Count; i++)
        {
            Swarm swarm = _swarms[i];
            var connections = swarm.Connections.Select(c => $"{(c.IsInbound ? "<" : ">")}{c.RemoteAddress}");
            text.AppendLine($"node {i}: {string.Join(", ", connections)}");
            foreach (Swarm peer in _swarms.Where(p => p != swarm))
                text.AppendLine($"  dials to {peer.LocalPeer}: {swarm.DialCount(peer.LocalPeer)}");
        }

        return text.ToString();
    }
}
