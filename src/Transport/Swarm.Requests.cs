using FastShare.Transport.Telemetry;

namespace FastShare.Transport;

// What requests need of a swarm.
public sealed partial class Swarm
{
    /// <summary>The clock.</summary>
    internal TimeProvider Time => _options.TimeProvider;

    /// <summary>Metrics.</summary>
    internal TransportInstruments Instruments => _instruments;

    /// <summary>Fires when the swarm begins to close.</summary>
    internal CancellationToken Closing => _closing.Token;

    /// <summary>Serves a protocol no more, unless another handler has replaced this one. Streams under way go on.</summary>
    internal void RemoveHandler(string protocol, StreamHandler handler) =>
        _handlers.TryRemove(new KeyValuePair<string, StreamHandler>(protocol, handler));
}
