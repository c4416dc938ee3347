using FastShare.Transfer;

namespace FastShare.Cli.Output;

/// <summary>Plain lines, for pipes, logs and terminals that cannot redraw.</summary>
internal sealed class PlainOutput(TextWriter output, TextWriter error, bool quiet, TimeProvider timeProvider) : OutputWriter
{
    private readonly Lock _gate = new(); // keeps lines whole

    public override TimeSpan ProgressInterval { get; } = TimeSpan.FromSeconds(2);

    public override void Emit(CliEvent report)
    {
        if (EventText.Describe(report) is not { } text) return;
        if (report is ErrorEvent) Warn(text);
        else if (!quiet) Write(text);
    }

    public override void Say(string text)
    {
        if (!quiet) Write(text);
    }

    public override void Result(string text) => Write(text);

    public override void Warn(string text)
    {
        lock (_gate) error.WriteLine(text);
    }

    public override void Table(IReadOnlyList<string> headers, IReadOnlyList<IReadOnlyList<string>> rows)
    {
        // a table is a command's result: shown with --quiet too
        rows = [.. rows.Select(row => (IReadOnlyList<string>)[.. row.Select(cell => cell.Replace('\n', ' '))])];
        int[] widths = [.. headers.Select((header, column) => rows.Select(row => row[column].Length).Append(header.Length).Max())];
        Write(Line(headers));
        foreach (IReadOnlyList<string> row in rows) Write(Line(row));

        string Line(IReadOnlyList<string> cells) =>
            string.Join("  ", cells.Select((cell, column) => cell.PadRight(widths[column]))).TrimEnd();
    }

    public override IProgressRow BeginProgress(string title) => new ProgressLines(title, this, timeProvider);

    private void Write(string text)
    {
        lock (_gate)
        {
            output.WriteLine(text);
            output.Flush();
        }
    }
}

/// <summary>Progress as a line every <see cref="OutputWriter.ProgressInterval"/>, and none for what is over before that.</summary>
internal sealed class ProgressLines(string title, OutputWriter output, TimeProvider timeProvider) : IProgressRow
{
    private readonly Lock _gate = new();
    private long _last = timeProvider.GetTimestamp(); // under _gate
    private string _lastText = ""; // under _gate

    public void Update(TransferProgress progress)
    {
        lock (_gate)
        {
            if (timeProvider.GetElapsedTime(_last) < output.ProgressInterval) return;
            _last = timeProvider.GetTimestamp();
            string text = EventText.Describe(progress);
            // "waiting for the peer" once is enough
            if (text == _lastText) return;
            _lastText = text;
            output.Say($"{title}: {text}");
        }
    }

    public void Dispose()
    {
    }
}
