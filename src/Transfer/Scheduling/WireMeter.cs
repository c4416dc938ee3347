using FastShare.Transport.Telemetry;

namespace FastShare.Transfer.Scheduling;

/// <summary>
/// What the connections that carry a transfer's chunks count while they do. Connections are shared: what goes over them besides counts too.
/// Thread-safe.
/// </summary>
internal sealed class WireMeter
{
    private static readonly (TransferStage Transfer, ConnectionStage Connection)[] _stages =
    [
        (TransferStage.Sealing, ConnectionStage.Seal),
        (TransferStage.SocketSending, ConnectionStage.Send),
        (TransferStage.SocketReceiving, ConnectionStage.Receive),
        (TransferStage.Opening, ConnectionStage.Open),
        (TransferStage.WaitingForPath, ConnectionStage.SendWait),
        (TransferStage.WaitingForWindow, ConnectionStage.WindowWait),
        (TransferStage.WaitingForBytes, ConnectionStage.ReceiveWait),
    ];

    private readonly Lock _gate = new();
    private readonly Dictionary<ConnectionCounters, StageTotal[]> _connections = []; // guarded by _gate: with what they had counted before
    private StageTotal[]? _final; // guarded by _gate

    /// <summary>A connection carries chunks from now on. Null and known ones are passed over.</summary>
    public void Track(ConnectionCounters? connection)
    {
        if (connection is null) return;
        lock (_gate)
        {
            if (_final is null && !_connections.ContainsKey(connection)) _connections.Add(connection, Read(connection));
        }
    }

    /// <summary>The transfer is over: nothing that happens later counts.</summary>
    public void Stop()
    {
        lock (_gate)
        {
            _final ??= Sum();
            _connections.Clear();
        }
    }

    /// <summary>Time and bytes by stage.</summary>
    public IReadOnlyList<StageTotal> Totals()
    {
        lock (_gate) return _final ?? Sum();
    }

    // Under the gate.
    private StageTotal[] Sum()
    {
        StageTotal[] sum = [.. _stages.Select(static stage => new StageTotal(stage.Transfer, TimeSpan.Zero, 0))];
        foreach ((ConnectionCounters connection, StageTotal[] before) in _connections)
        {
            StageTotal[] now = Read(connection);
            for (int i = 0; i < sum.Length; i++)
                sum[i] = sum[i] with { Time = sum[i].Time + now[i].Time - before[i].Time, Bytes = sum[i].Bytes + now[i].Bytes - before[i].Bytes };
        }

        return sum;
    }

    private static StageTotal[] Read(ConnectionCounters connection) =>
    [
        .. _stages.Select(stage => new StageTotal(
            stage.Transfer, connection.Time(stage.Connection), connection.Bytes(stage.Connection))),
    ];
}
