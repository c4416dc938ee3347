using FastShare.Cli.Output;
using FastShare.Transfer;
using FastShare.Transport;
using FastShare.Transport.Discovery;
using FastShare.Transport.Identity;

namespace FastShare.Cli.Hosting;

/// <summary>Reports what a node discovers and whom it is connected to, for as long as it lives. Thread-safe.</summary>
internal sealed class NodeReporter : IAsyncDisposable
{
    /// <summary>How long a new connection's round trip may take to measure before it is reported without.</summary>
    private static readonly TimeSpan _pingLimit = TimeSpan.FromSeconds(2);

    private readonly FastShareNode _node;
    private readonly OutputWriter _output;
    private readonly CancellationTokenSource _end = new();
    private readonly Lock _gate = new();
    private readonly Dictionary<PeerId, int> _mostConnections = []; // under _gate
    private readonly HashSet<Task> _reports = []; // under _gate; connections whose round trip is being measured
    private readonly Task _discovery;
    private readonly Task _connections;

    public NodeReporter(FastShareNode node, OutputWriter output)
    {
        _node = node;
        _output = output;
        // The watch begins where the enumeration does: on this thread, before the caller can dial.
        _connections = RunAsync(ReportConnectionsAsync);
        _discovery = RunAsync(ReportPeersAsync);
    }

    /// <summary>The most connections to the peer that were open at one time.</summary>
    public int MostConnections(PeerId peer)
    {
        int now = _node.Swarm.Connections.Count(connection => connection.Peer == peer);
        lock (_gate) return Math.Max(now, _mostConnections.GetValueOrDefault(peer));
    }

    /// <summary>Waits until every connection seen so far is reported.</summary>
    public Task SettleAsync()
    {
        lock (_gate) return Task.WhenAll([.. _reports]);
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        await _discovery;
        await _connections;
        await SettleAsync();
        _end.Dispose();
    }

    private async Task RunAsync(Func<CancellationToken, Task> report)
    {
        try
        {
            await report(_end.Token);
        }
        catch (OperationCanceledException) when (_end.IsCancellationRequested)
        {
        }
    }

    private async Task ReportPeersAsync(CancellationToken cancellationToken)
    {
        await foreach (DiscoveryEvent seen in _node.WatchPeersAsync(cancellationToken))
        {
            IReadOnlyList<string> addresses = NodeSession.Texts(seen.Addresses);
            _output.Emit(seen.Kind == DiscoveryEventKind.Found
                ? new PeerFoundEvent(seen.Peer.ToString(), addresses)
                : new PeerExpiredEvent(seen.Peer.ToString(), addresses));
        }
    }

    private async Task ReportConnectionsAsync(CancellationToken cancellationToken)
    {
        await foreach (SwarmEvent change in _node.Swarm.WatchAsync(cancellationToken))
        {
            switch (change)
            {
                case SwarmEvent.Dialing dialing:
                    _output.Emit(new DialingEvent(dialing.Peer.ToString(), NodeSession.Texts(dialing.Addresses)));
                    break;
                case SwarmEvent.Connected connected:
                    Track(connected, cancellationToken);
                    break;
            }
        }
    }

    private void Track(SwarmEvent.Connected connected, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            _mostConnections[connected.Peer] = Math.Max(_mostConnections.GetValueOrDefault(connected.Peer), connected.ConnectionsToPeer);
            Task report = ReportConnectionAsync(connected, cancellationToken);
            _reports.Add(report);
            _reports.RemoveWhere(earlier => earlier.IsCompleted);
        }
    }

    private async Task ReportConnectionAsync(SwarmEvent.Connected connected, CancellationToken cancellationToken)
    {
        PeerConnection connection = connected.Connection;
        TimeSpan? roundTrip = connection.RoundTripTime ?? await MeasureAsync(connection, cancellationToken);
        _output.Emit(new ConnectedEvent(
            connected.Peer.ToString(),
            connected.ConnectionsToPeer,
            roundTrip is { } time ? Math.Round(time.TotalMilliseconds, 3) : null,
            connection.Security));
    }

    private static async Task<TimeSpan?> MeasureAsync(PeerConnection connection, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(_pingLimit);
        try
        {
            return await connection.PingAsync(limit.Token);
        }
        catch (Exception e) when (e is TransportException or OperationCanceledException)
        {
            return null; // the peer does not answer pings, or the connection is over already: reported without
        }
    }
}
