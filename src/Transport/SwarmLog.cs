using FastShare.Transport.Identity;
using Microsoft.Extensions.Logging;

namespace FastShare.Transport;

/// <summary>Log messages of the swarm; event ids 1000 to 1099.</summary>
internal static partial class SwarmLog
{
    [LoggerMessage(1000, LogLevel.Information, "Listening on {Address}")]
    public static partial void Listening(ILogger logger, Multiaddr address);

    [LoggerMessage(1001, LogLevel.Error, "Stopped listening on {Address}")]
    public static partial void ListenerFailed(ILogger logger, Multiaddr address, Exception error);

    [LoggerMessage(1002, LogLevel.Debug, "Dialing {Peer} at {Addresses} addresses")]
    public static partial void Dialing(ILogger logger, PeerId peer, int addresses);

    [LoggerMessage(1003, LogLevel.Warning, "Dial failed: {Message}")]
    public static partial void DialFailed(ILogger logger, string message);

    [LoggerMessage(1004, LogLevel.Information, "Connected with {Peer} at {Address} ({Security}, {Direction}); connection {Count} to it")]
    public static partial void Connected(ILogger logger, PeerId peer, Multiaddr address, string security, string direction, int count);

    [LoggerMessage(1005, LogLevel.Information, "Disconnected from {Peer} at {Address}: {Reason}; {Count} connections to it remain")]
    public static partial void Disconnected(ILogger logger, PeerId peer, Multiaddr address, string reason, int count);

    [LoggerMessage(1006, LogLevel.Warning, "Refused a connection from {Address}: too many are open, in all or from there")]
    public static partial void InboundRefused(ILogger logger, Multiaddr address);

    [LoggerMessage(1007, LogLevel.Debug, "A connection from {Address} was not secured: {Message}")]
    public static partial void InboundFailed(ILogger logger, Multiaddr address, string message);

    [LoggerMessage(1008, LogLevel.Warning, "A handler of {Protocol} for {Peer} failed; its stream was reset")]
    public static partial void HandlerFailed(ILogger logger, string protocol, PeerId peer, Exception error);

    [LoggerMessage(1009, LogLevel.Debug, "A stream of {Peer} was not negotiated: {Message}")]
    public static partial void NegotiationFailed(ILogger logger, PeerId peer, string message);

    [LoggerMessage(1010, LogLevel.Debug, "{Peer} was not identified: {Message}")]
    public static partial void IdentifyFailed(ILogger logger, PeerId peer, string message);

    [LoggerMessage(1012, LogLevel.Debug, "The connection with {Peer} at {Address} is surplus; it is closed once its streams have ended")]
    public static partial void Retired(ILogger logger, PeerId peer, Multiaddr address);

    [LoggerMessage(1013, LogLevel.Debug, "The connection with {Peer} at {Address} is surplus and stays: {Message}")]
    public static partial void NotRetired(ILogger logger, PeerId peer, Multiaddr address, string message);

    [LoggerMessage(1014, LogLevel.Debug, "{Peer} ended a stream of {Protocol} before its handler did: {Message}")]
    public static partial void StreamEndedByPeer(ILogger logger, PeerId peer, string protocol, string message);

    [LoggerMessage(1011, LogLevel.Debug, "Closed a connection from {Address}: it took longest to be secured, and others need its place")]
    public static partial void InboundEvicted(ILogger logger, Multiaddr address);

    [LoggerMessage(1012, LogLevel.Error, "An observer of connections failed; it missed one report")]
    public static partial void ObserverFailed(ILogger logger, Exception error);

    [LoggerMessage(1013, LogLevel.Debug, "Dial given up: {Message}")]
    public static partial void DialAborted(ILogger logger, string message);

    [LoggerMessage(1014, LogLevel.Error, "Accepting a connection on {Address} failed unexpectedly; listening goes on")]
    public static partial void AcceptFailed(ILogger logger, Multiaddr address, Exception error);
}
