using System.Globalization;
using System.Net;
using System.Text;
using FastShare.SideBySide.Rows;

namespace FastShare.SideBySide.Reporting;

/// <summary>
/// The results as one HTML file that needs nothing else: what came of the goals, then plots and a table per scenario, then the same data as
/// JSON. All text in it is escaped.
/// </summary>
internal static class HtmlReport
{
    public static string Create(Results results)
    {
        var html = new StringBuilder("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">");
        html.Append("<title>FastShare, side by side</title>\n<style>\n").Append(ReportStyle.Css).Append("\n</style></head><body>\n");
        html.Append("<h1>FastShare, side by side</h1>\n");
        Headline(html, results);
        Troubles(html, results);
        Reading(html);
        GoalTable(html, results.Goals);
        foreach (ScenarioResult scenario in results.Scenarios) Scenario(html, scenario);
        MachineList(html, results);
        // JSON's own escapes leave no character that could end the element.
        html.Append("<script type=\"application/json\" id=\"results\">\n").Append(results.ToJson()).Append("\n</script>\n");
        return html.Append("</body></html>\n").ToString();
    }

    /// <summary>Text as HTML.</summary>
    internal static string Text(string text) => WebUtility.HtmlEncode(text);

    /// <summary>What a row is, as a class of the style sheet.</summary>
    internal static string KindOf(RowResult row) => row switch
    {
        { IsReference: true } => "own",
        _ when row.Name.StartsWith(LimitRows.Prefix, StringComparison.Ordinal) => "limit",
        _ when row.Name.StartsWith("fastshare", StringComparison.Ordinal) => row.Name.Contains("plaintext", StringComparison.Ordinal) ? "plain" : "own",
        _ => "other",
    };

    private static void Headline(StringBuilder html, Results results)
    {
        int met = results.Goals.Count(goal => goal.Met == true), missed = results.Goals.Count(goal => goal.Met == false);
        int beyond = results.Goals.Count(goal => goal is { Met: false, LimitMeets: false }), unmeasured = results.Goals.Count - met - missed;
        html.Append(CultureInfo.InvariantCulture, $"<p class=\"headline\"><b class=\"good\">{met} of {met + missed} goals met</b>, <b class=\"{(missed > 0 ? "bad" : "good")}\">{missed} not</b>");
        if (beyond > 0) html.Append(CultureInfo.InvariantCulture, $"; {beyond} of those not even by a program that does only the unavoidable on this machine");
        if (unmeasured > 0) html.Append(CultureInfo.InvariantCulture, $"; {unmeasured} more were not measured in this run");
        html.Append(".</p>\n<div class=\"cards\">");
        foreach (ScenarioResult scenario in results.Scenarios)
        {
            if (scenario.Reference is not { } own) continue;
            string value = scenario.Bytes > 0 ? $"{Table.Number(scenario.GigabytesPerSecond(own.Median))} GB/s" : $"{Table.Number(1000 * own.Median)} ms";
            html.Append(CultureInfo.InvariantCulture, $"<div class=\"card\"><b>{value}</b><span>{Text(Table.Title(scenario))}</span></div>");
        }

        html.Append("</div>\n");
        html.Append(CultureInfo.InvariantCulture, $"<p class=\"note\">Commit {Text(results.Commit.Length > 0 ? results.Commit : "unknown")}, {results.Time:yyyy-MM-dd HH:mm} UTC, ");
        html.Append(CultureInfo.InvariantCulture, $"{Text(results.Machine.Processor)}, {results.Machine.Cores} cores. The cards: FastShare, encrypted and verified.</p>\n");
    }

    private static void Troubles(StringBuilder html, Results results)
    {
        if (results.Interrupted) html.Append("<div class=\"warn\">This run was interrupted: only the rounds that were over by then count.</div>\n");
        if (results.Failed.Count > 0)
        {
            html.Append(CultureInfo.InvariantCulture, $"<div class=\"warn\">Failed, and left out from then on ({results.Failed.Count}):<ul>");
            foreach (FailedRow failed in results.Failed)
                html.Append(CultureInfo.InvariantCulture, $"<li><b>{Text(failed.Row)}</b>, {Text(failed.Scenario)}, {Text(failed.When)}: {Text(Table.Short(failed.Reason))}</li>");
            html.Append("</ul></div>\n");
        }

        if (results.Missing.Count == 0) return;
        html.Append(CultureInfo.InvariantCulture, $"<div class=\"warn\">Not on this machine ({results.Missing.Count}; perf/setup.sh installs what can be had):<ul>");
        foreach (MissingRow missing in results.Missing) html.Append(CultureInfo.InvariantCulture, $"<li><b>{Text(missing.Row)}</b> needs {Text(missing.Needs)}</li>");
        html.Append("</ul></div>\n");
    }

    private static void Reading(StringBuilder html)
    {
        html.Append(
            """
            <p class="legend"><span><i class="own"></i>FastShare, encrypted</span><span><i class="plain"></i>FastShare, plaintext</span><span><i class="other"></i>others</span><span><i class="limit"></i>limit: only the unavoidable</span></p>
            <p class="note">Every row moved the same bytes, in turn with the others, round after round, after one round to warm up, all on this machine. A bar ends at
            the median round; the thin line spans the slowest to the fastest. Both ends share the processor, so what costs less processor time is faster here, and leaves
            more for others elsewhere. Compare within this report only: machines differ, and one machine drifts.</p>

            """);
    }

    private static void GoalTable(StringBuilder html, IReadOnlyList<Goal> goals)
    {
        html.Append("<h2>Goals</h2><p class=\"note\">Ratios are of the same round of both rows: the median, and from least to most. <i>Limit of the machine</i> is the same "
            + "ratio for a program of .NET that does only the unavoidable, in the same run: where that is not enough, hardly anything in .NET would be.</p>\n");
        html.Append("<div class=\"scroll\"><table><tr><th>goal</th><th>wanted</th><th>measured</th><th>met</th><th>limit of the machine</th></tr>\n");
        foreach (Goal goal in goals.OrderBy(goal => goal.Met switch { false => 0, true => 1, null => 2 }))
        {
            string of = goal.Met switch { true => "one good", false => "one bad", null => "one none" };
            string limit = goal.Limit + (goal is { Met: false, LimitMeets: false } ? ": cannot be met here" : "");
            html.Append(CultureInfo.InvariantCulture, $"<tr><td>{Text(goal.What)}</td><td class=\"one\">{Text(goal.Wanted)}</td><td class=\"one\">{Text(goal.Measured)}</td>");
            html.Append(CultureInfo.InvariantCulture, $"<td class=\"{of}\">{goal.Verdict}</td><td>{Text(limit)}</td></tr>\n");
        }

        html.Append("</table></div>\n");
    }

    private static void Scenario(StringBuilder html, ScenarioResult scenario)
    {
        html.Append(CultureInfo.InvariantCulture, $"<h2>{Text(Table.Title(scenario))}</h2><p class=\"note\">{Table.Rounds(scenario)} in turn; with starts and clearing up all of it took {scenario.TookSeconds:0} s.</p>\n");
        html.Append(BarPlot.Of(scenario));
        string ratios = RatioPlot.Of(scenario);
        if (ratios.Length > 0) html.Append("<h3>How much faster or slower</h3>\n").Append(ratios);
        html.Append("<h3>All figures</h3><div class=\"scroll\"><table><tr><th></th>");
        foreach (string header in Table.Headers(scenario)) html.Append(CultureInfo.InvariantCulture, $"<th>{Text(header)}</th>");
        html.Append("</tr>\n");
        foreach (RowResult row in scenario.Rows)
        {
            html.Append(row.IsReference ? "<tr class=\"own\">" : "<tr>");
            foreach (string cell in Table.Cells(scenario, row)) html.Append(CultureInfo.InvariantCulture, $"<td>{Text(cell)}</td>");
            html.Append("</tr>\n");
        }

        html.Append("</table></div>\n");
        OverTime.Append(html, scenario);
        StagePlot.Append(html, scenario);
    }

    private static void MachineList(StringBuilder html, Results results)
    {
        Machine machine = results.Machine;
        string load = machine.LoadBefore is { } busy ? busy.ToString("0.0", CultureInfo.InvariantCulture) : "unknown";
        html.Append("<h2>The machine</h2><dl>");
        Item("processor", machine.Processor);
        Item("cores", machine.Cores.ToString(CultureInfo.InvariantCulture));
        Item("memory", string.Create(CultureInfo.InvariantCulture, $"{machine.MemoryGib:0} GiB"));
        Item("system", machine.System);
        Item("runtime", machine.Runtime);
        Item("load before the run", $"{load} (above 0.5 others were at work, and the figures are to be doubted)");
        Item("rounds asked for", results.Rounds.ToString(CultureInfo.InvariantCulture));
        html.Append("</dl>\n<p class=\"note\">The samples of every round stand at the end of this file as JSON (and with --json FILE in a file of their own). "
            + "perf/README.md says how to make this report again.</p>\n");

        void Item(string name, string value) => html.Append(CultureInfo.InvariantCulture, $"<dt>{Text(name)}</dt><dd>{Text(value)}</dd>");
    }
}
