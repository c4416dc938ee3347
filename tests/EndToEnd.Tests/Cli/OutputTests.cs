using System.Text.Json;
using FastShare.Cli.Output;
using FastShare.Transfer;
using FastShare.Transport.Identity;
using Microsoft.Extensions.Time.Testing;
using Spectre.Console;

namespace FastShare.EndToEnd.Tests.Cli;

public sealed class OutputTests
{
    private const string Hostile = "\u001b[2J\u001b]0;owned\u0007\u202egpj.exe[red]";
    private static readonly PeerId _peer = PeerId.Parse("12D3KooWGRUbA5pSNDXg4kKLUUuqgzEgNDMRYVTyuRoT9MnSNCZz");

    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero));

    public static TheoryData<string, string> Contract => new()
    {
        { "listening", "peer addresses" },
        { "peerFound", "peer addresses" },
        { "peerExpired", "peer addresses" },
        { "dialing", "peer addresses" },
        { "connected", "peer connections rttMs security" },
        { "offer", "peer files bytes" },
        { "progress", "bytes totalBytes files totalFiles bytesPerSecond mode" },
        { "modeChanged", "from to why" },
        { "retry", "attempt why delayMs" },
        { "resumed", "bytesAlready" },
        { "fileCompleted", "path bytes digest" },
        { "completed", "files bytes seconds bytesPerSecond dials connections bytesResent" },
        { "error", "kind message peer path" },
    };

    [Theory]
    [MemberData(nameof(Contract))]
    public void Event_has_exactly_the_fields_that_scripts_rely_on(string kind, string fields)
    {
        CliEvent report = Samples().Single(sample => sample.Event == kind);
        JsonElement line = Assert.Single(Json(output => output.Emit(report)));
        Assert.Equal(["event", "time", .. fields.Split(' ')], line.EnumerateObject().Select(property => property.Name));
        Assert.Equal("2026-01-02T03:04:05+00:00", line.GetProperty("time").GetString());
        foreach (JsonProperty property in line.EnumerateObject())
        {
            JsonValueKind expected = property.Name switch
            {
                "addresses" => JsonValueKind.Array,
                "files" or "bytes" or "seconds" or "attempt" or "dials" or "connections" or "rttMs" or "delayMs" => JsonValueKind.Number,
                _ when property.Name.StartsWith("bytes", StringComparison.Ordinal) => JsonValueKind.Number,
                _ when property.Name.StartsWith("total", StringComparison.Ordinal) => JsonValueKind.Number,
                _ => JsonValueKind.String,
            };
            Assert.Equal(expected, property.Value.ValueKind);
        }
    }

    [Fact]
    public void Error_without_peer_or_path_has_neither_field()
    {
        JsonElement line = Assert.Single(Json(output => output.Emit(new ErrorEvent("unknown", "why"))));
        Assert.Equal(["event", "time", "kind", "message"], line.EnumerateObject().Select(property => property.Name));
    }

    [Fact]
    public void Json_is_ascii_and_gives_names_back_as_they_were()
    {
        var text = new StringWriter();
        new JsonOutput(text, TextWriter.Null, quiet: false, _time).Emit(new FileCompletedEvent(Hostile + "ü", 1, "d"));
        Assert.All(text.ToString().TrimEnd(), character => Assert.InRange(character, ' ', '~'));
        Assert.Equal(Hostile + "ü", JsonDocument.Parse(text.ToString()).RootElement.GetProperty("path").GetString());
    }

    [Fact]
    public void Json_lines_that_may_wait_come_with_the_next_that_may_not_and_in_order()
    {
        using var stream = new MemoryStream();
        using var writer = new StreamWriter(stream);
        var output = new JsonOutput(writer, TextWriter.Null, quiet: false, _time);
        output.EmitLater(new FileCompletedEvent("a", 1, "d"));
        Assert.Equal(0, stream.Length);
        output.Emit(new ErrorEvent("unknown", "why"));
        Assert.Equal(["fileCompleted", "error"], Events());
        output.EmitLater(new FileCompletedEvent("b", 1, "d"));
        output.Flush();
        Assert.Equal(["fileCompleted", "error", "fileCompleted"], Events());

        IEnumerable<string?> Events() => System.Text.Encoding.UTF8.GetString(stream.ToArray()).Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => JsonDocument.Parse(line).RootElement.GetProperty("event").GetString());
    }

    [Fact]
    public void Json_has_nothing_for_people()
    {
        Assert.Empty(Json(output =>
        {
            output.Say("hello");
            output.Warn("beware");
            output.Table(["a"], [["b"]]);
        }));
    }

    [Fact]
    public void Peers_text_reaches_no_terminal_unescaped()
    {
        var text = new StringWriter();
        var console = AnsiConsole.Create(
            new AnsiConsoleSettings { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(text), Interactive = InteractionSupport.No });
        var terminal = new TerminalOutput(console, quiet: false, live: false, _time);
        var plain = new PlainOutput(text, text, quiet: false, _time);
        foreach (OutputWriter output in (OutputWriter[])[terminal, plain])
        {
            foreach (CliEvent report in Samples()) output.Emit(report);
        }

        foreach (string line in EventText.DescribeOffer(Offer(Hostile, 3))) text.WriteLine(line);
        Assert.DoesNotContain(text.ToString(), character => char.IsControl(character) && character is not ('\n' or '\r'));
        Assert.DoesNotContain("\u202e", text.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Offer_is_described_in_few_short_lines_whatever_its_names()
    {
        IReadOnlyList<string> lines = EventText.DescribeOffer(Offer(new string('x', 5000), 100));
        Assert.InRange(lines.Count, 5, 18);
        Assert.All(lines, line => Assert.InRange(line.Length, 1, 200));
        Assert.Contains(_peer.ToString(), lines[0], StringComparison.Ordinal);
        Assert.Contains("1,234 files, 5.00 GiB", lines[0], StringComparison.Ordinal);
        Assert.Contains(lines, line => line.Contains("hidden", StringComparison.Ordinal));
    }

    [Fact]
    public void Plain_progress_is_a_line_every_two_seconds_at_most()
    {
        var text = new StringWriter();
        var plain = new PlainOutput(text, TextWriter.Null, quiet: false, _time);
        using (IProgressRow row = plain.BeginProgress("To laptop"))
        {
            for (int i = 0; i < 50; i++)
            {
                row.Update(new TransferProgress(TransferState.Running, i * 10, 1000, 0, 6, 100, TransferMode.Sequential));
                _time.Advance(TimeSpan.FromMilliseconds(100));
            }
        }

        string[] lines = text.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(
            [
                "To laptop: 20 % · 200 B of 1000 B · 0 of 6 files · 100 B/s · 8.0 s left",
                "To laptop: 40 % · 400 B of 1000 B · 0 of 6 files · 100 B/s · 6.0 s left",
            ],
            lines);
    }

    [Fact]
    public void Quiet_prints_errors_only()
    {
        var output = new StringWriter();
        var error = new StringWriter();
        var plain = new PlainOutput(output, error, quiet: true, _time);
        plain.Say("hello");
        plain.Emit(new RetryEvent(1, "why", 10));
        plain.Emit(new ErrorEvent("unknown", "broken"));
        Assert.Equal("", output.ToString());
        Assert.Equal("Error: broken", error.ToString().TrimEnd());
    }

    private List<JsonElement> Json(Action<OutputWriter> report)
    {
        var text = new StringWriter();
        report(new JsonOutput(text, TextWriter.Null, quiet: false, _time));
        return [.. text.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement)];
    }

    private static IEnumerable<CliEvent> Samples() =>
    [
        new ListeningEvent(_peer.ToString(), ["/ip4/127.0.0.1/tcp/1"]),
        new PeerFoundEvent(_peer.ToString(), [Hostile]),
        new PeerExpiredEvent(_peer.ToString(), [Hostile]),
        new DialingEvent(_peer.ToString(), []),
        new ConnectedEvent(_peer.ToString(), 1, 0.25, Hostile),
        new OfferEvent(_peer.ToString(), 3, 4),
        new ProgressEvent(1, 2, 3, 4, 5.5, "sequential"),
        new ModeChangedEvent("sequential", "parallel", Hostile),
        new RetryEvent(1, Hostile, 100),
        new ResumedEvent(5),
        new FileCompletedEvent(Hostile, 1, "digest"),
        new CompletedEvent(1, 2, 3.5, 4, 1, 1, 0),
        new StatisticsEvent("send", 1, 1, 0.25, Hostile, [new StageReport("reading", 1.5, 3)], 1, 2, 3),
        new ErrorEvent("refused", Hostile, _peer.ToString(), Hostile),
    ];

    private static TransferOffer Offer(string name, int names) => new(
        _peer, name, [.. Enumerable.Repeat(name, names)], 1234, 5L << 30, [.. Enumerable.Repeat("." + name, names)], IsComplete: true);
}
