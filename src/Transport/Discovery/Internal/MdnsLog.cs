using System.Net.Sockets;
using Microsoft.Extensions.Logging;

namespace FastShare.Transport.Discovery.Internal;

/// <summary>Log messages of discovery: events 1100 to 1199.</summary>
internal static partial class MdnsLog
{
    [LoggerMessage(1100, LogLevel.Debug, "mDNS uses {Interface} over {Family}")]
    public static partial void PortOpened(ILogger logger, string @interface, AddressFamily family);

    [LoggerMessage(1101, LogLevel.Debug, "Not used for now: {Reason}")]
    public static partial void PortUnusable(ILogger logger, string reason);

    [LoggerMessage(1102, LogLevel.Warning, "The mDNS socket over {Family} failed and will be opened anew")]
    public static partial void PortFailed(ILogger logger, AddressFamily family, Exception cause);

    [LoggerMessage(1103, LogLevel.Debug, "mDNS no longer uses {Interface}")]
    public static partial void LinkGone(ILogger logger, string @interface);

    [LoggerMessage(1104, LogLevel.Debug, "An mDNS datagram could not be sent on {Interface} over {Family}: {Error}")]
    public static partial void SendFailed(ILogger logger, string @interface, AddressFamily family, SocketError error);

    [LoggerMessage(1105, LogLevel.Error, "The receiver of discovery events threw, which its contract forbids")]
    public static partial void SinkThrew(ILogger logger, Exception cause);

    [LoggerMessage(1106, LogLevel.Error, "mDNS discovery met an unexpected error and goes on in {Pause}")]
    public static partial void EngineFailed(ILogger logger, TimeSpan pause, Exception cause);

    [LoggerMessage(1107, LogLevel.Debug, "mDNS reports {Kind}: peer {Peer}, {Count} addresses")]
    public static partial void Reported(ILogger logger, DiscoveryEventKind kind, string peer, int count);

    [LoggerMessage(1108, LogLevel.Debug, "mDNS dropped {Count} datagrams: more than the limits allow, from beyond the link, or malformed")]
    public static partial void Dropped(ILogger logger, long count);

    [LoggerMessage(1109, LogLevel.Warning, "mDNS waits for a network interface: {Reason}")]
    public static partial void Waiting(ILogger logger, string reason);

    [LoggerMessage(1110, LogLevel.Information, "mDNS has a network interface again")]
    public static partial void Resumed(ILogger logger);

    [LoggerMessage(1111, LogLevel.Information, "The machine slept for about {Time}, or its clock was set: mDNS asks who is still there")]
    public static partial void Slept(ILogger logger, TimeSpan time);

    [LoggerMessage(1112, LogLevel.Warning, "mDNS could not say goodbye to the network")]
    public static partial void GoodbyeFailed(ILogger logger, Exception cause);
}
