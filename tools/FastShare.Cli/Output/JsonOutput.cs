using System.Text.Json;
using FastShare.Transfer;

namespace FastShare.Cli.Output;

/// <summary>One JSON object a line on standard output and nothing else there; warnings go to standard error.</summary>
/// <param name="output">Takes the lines; may keep them until it is flushed.</param>
/// <param name="error">Takes the warnings.</param>
/// <param name="quiet">No progress.</param>
/// <param name="timeProvider">The clock.</param>
internal sealed class JsonOutput(TextWriter output, TextWriter error, bool quiet, TimeProvider timeProvider) : OutputWriter
{
    private readonly Lock _gate = new(); // keeps lines whole and in order of their times

    public override TimeSpan ProgressInterval { get; } = TimeSpan.FromMilliseconds(500);

    public override void Emit(CliEvent report) => Write(report, flush: true);

    public override void EmitLater(CliEvent report) => Write(report, flush: false);

    public override void Flush()
    {
        lock (_gate) output.Flush();
    }

    public override void Say(string text)
    {
    }

    public override void Result(string text)
    {
    }

    public override void Warn(string text) => error.WriteLine(text);

    public override void Table(IReadOnlyList<string> headers, IReadOnlyList<IReadOnlyList<string>> rows)
    {
    }

    public override IProgressRow BeginProgress(string title) => new Row(this);

    private void Write(CliEvent report, bool flush)
    {
        if (quiet && report is ProgressEvent) return;
        lock (_gate)
        {
            CliEvent stamped = report with { Time = timeProvider.GetUtcNow() };
            // The default encoder writes ASCII only: no escape sequence of a peer's reaches a terminal.
            output.WriteLine(JsonSerializer.Serialize(stamped, stamped.GetType(), CliEventContext.Default));
            if (flush) output.Flush();
        }
    }

    private sealed class Row(JsonOutput owner) : IProgressRow
    {
        public void Update(TransferProgress progress) => owner.Emit(EventText.ToEvent(progress));

        public void Dispose()
        {
        }
    }
}
