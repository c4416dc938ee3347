namespace FastShare.Transport;

/// <summary>
/// Serves one inbound stream of a protocol. When its task ends, the swarm completes the stream's output and disposes the stream;
/// when it fails, the swarm resets the stream. The token fires when the connection is over.
/// </summary>
public delegate Task StreamHandler(PeerStream stream, CancellationToken cancellationToken);
