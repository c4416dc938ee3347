namespace FastShare.Transport;

/// <summary>Serves one inbound stream of a protocol. The swarm disposes the stream when the task ends; an exception resets it.</summary>
public delegate Task StreamHandler(PeerStream stream, CancellationToken cancellationToken);
