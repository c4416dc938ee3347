using FastShare.Transfer;
using Spectre.Console;

namespace FastShare.Cli.Output;

/// <summary>A person at a terminal: colours, bars that redraw, questions.</summary>
/// <param name="console">The terminal.</param>
/// <param name="quiet">Results and errors only.</param>
/// <param name="live">Whether progress redraws; otherwise it comes as lines.</param>
/// <param name="timeProvider">The clock.</param>
internal sealed class TerminalOutput(IAnsiConsole console, bool quiet, bool live, TimeProvider timeProvider) : OutputWriter
{
    private static readonly TimeSpan _redraw = TimeSpan.FromMilliseconds(100);

    private readonly Lock _gate = new();
    private readonly List<Row> _rows = []; // under _gate
    private readonly SemaphoreSlim _screen = new(1, 1); // held by the bars or by a question
    private Task _bars = Task.CompletedTask; // under _gate; draws while there are rows
    private int _questions; // interlocked; questions waiting for the screen or on it

    public override bool CanAsk => !Console.IsInputRedirected;

    public override TimeSpan ProgressInterval => live ? _redraw : TimeSpan.FromSeconds(2);

    public override void Emit(CliEvent report)
    {
        if (EventText.Describe(report) is not { } text) return;
        if (report is ErrorEvent)
        {
            Warn(text);
            return;
        }

        if (quiet) return;
        string colour = report switch
        {
            CompletedEvent or VerifiedEvent { Matches: true } => "green",
            RetryEvent => "yellow",
            VerifiedEvent => "red",
            _ => "default",
        };
        console.MarkupLine($"[{colour}]{Markup.Escape(text)}[/]");
    }

    public override void Say(string text)
    {
        if (!quiet) console.WriteLine(text);
    }

    public override void Result(string text) => console.WriteLine(text);

    public override void Warn(string text)
    {
        // beside bars on the same screen, only the console knows where the cursor is
        if (Console.IsErrorRedirected) Console.Error.WriteLine(text);
        else console.MarkupLine($"[red]{Markup.Escape(text)}[/]");
    }

    public override void Note(string text)
    {
        if (Console.IsErrorRedirected) Console.Error.WriteLine(text);
        else console.MarkupLine($"[grey]{Markup.Escape(text)}[/]");
    }

    public override void Table(IReadOnlyList<string> headers, IReadOnlyList<IReadOnlyList<string>> rows)
    {
        Table table = new Table().Border(TableBorder.Rounded);
        foreach (string header in headers) table.AddColumn(new TableColumn(Markup.Escape(header)));
        foreach (IReadOnlyList<string> row in rows) table.AddRow(row.Select(cell => new Text(cell)));
        console.Write(table);
    }

    public override IProgressRow BeginProgress(string title)
    {
        if (quiet || !live) return new ProgressLines(title, this, timeProvider);
        var row = new Row(this, title);
        lock (_gate)
        {
            _rows.Add(row);
            if (_bars.IsCompleted) _bars = Task.Run(DrawAsync);
        }

        return row;
    }

    public override Task<OfferDecision> AskAsync(
        TransferOffer offer, string? warning, Func<bool> isSettled, CancellationToken cancellationToken) => OnScreenAsync(
        async () =>
        {
            if (isSettled()) return OfferDecision.Accept;
            console.WriteLine();
            foreach (string line in EventText.DescribeOffer(offer)) console.WriteLine(line);
            if (warning is not null) console.MarkupLine($"[red]{Markup.Escape(warning)}[/]");
            return await QuestionAsync(
                "[bold]Receive it?[/] [[y]]es, [[n]]o, [[a]]lways from this peer: ",
                [('y', "yes", OfferDecision.Accept), ('n', "no", OfferDecision.Refuse), ('a', "always from this peer", OfferDecision.AcceptAlways)],
                cancellationToken);
        },
        cancellationToken);

    public override Task<bool> ConfirmAsync(IReadOnlyList<string> lines, string question, CancellationToken cancellationToken) => OnScreenAsync(
        async () =>
        {
            foreach (string line in lines) console.WriteLine(line);
            return await QuestionAsync(
                $"[bold]{Markup.Escape(question)}[/] [[y]]es, [[n]]o: ", [('y', "yes", true), ('n', "no", false)], cancellationToken);
        },
        cancellationToken);

    public override void Restore()
    {
        // the bars hide the cursor; their own clean-up does not run when the process ends at once
        if (live) Console.Out.Write("\u001b[?25h\r\n");
    }

    public override async ValueTask DisposeAsync()
    {
        Task bars;
        lock (_gate) bars = _bars;
        await bars;
        _screen.Dispose();
    }

    // Bars give way while somebody is asked; questions come one at a time.
    private async Task<T> OnScreenAsync<T>(Func<Task<T>> ask, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _questions);
        try
        {
            await _screen.WaitAsync(cancellationToken);
            try
            {
                return await ask();
            }
            finally
            {
                _screen.Release();
            }
        }
        finally
        {
            Interlocked.Decrement(ref _questions);
        }
    }

    private async Task<T> QuestionAsync<T>(string markup, (char Key, string Word, T Answer)[] answers, CancellationToken cancellationToken)
    {
        console.Markup(markup);
        // what was typed before the question stood there answers nothing
        while (console.Input.IsKeyAvailable()) await console.Input.ReadKeyAsync(intercept: true, cancellationToken);
        while (true)
        {
            ConsoleKeyInfo? key = await console.Input.ReadKeyAsync(intercept: true, cancellationToken);
            cancellationToken.ThrowIfCancellationRequested();
            int chosen = Array.FindIndex(answers, answer => answer.Key == char.ToLowerInvariant(key?.KeyChar ?? '\0'));
            if (chosen < 0) continue;
            console.WriteLine(answers[chosen].Word);
            return answers[chosen].Answer;
        }
    }

    // Owned by _bars: one run at a time, while there are rows; gives way to questions.
    private async Task DrawAsync()
    {
        while (true)
        {
            await _screen.WaitAsync();
            try
            {
                await console.Progress()
                    .AutoClear(true)
                    .ExcludeVerticalPadding()
                    .Columns(
                        new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new PercentageColumn(),
                        new SnapshotColumn())
                    .StartAsync(DrawRowsAsync);
            }
            finally
            {
                _screen.Release();
            }

            lock (_gate)
            {
                if (_rows.Count > 0) continue;
                // a row that comes from here on starts a new run
                _bars = Task.CompletedTask;
                return;
            }
        }
    }

    private async Task DrawRowsAsync(ProgressContext context)
    {
        var tasks = new Dictionary<Row, ProgressTask>();
        while (Volatile.Read(ref _questions) == 0)
        {
            lock (_gate)
            {
                if (_rows.Count == 0) return;
                foreach (Row row in _rows)
                {
                    if (!tasks.TryGetValue(row, out ProgressTask? task))
                        tasks.Add(row, task = context.AddTask(Markup.Escape(row.Title), autoStart: true, maxValue: 100));
                    task.Tag = row.Latest;
                    task.IsIndeterminate = row.Latest is null or { IsOpenEnded: true } or { State: TransferState.Connecting or TransferState.Offered };
                    task.Value = row.Latest is null ? 0 : EventText.Percent(row.Latest);
                }

                foreach (Row gone in tasks.Keys.Except(_rows).ToList())
                {
                    context.RemoveTask(tasks[gone]);
                    tasks.Remove(gone);
                }
            }

            await Task.Delay(_redraw, timeProvider);
        }
    }

    private void End(Row row)
    {
        lock (_gate) _rows.Remove(row);
    }

    private sealed class Row(TerminalOutput owner, string title) : IProgressRow
    {
        private TransferProgress? _latest; // volatile: one writer, read by the drawing

        public string Title => title;

        public TransferProgress? Latest => Volatile.Read(ref _latest);

        public void Update(TransferProgress progress) => Volatile.Write(ref _latest, progress);

        public void Dispose() => owner.End(this);
    }

    /// <summary>Bytes, rate, time left and file count, from the snapshot that a row carries.</summary>
    private sealed class SnapshotColumn : ProgressColumn
    {
        protected override bool NoWrap => true;

        public override Spectre.Console.Rendering.IRenderable Render(
            Spectre.Console.Rendering.RenderOptions options, ProgressTask task, TimeSpan deltaTime)
        {
            string text = task.Tag switch
            {
                TransferProgress { State: TransferState.Connecting or TransferState.Offered } waiting => EventText.Describe(waiting),
                TransferProgress { IsOpenEnded: true } open => $"{EventText.Bytes(open)} · {EventText.Pace(open)}",
                TransferProgress { TotalFiles: 0 } memory => EventText.Pace(memory),
                TransferProgress moving => $"{EventText.Pace(moving)} · {EventText.Files(moving)}",
                _ => "",
            };
            return new Text(text);
        }
    }
}
