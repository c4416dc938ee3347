using Microsoft.Extensions.Logging;

namespace FastShare.Transport.Makaretu.Internal;

/// <summary>Log messages of the adapter: events 1150 to 1169.</summary>
internal static partial class MakaretuLog
{
    [LoggerMessage(1150, LogLevel.Warning, "No network interface can be used for mDNS now; waiting for one")]
    public static partial void Waiting(ILogger logger);

    [LoggerMessage(1151, LogLevel.Debug, "The network interfaces changed: mDNS starts anew on {Count} addresses")]
    public static partial void Restarted(ILogger logger, int count);

    [LoggerMessage(1152, LogLevel.Warning, "mDNS by Makaretu.Dns.Multicast met an unexpected error and goes on")]
    public static partial void Unexpected(ILogger logger, Exception cause);

    [LoggerMessage(1153, LogLevel.Error, "The receiver of discovery events threw, which its contract forbids")]
    public static partial void SinkThrew(ILogger logger, Exception cause);
}
