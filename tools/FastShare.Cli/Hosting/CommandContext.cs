using FastShare.Cli.Output;
using Microsoft.Extensions.Logging;

namespace FastShare.Cli.Hosting;

/// <summary>What every command runs with.</summary>
/// <param name="Output">Where it reports to.</param>
/// <param name="OutputOptions">How it was asked to report.</param>
/// <param name="Logs">Where the libraries log to.</param>
/// <param name="TimeProvider">The clock.</param>
/// <param name="Interruption">How the user stops it.</param>
internal sealed record CommandContext(
    OutputWriter Output, OutputOptions OutputOptions, ILoggerFactory Logs, TimeProvider TimeProvider, Interruption Interruption)
{
    /// <summary>Cancelled when the user stops the command.</summary>
    public CancellationToken Stop => Interruption.Token;
}
