using Microsoft.Extensions.Logging;

namespace FastShare.Cli.Hosting;

/// <summary>Writes the libraries' logs to standard error, one line an entry. Thread-safe.</summary>
internal sealed class StandardErrorLogs(LogLevel minimum, TextWriter writer, TimeProvider timeProvider) : ILoggerFactory
{
    public ILogger CreateLogger(string categoryName) => new Logger(this, categoryName[(categoryName.LastIndexOf('.') + 1)..]);

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

    public void Dispose()
    {
    }

    private sealed class Logger(StandardErrorLogs logs, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= logs.Minimum && logLevel != LogLevel.None;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel)) logs.Write(logLevel, category, formatter(state, exception), exception);
        }
    }

    private LogLevel Minimum => minimum;

    private void Write(LogLevel level, string category, string message, Exception? exception)
    {
        string name = level switch
        {
            LogLevel.Trace => "trce",
            LogLevel.Debug => "dbug",
            LogLevel.Information => "info",
            LogLevel.Warning => "warn",
            _ => "fail",
        };
        string line = $"{timeProvider.GetUtcNow():HH:mm:ss.fff} {name} {category}: {message}";
        lock (writer)
        {
            writer.WriteLine(line);
            if (exception is not null) writer.WriteLine(exception);
        }
    }
}
