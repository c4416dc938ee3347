namespace FastShare.Cli.Hosting;

/// <summary>The command cannot be run as it was typed; found after parsing.</summary>
internal sealed class UsageException(string message) : Exception(message);
