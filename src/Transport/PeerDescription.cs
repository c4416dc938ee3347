using FastShare.Transport.Identity;

namespace FastShare.Transport;

/// <summary>What a peer says of itself through identify. Nothing but the key behind the peer id is proved.</summary>
/// <param name="AgentVersion">Its program; text from the peer: escape before showing.</param>
/// <param name="ProtocolVersion">Its network's protocol family.</param>
/// <param name="ListenAddresses">Where it says it listens.</param>
/// <param name="Protocols">Protocols it accepts.</param>
/// <param name="ObservedAddress">This node's address as the peer sees it.</param>
public sealed record PeerDescription(
    string AgentVersion, string ProtocolVersion, IReadOnlyList<Multiaddr> ListenAddresses, IReadOnlyList<string> Protocols,
    Multiaddr? ObservedAddress);
