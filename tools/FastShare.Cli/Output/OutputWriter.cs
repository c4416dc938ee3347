using FastShare.Transfer;

namespace FastShare.Cli.Output;

/// <summary>The answer to a question about an offer.</summary>
internal enum OfferDecision
{
    Refuse,
    Accept,

    /// <summary>Accept this one and every later one of the same peer, in later runs too.</summary>
    AcceptAlways,
}

/// <summary>
/// Where a command reports to: a terminal, plain lines, or JSON lines. Text handed in by commands may hold peers' text only
/// where it was escaped; events hold it raw. Thread-safe.
/// </summary>
internal abstract class OutputWriter : IAsyncDisposable
{
    /// <summary>The writer for this process.</summary>
    /// <param name="options">What the user asked for.</param>
    /// <param name="timeProvider">The clock.</param>
    public static OutputWriter Create(OutputOptions options, TimeProvider timeProvider)
    {
        if (options.Json)
        {
            // Console.Out would write every line at once, those too that may wait for the next one
            var lines = new StreamWriter(Console.OpenStandardOutput(), bufferSize: 32 << 10); // UTF-8
            return new JsonOutput(lines, Console.Error, options.Quiet, timeProvider);
        }

        bool terminal = !Console.IsOutputRedirected && Environment.GetEnvironmentVariable("TERM") is not "dumb";
        return terminal
            // log lines between redrawn bars would tear both
            ? new TerminalOutput(Spectre.Console.AnsiConsole.Console, options.Quiet, live: !options.Verbose, timeProvider)
            : new PlainOutput(Console.Out, Console.Error, options.Quiet, timeProvider);
    }

    /// <summary>Whether a person can be asked.</summary>
    public virtual bool CanAsk => false;

    /// <summary>How often progress is worth reporting here.</summary>
    public abstract TimeSpan ProgressInterval { get; }

    /// <summary>Says a command's result in words; shown with <c>--quiet</c> too, and not with <c>--json</c>.</summary>
    public abstract void Result(string text);

    /// <summary>Says something that helps to understand what happened, on standard error.</summary>
    public virtual void Note(string text) => Warn(text);

    /// <summary>Reports an event, now.</summary>
    public abstract void Emit(CliEvent report);

    /// <summary>Reports an event, at the latest with the next <see cref="Emit"/> or <see cref="Flush"/>: one of many that follow closely.</summary>
    public virtual void EmitLater(CliEvent report) => Emit(report);

    /// <summary>Writes what <see cref="EmitLater"/> kept.</summary>
    public virtual void Flush()
    {
    }

    /// <summary>Tells a person something that is no event; nothing with <c>--json</c> or <c>--quiet</c>.</summary>
    public abstract void Say(string text);

    /// <summary>Tells a person something that must not be missed, on standard error.</summary>
    public abstract void Warn(string text);

    /// <summary>Shows rows under a headline; nothing with <c>--json</c>, where each row is an event of its own.</summary>
    public abstract void Table(IReadOnlyList<string> headers, IReadOnlyList<IReadOnlyList<string>> rows);

    /// <summary>Starts to show the progress of one piece of work; disposing the row ends that.</summary>
    /// <param name="title">What is under way; escaped.</param>
    public abstract IProgressRow BeginProgress(string title);

    /// <summary>Asks a person about an offer. Questions are asked one at a time.</summary>
    /// <param name="offer">What it is about.</param>
    /// <param name="warning">What makes the offer suspicious; null: nothing.</param>
    /// <param name="isSettled">Asked again when the question's turn comes: an answer to an earlier question may have settled it.</param>
    /// <param name="cancellationToken">Withdraws the question.</param>
    public virtual Task<OfferDecision> AskAsync(
        TransferOffer offer, string? warning, Func<bool> isSettled, CancellationToken cancellationToken) =>
        Task.FromResult(OfferDecision.Refuse);

    /// <summary>Asks a person for a yes or no; only where <see cref="CanAsk"/>.</summary>
    /// <param name="lines">What it is about; escaped.</param>
    /// <param name="question">The question.</param>
    /// <param name="cancellationToken">Withdraws the question.</param>
    public virtual Task<bool> ConfirmAsync(IReadOnlyList<string> lines, string question, CancellationToken cancellationToken) =>
        Task.FromResult(false);

    /// <summary>Leaves the terminal as it was found, also from a signal's thread.</summary>
    public virtual void Restore()
    {
    }

    /// <summary>Shows what is left to show.</summary>
    public virtual ValueTask DisposeAsync() => ValueTask.CompletedTask;
}

/// <summary>How a command talks.</summary>
/// <param name="Json">JSON lines on standard output.</param>
/// <param name="Quiet">Results and errors only.</param>
/// <param name="Verbose">The libraries' logs on standard error.</param>
internal sealed record OutputOptions(bool Json, bool Quiet, bool Verbose);

/// <summary>The progress of one piece of work on its way to the user. Thread-safe.</summary>
internal interface IProgressRow : IDisposable
{
    /// <summary>Shows a newer state.</summary>
    void Update(TransferProgress progress);
}
