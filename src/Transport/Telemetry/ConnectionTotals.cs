using System.Diagnostics.Metrics;

namespace FastShare.Transport.Telemetry;

/// <summary>Sums over the connections of one meter, those that are over included. Thread-safe.</summary>
internal sealed class ConnectionTotals
{
    private static readonly KeyValuePair<string, object?>[] _stages =
    [
        .. Enum.GetValues<ConnectionStage>().Select(static stage => new KeyValuePair<string, object?>("fastshare.connection.stage", NameOf(stage))),
    ];

    /// <summary>Values of the tag.</summary>
    public static IEnumerable<string> StageNames => _stages.Select(static tag => (string)tag.Value!);

    private readonly Lock _gate = new();
    private readonly HashSet<ConnectionCounters> _open = []; // guarded by _gate
    private readonly double[] _seconds = new double[ConnectionCounters.Stages]; // guarded by _gate: of those that are over
    private readonly long[] _bytes = new long[ConnectionCounters.Stages]; // guarded by _gate: likewise

    public void Add(ConnectionCounters connection)
    {
        lock (_gate) _open.Add(connection);
    }

    public void Remove(ConnectionCounters connection)
    {
        lock (_gate)
        {
            if (!_open.Remove(connection)) return;
            for (int i = 0; i < ConnectionCounters.Stages; i++)
            {
                _seconds[i] += connection.Time((ConnectionStage)i).TotalSeconds;
                _bytes[i] += connection.Bytes((ConnectionStage)i);
            }
        }
    }

    /// <summary>Bytes on the wire, by direction.</summary>
    public IEnumerable<Measurement<long>> ObserveBytes()
    {
        lock (_gate)
        {
            return
            [
                new(BytesOf(ConnectionStage.Send), new KeyValuePair<string, object?>("network.io.direction", "transmit")),
                new(BytesOf(ConnectionStage.Receive), new KeyValuePair<string, object?>("network.io.direction", "receive")),
            ];
        }
    }

    /// <summary>Seconds, by stage.</summary>
    public IEnumerable<Measurement<double>> ObserveTimes()
    {
        lock (_gate)
        {
            var times = new Measurement<double>[ConnectionCounters.Stages];
            for (int i = 0; i < times.Length; i++)
            {
                var stage = (ConnectionStage)i;
                times[i] = new(_seconds[i] + _open.Sum(connection => connection.Time(stage).TotalSeconds), _stages[i]);
            }

            return times;
        }
    }

    private static string NameOf(ConnectionStage stage) => stage switch
    {
        ConnectionStage.Seal => "seal",
        ConnectionStage.Send => "send",
        ConnectionStage.Receive => "receive",
        ConnectionStage.Open => "open",
        ConnectionStage.SendWait => "send_wait",
        ConnectionStage.WindowWait => "window_wait",
        _ => "receive_wait",
    };

    private long BytesOf(ConnectionStage stage) => _bytes[(int)stage] + _open.Sum(connection => connection.Bytes(stage));
}
