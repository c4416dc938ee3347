using FastShare.Transport.Telemetry;

namespace FastShare.Transport.Protocols.Internal;

/// <summary>What a connection needs from its swarm. All members are thread-safe and quick.</summary>
internal interface IConnectionHost
{
    SwarmOptions Options { get; }

    /// <summary>Who serves a protocol; null: nobody.</summary>
    StreamHandler? FindHandler(string protocol);

    /// <summary>The peer told about itself.</summary>
    void Identified(PeerConnection connection, PeerDescription description);

    /// <summary>The peer did not tell about itself.</summary>
    void IdentifyFailed(PeerConnection connection, TransportException error);

    /// <summary>Where to count. The same for all connections.</summary>
    TransportInstruments Instruments { get; }

    /// <summary>The connection's first round trip was measured.</summary>
    void Measured(PeerConnection connection);

    /// <summary>A handler, or the negotiation before it, failed; its stream was reset.</summary>
    void StreamFailed(PeerConnection connection, string? protocol, Exception error);
}
