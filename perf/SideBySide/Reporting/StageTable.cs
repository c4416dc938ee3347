using System.Globalization;
using System.Text;

namespace FastShare.SideBySide.Reporting;

/// <summary>Where FastShare's time goes: seconds in each stage, medians, added up over everything that works or waits at the same time.</summary>
internal static class StageTable
{
    public static void Append(StringBuilder html, ScenarioResult scenario)
    {
        List<RowResult> rows = [.. scenario.Rows.Where(row => row.Samples.Any(sample => sample.Stages.Count > 0))];
        if (rows.Count == 0) return;
        html.Append("<details open><summary>Stages of FastShare's transfers, seconds</summary><table><tr><th></th>");
        foreach (RowResult row in rows) html.Append(CultureInfo.InvariantCulture, $"<th>{HtmlReport.Text(row.Name)}</th>");
        html.Append("</tr>");
        foreach (string stage in rows.SelectMany(row => row.Samples).SelectMany(sample => sample.Stages.Keys).Distinct())
        {
            html.Append(CultureInfo.InvariantCulture, $"<tr><td>{HtmlReport.Text(stage)}</td>");
            foreach (RowResult row in rows)
                html.Append(CultureInfo.InvariantCulture, $"<td>{RowResult.MedianOf(row.Samples.Select(sample => sample.Stages.GetValueOrDefault(stage))):0.000}</td>");
            html.Append("</tr>");
        }

        html.Append("</table><p class=note>Stages run at the same time, so their seconds add up to more than the transfer took. docs/telemetry.md says what each is.</p></details>");
    }
}
