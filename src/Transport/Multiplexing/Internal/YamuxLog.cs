using Microsoft.Extensions.Logging;

namespace FastShare.Transport.Multiplexing.Internal;

/// <summary>Log messages of the multiplexer; event ids 400 to 419.</summary>
internal static partial class YamuxLog
{
    [LoggerMessage(400, LogLevel.Debug, "Yamux connection closed: {Reason}")]
    public static partial void Closed(ILogger logger, string reason);

    [LoggerMessage(401, LogLevel.Error, "Internal error in the multiplexer; the connection is closed")]
    public static partial void Defect(ILogger logger, Exception exception);

    [LoggerMessage(402, LogLevel.Debug, "The channel of a finished connection failed to close")]
    public static partial void DisposeFailed(ILogger logger, Exception exception);
}
