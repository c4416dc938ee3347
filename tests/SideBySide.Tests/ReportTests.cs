using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using FastShare.SideBySide.Reporting;
using FastShare.SideBySide.Rows;

namespace FastShare.SideBySide.Tests;

public sealed partial class ReportTests
{
    // Whatever a name, a reason or a machine tells: nothing of it may become markup.
    private const string Hostile = "</script><script src=\"https://evil.example/x.js\">alert('1')</script>&\"<b onload=x>";

    [Fact]
    public void It_needs_nothing_else()
    {
        string html = HtmlReport.Create(Whole());
        Assert.DoesNotContain("://", html, StringComparison.Ordinal);
        Assert.DoesNotMatch(References(), html);
        Assert.DoesNotContain("@import", html, StringComparison.Ordinal);
        Assert.DoesNotContain("url(", html, StringComparison.Ordinal);
    }

    [Fact]
    public void All_text_is_escaped()
    {
        ScenarioResult scenario = Figures.Scenario(
            Hostile, Figures.Reference("fastshare" + Hostile, 1, 2), Figures.Row(Hostile, 2, 3).With(Hostile, 1, 2));
        scenario = scenario with { Rows = [.. scenario.Rows.Select(Staged)] };
        Results results = Figures.Results(scenario) with
        {
            Commit = Hostile,
            Machine = new Machine(Hostile, 1, 1, Hostile, Hostile, null),
            Failed = [new FailedRow(Hostile, Hostile, Hostile, Hostile)],
            Missing = [new MissingRow(Hostile, Hostile)],
            Goals = [new Goal(Hostile, Hostile, Hostile, false) { Limit = Hostile }],
        };
        string html = HtmlReport.Create(results);
        Assert.DoesNotContain("<script src", html, StringComparison.Ordinal);
        Assert.DoesNotContain("<b onload", html, StringComparison.Ordinal);
        Assert.Single(Scripts().Matches(html)); // the one with the data
        AssertDrawn(html);

        static RowResult Staged(RowResult row) => row with
        {
            Samples = [.. row.Samples.Select(sample => sample with { Stages = new Dictionary<string, double> { [Hostile] = 1 }, Trace = [1 << 30, 1 << 30, 1 << 30] })],
        };
    }

    [Fact]
    public void It_says_first_how_many_goals_are_met()
    {
        Results results = Figures.Results() with
        {
            Goals =
            [
                new Goal("a", "≥ 1 ×", "2 ×", true), new Goal("b", "≥ 1 ×", "0.5 ×", false) { Limit = "0.8 ×", LimitMeets = false },
                new Goal("c", "≥ 1 ×", "0.5 ×", false), new Goal("d", "≥ 1 ×", "", null),
            ],
        };
        string html = HtmlReport.Create(results);
        Assert.Contains("1 of 3 goals met</b>", html, StringComparison.Ordinal);
        Assert.Contains("2 not</b>; 1 of those not even by", html, StringComparison.Ordinal);
        Assert.Contains("1 more were not measured", html, StringComparison.Ordinal);
        Assert.Contains("0.8 &#215;: cannot be met here", html, StringComparison.Ordinal);
    }

    [Fact]
    public void Failed_and_missing_rows_and_an_interruption_are_told()
    {
        string html = HtmlReport.Create(Whole() with
        {
            Interrupted = true,
            Failed = [new FailedRow("s", "row f", "round 2", "no room")],
            Missing = [new MissingRow("row m", "tool t")],
        });
        Assert.Contains("<b>row f</b>, s, round 2: no room", html, StringComparison.Ordinal);
        Assert.Contains("<b>row m</b> needs tool t", html, StringComparison.Ordinal);
        Assert.Contains("was interrupted", html, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_scenario_has_plots_with_axes_and_a_table()
    {
        string html = HtmlReport.Create(Whole());
        Assert.Contains("throughput, GB/s", html, StringComparison.Ordinal);
        Assert.Contains("CPU seconds per GB", html, StringComparison.Ordinal);
        Assert.Contains("times as fast as", html, StringComparison.Ordinal);
        Assert.Contains("throughput over time: fastshare, verified", html, StringComparison.Ordinal);
        Assert.Contains("sender: reads files", html, StringComparison.Ordinal);
        Assert.Contains("milliseconds (shorter is better)", html, StringComparison.Ordinal);
        Assert.Contains("<dd>Test processor</dd>", html, StringComparison.Ordinal);
        AssertDrawn(html);
    }

    [Fact]
    public void The_same_data_stands_in_it_as_json()
    {
        Results results = Whole();
        string html = HtmlReport.Create(results), json = results.ToJson();
        Assert.Contains(json, html, StringComparison.Ordinal);
        using JsonDocument document = JsonDocument.Parse(json);
        JsonElement root = document.RootElement;
        string[] names = ["commit", "time", "machine", "rounds", "interrupted", "scenarios", "failed", "missing", "goals"];
        Assert.Equal([.. names], NamesOf(root));
        JsonElement row = root.GetProperty("scenarios")[0].GetProperty("rows")[0];
        Assert.Equal(["name", "isReference", "share", "samples", "systemCallsPerGigabyte"], NamesOf(row));
        Assert.Equal(["seconds", "cpuSeconds", "peakBytes", "figures", "stages", "trace"], NamesOf(row.GetProperty("samples")[0]));
        Assert.Equal(["what", "wanted", "measured", "met", "limit", "limitMeets", "verdict"], NamesOf(root.GetProperty("goals")[0]));

        static HashSet<string> NamesOf(JsonElement element) => [.. element.EnumerateObject().Select(property => property.Name)];
    }

    [Theory]
    [InlineData(4.2, 5, 1, 5)]
    [InlineData(0.37, 3, 0.2, 0.4)]
    [InlineData(100, 5, 20, 100)]
    [InlineData(0, 5, 0.2, 1)]
    public void An_axis_ends_at_a_round_number(double most, int ticks, double step, double end)
    {
        var axis = new Axis(most, ticks);
        Assert.Equal((step, end), (Math.Round(axis.Step, 9), Math.Round(axis.End, 9)));
        Assert.Equal(0, axis.Ticks.First());
        Assert.Equal(end, axis.Ticks.Last(), 9);
    }

    [Fact]
    public void The_round_of_median_length_is_drawn()
    {
        RowResult row = Figures.Row("a", 5, 1, 3);
        Assert.Equal(3, OverTime.MedianRound(row).Seconds);
    }

    [Fact]
    public void Stages_are_medians_over_the_rounds_in_the_order_of_the_way()
    {
        RowResult row = Figures.Row("a", 1, 1, 1);
        int round = 0;
        row = row with
        {
            Samples = [.. row.Samples.Select(sample => sample with
            {
                Stages = new Dictionary<string, double> { ["receive: storing"] = ++round, ["unknown"] = 1, ["send: reading"] = 2 * round },
            })],
        };
        Assert.Equal(
            [("send: reading", 4.0), ("receive: storing", 2.0), ("unknown", 1.0)], StagePlot.StagesOf(row).Select(stage => (stage.Stage, stage.Seconds)));
    }

    [Fact]
    public void The_table_is_markdown_whatever_the_names_are()
    {
        var text = new StringWriter();
        Table.Print(Figures.Results(Figures.Scenario("s", Figures.Row("a|b", 1, 2))) with
        {
            Failed = [new FailedRow("s", "f", "round 1", "one\ntwo  three")],
            Missing = [new MissingRow("m", "a tool")],
        }, text);
        string[] lines = text.ToString().Split(Environment.NewLine);
        Assert.Contains("s, 953 MiB, 2 rounds in turn", lines);
        Assert.Contains("| a\\|b | 0.67 | 0.50 | 1.00 | 1.50 | 10 |  |", lines);
        Assert.Contains("| f | failed, round 1 | | | | | |", lines);
        Assert.Contains("failed: s, f, round 1: one two three", lines);
        Assert.Contains("missing: m needs a tool", lines);
    }

    private static Results Whole()
    {
        RowResult own = Figures.Reference(Goals.Verified, 1, 2, 3) with
        {
            Samples =
            [
                .. new[] { 1.0, 2, 3 }.Select(seconds => new Sample(seconds, 1, 1)
                {
                    Stages = new Dictionary<string, double> { ["send: reading"] = seconds, ["receive: storing"] = 1 },
                    Trace = [300_000_000, 300_000_000, 300_000_000],
                }),
            ],
        };
        return Figures.Results(
            Figures.Scenario(Goals.File, own, Figures.Row("nginx + curl, HTTPS", 2, 2, 2), Figures.Row(LimitRows.File, 1, 1, 1)),
            new ScenarioResult(Settings.ColdStart.Name, 0, 0, [Figures.Reference(Goals.Own, 0.01)]));
    }

    // Every drawing is well-formed, and no number in it came out as something else.
    private static void AssertDrawn(string html)
    {
        MatchCollection drawings = Drawings().Matches(html);
        Assert.NotEmpty(drawings);
        Assert.All(drawings, drawing =>
        {
            XElement.Parse(drawing.Value.Replace("&#", "&amp;#", StringComparison.Ordinal));
            Assert.DoesNotMatch("NaN|∞|Infinity", drawing.Value);
        });
    }

    [GeneratedRegex("<svg .*?</svg>", RegexOptions.Singleline)]
    private static partial Regex Drawings();

    [GeneratedRegex("<script")]
    private static partial Regex Scripts();

    [GeneratedRegex("<[^>]*\\s(src|href|srcset|data|action)\\s*=", RegexOptions.IgnoreCase)]
    private static partial Regex References();
}
